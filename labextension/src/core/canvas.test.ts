import { afterEach, beforeEach, describe, expect, test, vi, type Mock } from 'vitest';
import { click, press, view } from '../testing/fixtures';
import { GraphCanvas } from './canvas';
import type { GraphActions } from './interaction';
import { legend } from './legend';
import type { GraphView } from './types';

type Spies = { [K in keyof Omit<GraphActions, 'moved'>]: Mock<GraphActions[K]> };

let life: AbortController;
let actions: Spies;
let canvas: GraphCanvas;

const group = (id: string) => canvas.svg.querySelector<SVGGElement>(`[data-node="${id}"]`)!;
const current = () => canvas.svg.querySelectorAll<SVGGElement>('[tabindex="0"]');

beforeEach(() => {
  life = new AbortController();
  actions = {
    select: vi.fn(),
    toggleModule: vi.fn(),
    toggleAll: vi.fn(),
    search: vi.fn(),
    undo: vi.fn(),
    redo: vi.fn(),
    leave: vi.fn()
  };
  canvas = new GraphCanvas(actions, life.signal);
  document.body.append(canvas.element);
  canvas.viewport.pane = { width: 800, height: 1400 };
  canvas.setView(view());
});

afterEach(() => {
  life.abort();
  document.body.replaceChildren();
});

describe('what is drawn', () => {
  test('every node in sight, with its place, class letter and marks', () => {
    expect(canvas.svg.querySelectorAll('[data-node]')).toHaveLength(view().nodes.length);
    expect(group('softmax').classList.contains('qwb-tone-cpu')).toBe(true);
    expect(group('softmax').querySelector('.qwb-glyph')!.textContent).toBe('M');
    expect(group('pool').querySelector('.qwb-glyph')!.textContent).toBe('P');
    expect(group('head.conv').querySelector('.qwb-badge')).not.toBeNull();
    expect(group('pool').querySelector('.qwb-badge')).toBeNull();
  });

  test('BPU, CPU and removed nodes differ in shape, not only in colour', () => {
    const shape = (id: string) =>
      group(id)
        .querySelector('.qwb-box')!
        .getAttribute('d')!
        .replace(/[\d.-]+/g, '');
    expect(new Set(['pool', 'softmax'].map(shape)).size).toBe(2);
    expect(group('drop').querySelector('.qwb-glyph')).toBeNull();
  });

  test('boundaries carry a tag', () => {
    const tags = [...canvas.svg.querySelectorAll('[data-boundary]')].map(
      edge => edge.querySelector('.qwb-tag')!.textContent
    );
    expect(tags.sort()).toEqual(['DQ', 'DQ', 'Q', 'Q', 'RQ']);
  });

  test('names from the model are text, never markup', () => {
    const hostile = view();
    hostile.nodes[1] = {
      ...hostile.nodes[1],
      label: '<img src=x onerror=alert(1)>',
      reason: '<script>1</script>'
    };
    canvas.setView(hostile);
    expect(canvas.element.querySelector('img, script')).toBeNull();
    expect(canvas.svg.textContent).toContain('<img src=x');
  });

  test('only what is in sight exists', () => {
    const long = chain(2000);
    canvas.setView(long);
    canvas.fitWidth();
    canvas.draw();
    const drawn = canvas.svg.querySelectorAll('[data-node]').length;
    expect(drawn).toBeGreaterThan(5);
    expect(drawn).toBeLessThan(60);
    canvas.reveal('n1990');
    canvas.draw();
    expect(group('n1990')).not.toBeNull();
    expect(group('n30')).toBeNull();
  });

  test('details go when the drawing is small', () => {
    canvas.zoom(1);
    canvas.draw();
    expect(canvas.svg.dataset.detail).toBe('full');
    canvas.zoom(0.3);
    canvas.draw();
    expect(canvas.svg.dataset.detail).toBe('shapes');
  });

  test('colouring by cosine fills by step and keeps the outline of the place', () => {
    canvas.setColouring('cosine');
    expect(group('head.fc').classList.contains('qwb-heat-2')).toBe(true);
    expect(group('softmax').classList.contains('qwb-tone-cpu')).toBe(true);
  });

  test('a node that moved to the other side flashes once', () => {
    const moved = view();
    moved.nodes = moved.nodes.map(node => (node.id === 'softmax' ? { ...node, on: 'BPU' as const } : node));
    canvas.setView(moved);
    expect(canvas.svg.querySelectorAll('.qwb-changed')).toHaveLength(1);
    expect(group('softmax').classList.contains('qwb-changed')).toBe(true);
    canvas.redraw();
    expect(canvas.svg.querySelectorAll('.qwb-changed')).toHaveLength(0);
  });
});

