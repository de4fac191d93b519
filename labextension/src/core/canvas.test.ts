import { describe, expect, test } from 'vitest';
import { openCanvas } from '../testing/canvas';
import { view } from '../testing/fixtures';
import type { GraphView } from './types';

const graph = openCanvas();
const { group } = graph;

describe('what is drawn', () => {
  test('every node in sight, with its place, class letter and marks', () => {
    expect(graph.canvas.svg.querySelectorAll('[data-node]')).toHaveLength(view().nodes.length);
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
    const tags = [...graph.canvas.svg.querySelectorAll('[data-boundary]')].map(
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
    graph.canvas.setView(hostile);
    expect(graph.canvas.element.querySelector('img, script')).toBeNull();
    expect(graph.canvas.svg.textContent).toContain('<img src=x');
  });

  test('only what is in sight exists', () => {
    const long = chain(2000);
    graph.canvas.setView(long);
    graph.canvas.fitWidth();
    graph.canvas.draw();
    const drawn = graph.canvas.svg.querySelectorAll('[data-node]').length;
    expect(drawn).toBeGreaterThan(5);
    expect(drawn).toBeLessThan(60);
    graph.canvas.reveal('n1990');
    graph.canvas.draw();
    expect(group('n1990')).not.toBeNull();
    expect(group('n30')).toBeNull();
  });

  test('details go when the drawing is small', () => {
    graph.canvas.zoom(1);
    graph.canvas.draw();
    expect(graph.canvas.svg.dataset.detail).toBe('full');
    graph.canvas.zoom(0.3);
    graph.canvas.draw();
    expect(graph.canvas.svg.dataset.detail).toBe('shapes');
  });

  test('colouring by cosine fills by step and keeps the outline of the place', () => {
    graph.canvas.setColouring('cosine');
    expect(group('head.fc').classList.contains('qwb-heat-2')).toBe(true);
    expect(group('softmax').classList.contains('qwb-tone-cpu')).toBe(true);
  });

  test('a node that moved to the other side flashes once', () => {
    const moved = view();
    moved.nodes = moved.nodes.map(node => (node.id === 'softmax' ? { ...node, on: 'BPU' as const } : node));
    graph.canvas.setView(moved);
    expect(graph.canvas.svg.querySelectorAll('.qwb-changed')).toHaveLength(1);
    expect(group('softmax').classList.contains('qwb-changed')).toBe(true);
    graph.canvas.redraw();
    expect(graph.canvas.svg.querySelectorAll('.qwb-changed')).toHaveLength(0);
  });
});

describe('what is in sight', () => {
  test('what is in sight stays where it is', () => {
    graph.canvas.select('softmax');
    const { scale, y } = graph.canvas.viewport;
    const at = () => view().nodes.find(node => node.id === 'softmax')!.y * scale + y;
    const before = at();
    const grown = view();
    grown.nodes = grown.nodes.map(node => ({ ...node, y: node.y + 300 }));
    grown.height += 300;
    graph.canvas.setView(grown);
    const after =
      (view().nodes.find(node => node.id === 'softmax')!.y + 300) * graph.canvas.viewport.scale +
      graph.canvas.viewport.y;
    expect(after).toBeCloseTo(before);
  });

  test('who asks for a node while no name can be read is taken to where it can', () => {
    graph.canvas.viewport.scale = 0.1;
    graph.canvas.reveal('pool');
    expect(graph.canvas.viewport.scale).toBe(0.1);
    graph.canvas.reveal('pool', true);
    expect(graph.canvas.viewport.scale).toBe(0.75);
    const { scale, x, y, pane } = graph.canvas.viewport;
    const pool = view().nodes.find(node => node.id === 'pool')!;
    expect(pool.x * scale + x).toBeCloseTo(pane.width / 2);
    expect(pool.y * scale + y).toBeCloseTo(pane.height / 2);
    graph.canvas.viewport.scale = 0.5;
    graph.canvas.reveal('pool', true);
    expect(graph.canvas.viewport.scale).toBe(0.5);
  });

  test('the focus survives a new view', () => {
    graph.canvas.reveal('pool');
    graph.canvas.focus();
    graph.canvas.setView(view());
    expect((document.activeElement as unknown as SVGGElement).dataset.node).toBe('pool');
  });
});

describe('marks', () => {
  test('the selection is marked and its edges are', () => {
    graph.canvas.select('pool');
    graph.canvas.draw();
    expect(group('pool').getAttribute('aria-current')).toBe('true');
    expect(graph.canvas.svg.querySelectorAll('.qwb-near').length).toBe(4);
  });

  test('a search dims the rest', () => {
    graph.canvas.setMatches(['pool']);
    graph.canvas.draw();
    expect(group('pool').classList.contains('qwb-match')).toBe(true);
    expect(group('softmax').classList.contains('qwb-dim')).toBe(true);
    graph.canvas.setMatches(null);
    graph.canvas.draw();
    expect(graph.canvas.svg.querySelector('.qwb-dim')).toBeNull();
  });
});

test('screen readers get a graph of named symbols', () => {
  expect(graph.canvas.svg.getAttribute('role')).toBe('graphics-document');
  expect(graph.canvas.svg.getAttribute('aria-label')).toBe(view().sentence);
  for (const element of graph.canvas.svg.querySelectorAll('[data-node]')) {
    expect(element.getAttribute('role')).toBe('graphics-symbol');
    expect(element.getAttribute('aria-label')).toBeTruthy();
  }
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
