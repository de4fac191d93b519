import { describe, expect, test } from 'vitest';
import { openCanvas } from '../testing/canvas';
import { click, press, view } from '../testing/fixtures';

const graph = openCanvas();
const { group, current } = graph;

describe('keyboard', () => {
  test('exactly one node is a tab stop, the input first', () => {
    expect(current()).toHaveLength(1);
    expect(current()[0].dataset.node).toBe('input:image');
  });

  test('arrows follow the edges and take the focus along', () => {
    graph.canvas.focus();
    for (const expected of ['stem.conv', 'stem.relu', 'pool', 'branch.conv1']) {
      press(document.activeElement!, 'ArrowDown');
      expect(current()).toHaveLength(1);
      expect((document.activeElement as unknown as SVGGElement).dataset.node).toBe(expected);
    }
    press(document.activeElement!, 'ArrowRight');
    expect(current()[0].dataset.node).toBe('branch.conv3');
    press(document.activeElement!, 'ArrowUp');
    expect(current()[0].dataset.node).toBe('pool');
    expect(graph.actions.select).not.toHaveBeenCalled();
  });

  test('Enter selects, slash searches, Escape leaves, Ctrl+Z undoes', () => {
    graph.canvas.focus();
    press(document.activeElement!, 'End');
    press(document.activeElement!, 'Enter');
    expect(graph.actions.select).toHaveBeenCalledWith('output:probabilities', false);
    press(document.activeElement!, '/');
    expect(graph.actions.search).toHaveBeenCalledOnce();
    press(document.activeElement!, 'Escape');
    expect(graph.actions.leave).toHaveBeenCalledOnce();
    press(document.activeElement!, 'z', { ctrlKey: true });
    expect(graph.actions.undo).toHaveBeenCalledOnce();
  });

  test('e closes the module of a node and opens a box', () => {
    graph.canvas.reveal('head.conv');
    graph.canvas.focus();
    press(document.activeElement!, 'e');
    expect(graph.actions.toggleModule).toHaveBeenLastCalledWith('head', true);
    const folded = view();
    folded.nodes.push({
      ...folded.nodes[1],
      id: 'block',
      label: 'block',
      kind: 'module',
      bpu_share: 0.5,
      count: 3
    });
    graph.canvas.setView(folded);
    graph.canvas.reveal('block');
    graph.canvas.focus();
    press(document.activeElement!, 'e');
    expect(graph.actions.toggleModule).toHaveBeenLastCalledWith('block', false);
  });

  test('m folds or opens all modules', () => {
    graph.canvas.focus();
    press(document.activeElement!, 'm');
    expect(graph.actions.toggleAll).toHaveBeenCalledOnce();
  });
});

describe('pointer', () => {
  test('a click selects, a click beside selects nothing', () => {
    click(group('pool').querySelector('.qwb-box')!);
    expect(graph.actions.select).toHaveBeenLastCalledWith('pool', false);
    click(graph.canvas.svg);
    expect(graph.actions.select).toHaveBeenLastCalledWith('', false);
  });

  test('a drag pans and is no click', () => {
    const { x } = graph.canvas.viewport;
    const box = group('pool');
    const point = (type: string, clientX: number) =>
      box.dispatchEvent(
        new PointerEvent(type, { bubbles: true, pointerId: 1, button: 0, clientX, clientY: 10 })
      );
    point('pointerdown', 100);
    point('pointermove', 140);
    point('pointerup', 140);
    click(box);
    expect(graph.canvas.viewport.x).toBeCloseTo(x + 40);
    expect(graph.actions.select).not.toHaveBeenCalled();
    click(box);
    expect(graph.actions.select).toHaveBeenCalledOnce();
  });

  test('the plain wheel scrolls the page until the graph has the focus; Ctrl+wheel always zooms', () => {
    const wheel = (more: WheelEventInit = {}) => {
      const event = new WheelEvent('wheel', { deltaY: -100, bubbles: true, cancelable: true });
      Object.defineProperty(event, 'ctrlKey', { value: more.ctrlKey ?? false }); // happy-dom drops it
      graph.canvas.svg.dispatchEvent(event);
      return event.defaultPrevented;
    };
    const { scale } = graph.canvas.viewport;
    expect(wheel()).toBe(false);
    expect(graph.canvas.viewport.scale).toBe(scale);
    expect(wheel({ ctrlKey: true })).toBe(true);
    expect(graph.canvas.viewport.scale).toBeGreaterThan(scale);
    graph.canvas.focus();
    expect(wheel()).toBe(true);
  });

  test('a double click opens a module, the caption of a frame closes it', () => {
    const folded = view();
    folded.nodes.push({
      ...folded.nodes[1],
      id: 'block',
      label: 'block',
      kind: 'module',
      bpu_share: 1,
      count: 3
    });
    graph.canvas.setView(folded);
    group('block').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    expect(graph.actions.toggleModule).toHaveBeenLastCalledWith('block', false);
    click(graph.canvas.svg.querySelector('[data-module="head"] .qwb-caption')!);
    expect(graph.actions.toggleModule).toHaveBeenLastCalledWith('head', true);
  });

  test('a double click on the frame of a module folds it', () => {
    const frame = graph.canvas.svg.querySelector('[data-module="head"] path')!;
    frame.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    expect(graph.actions.toggleModule).toHaveBeenLastCalledWith('head', true);
  });
});