describe('another view', () => {
  test('what is in sight stays where it is', () => {
    canvas.select('softmax');
    const { scale, y } = canvas.viewport;
    const at = () => view().nodes.find(node => node.id === 'softmax')!.y * scale + y;
    const before = at();
    const grown = view();
    grown.nodes = grown.nodes.map(node => ({ ...node, y: node.y + 300 }));
    grown.height += 300;
    canvas.setView(grown);
    const after =
      (view().nodes.find(node => node.id === 'softmax')!.y + 300) * canvas.viewport.scale + canvas.viewport.y;
    expect(after).toBeCloseTo(before);
  });
});

describe('keyboard', () => {
  test('exactly one node is a tab stop, the input first', () => {
    expect(current()).toHaveLength(1);
    expect(current()[0].dataset.node).toBe('input:image');
  });

  test('arrows follow the edges and take the focus along', () => {
    canvas.focus();
    for (const expected of ['stem.conv', 'stem.relu', 'pool', 'branch.conv1']) {
      press(document.activeElement!, 'ArrowDown');
      expect(current()).toHaveLength(1);
      expect((document.activeElement as unknown as SVGGElement).dataset.node).toBe(expected);
    }
    press(document.activeElement!, 'ArrowRight');
    expect(current()[0].dataset.node).toBe('branch.conv3');
    press(document.activeElement!, 'ArrowUp');
    expect(current()[0].dataset.node).toBe('pool');
    expect(actions.select).not.toHaveBeenCalled();
  });

  test('Enter selects, slash searches, Escape leaves, Ctrl+Z undoes', () => {
    canvas.focus();
    press(document.activeElement!, 'End');
    press(document.activeElement!, 'Enter');
    expect(actions.select).toHaveBeenCalledWith('output:probabilities', false);
    press(document.activeElement!, '/');
    expect(actions.search).toHaveBeenCalledOnce();
    press(document.activeElement!, 'Escape');
    expect(actions.leave).toHaveBeenCalledOnce();
    press(document.activeElement!, 'z', { ctrlKey: true });
    expect(actions.undo).toHaveBeenCalledOnce();
  });

  test('e closes the module of a node and opens a box', () => {
    canvas.reveal('head.conv');
    canvas.focus();
    press(document.activeElement!, 'e');
    expect(actions.toggleModule).toHaveBeenLastCalledWith('head', true);
    const folded = view();
    folded.nodes.push({
      ...folded.nodes[1],
      id: 'block',
      label: 'block',
      kind: 'module',
      bpu_share: 0.5,
      count: 3
    });
    canvas.setView(folded);
    canvas.reveal('block');
    canvas.focus();
    press(document.activeElement!, 'e');
    expect(actions.toggleModule).toHaveBeenLastCalledWith('block', false);
  });

  test('the focus survives a new view', () => {
    canvas.reveal('pool');
    canvas.focus();
    canvas.setView(view());
    expect((document.activeElement as unknown as SVGGElement).dataset.node).toBe('pool');
  });
});

describe('pointer', () => {
  test('a click selects, a click beside selects nothing', () => {
    click(group('pool').querySelector('.qwb-box')!);
    expect(actions.select).toHaveBeenLastCalledWith('pool', false);
    click(canvas.svg);
    expect(actions.select).toHaveBeenLastCalledWith('', false);
  });

  test('a drag pans and is no click', () => {
    const { x } = canvas.viewport;
    const box = group('pool');
    const point = (type: string, clientX: number) =>
      box.dispatchEvent(
        new PointerEvent(type, { bubbles: true, pointerId: 1, button: 0, clientX, clientY: 10 })
      );
    point('pointerdown', 100);
    point('pointermove', 140);
    point('pointerup', 140);
    click(box);
    expect(canvas.viewport.x).toBeCloseTo(x + 40);
    expect(actions.select).not.toHaveBeenCalled();
    click(box);
    expect(actions.select).toHaveBeenCalledOnce();
  });

  test('the plain wheel scrolls the page until the graph has the focus; Ctrl+wheel always zooms', () => {
    const wheel = (more: WheelEventInit = {}) => {
      const event = new WheelEvent('wheel', { deltaY: -100, bubbles: true, cancelable: true });
      Object.defineProperty(event, 'ctrlKey', { value: more.ctrlKey ?? false }); // happy-dom drops it
      canvas.svg.dispatchEvent(event);
      return event.defaultPrevented;
    };
    const { scale } = canvas.viewport;
    expect(wheel()).toBe(false);
    expect(canvas.viewport.scale).toBe(scale);
    expect(wheel({ ctrlKey: true })).toBe(true);
    expect(canvas.viewport.scale).toBeGreaterThan(scale);
    canvas.focus();
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
    canvas.setView(folded);
    group('block').dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    expect(actions.toggleModule).toHaveBeenLastCalledWith('block', false);
    click(canvas.svg.querySelector('[data-module="head"] .qwb-caption')!);
    expect(actions.toggleModule).toHaveBeenLastCalledWith('head', true);
  });

  test('m folds or opens all modules', () => {
    canvas.focus();
    press(document.activeElement!, 'm');
    expect(actions.toggleAll).toHaveBeenCalledOnce();
  });

  test('a double click on the frame of a module folds it', () => {
    const frame = canvas.svg.querySelector('[data-module="head"] path')!;
    frame.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }));
    expect(actions.toggleModule).toHaveBeenLastCalledWith('head', true);
  });

  test('who asks for a node while no name can be read is taken to where it can', () => {
    canvas.viewport.scale = 0.1;
    canvas.reveal('pool');
    expect(canvas.viewport.scale).toBe(0.1);
    canvas.reveal('pool', true);
    expect(canvas.viewport.scale).toBe(0.75);
    const { scale, x, y, pane } = canvas.viewport;
    const pool = view().nodes.find(node => node.id === 'pool')!;
    expect(pool.x * scale + x).toBeCloseTo(pane.width / 2);
    expect(pool.y * scale + y).toBeCloseTo(pane.height / 2);
    canvas.viewport.scale = 0.5;
    canvas.reveal('pool', true);
    expect(canvas.viewport.scale).toBe(0.5);
  });
});

describe('marks', () => {
  test('the selection is marked and its edges are', () => {
    canvas.select('pool');
    canvas.draw();
    expect(group('pool').getAttribute('aria-current')).toBe('true');
    expect(canvas.svg.querySelectorAll('.qwb-near').length).toBe(4);
  });

  test('a search dims the rest', () => {
    canvas.setMatches(['pool']);
    canvas.draw();
    expect(group('pool').classList.contains('qwb-match')).toBe(true);
    expect(group('softmax').classList.contains('qwb-dim')).toBe(true);
    canvas.setMatches(null);
    canvas.draw();
    expect(canvas.svg.querySelector('.qwb-dim')).toBeNull();
  });
});

test('screen readers get a graph of named symbols', () => {
  expect(canvas.svg.getAttribute('role')).toBe('graphics-document');
  expect(canvas.svg.getAttribute('aria-label')).toBe(view().sentence);
  for (const element of canvas.svg.querySelectorAll('[data-node]')) {
    expect(element.getAttribute('role')).toBe('graphics-symbol');
    expect(element.getAttribute('aria-label')).toBeTruthy();
  }
});

test('the legend explains exactly what occurs', () => {
  expect(legend(view(), 'placement').textContent).toBe(
    'on BPUon CPUremoved at inferenceAactivePpassiveMmanualQquantizeDQdequantizeRQrequantizeeditedfused'
  );
  expect(legend({ ...view(), edges: [], nodes: [] }, 'placement').textContent).toBe('');
  expect(legend(view(), 'cosine').textContent).toContain('\u2265 0.9999');
});

function chain(length: number): GraphView {
  const base = view().nodes.find(node => node.id === 'pool')!;
  const nodes = Array.from({ length }, (_, i) => ({ ...base, id: `n${i}`, x: 100, y: 40 + 70 * i }));
  const edges = nodes.slice(1).map((node, i) => ({
    source: `n${i}`,
    target: node.id,
    value: `n${i}`,
    points: [
      [100, 60 + 70 * i],
      [100, 90 + 70 * i]
    ] as [number, number][],
    boundary: null,
    elements: 1
  }));
  return { ...view(), nodes, edges, frames: [], width: 200, height: 70 * length + 40 };
}
