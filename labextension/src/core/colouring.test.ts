import { describe, expect, test } from 'vitest';
import { fixture, view } from '../testing/fixtures';
import { COLOURINGS, Shading, asColouring, type Colouring } from './colouring';
import { edgeElement } from './edgeElement';

const shaded = (colouring: Colouring) => {
  const shading = new Shading(view(), colouring);
  const node = (id: string) => view().nodes.find(item => item.id === id)!;
  return {
    shading,
    tone: (id: string) => shading.toneOf(node(id)),
    word: (id: string) => shading.wordOf(node(id))
  };
};

test('an unknown colouring is placement, and placement changes no fill', () => {
  expect(asColouring('rainbow')).toBe('placement');
  const { shading } = shaded('placement');
  expect(view().nodes.map(node => shading.toneOf(node))).toEqual(view().nodes.map(() => ''));
});

test('categories differ in hue and are written out', () => {
  const { tone, word, shading } = shaded('class');
  expect(new Set(['pool', 'stem.conv', 'softmax'].map(tone)).size).toBe(3);
  expect(word('pool')).toBe('passive');
  expect(shading.entries().map(entry => entry.text)).toEqual(['active', 'passive', 'manual']);
  expect(shaded('subgraph').word('head.fc')).toBe('subgraph 1');
});

test('figures take steps relative to the largest', () => {
  const nodes = view().nodes.map((node, index) => ({
    ...node,
    sensitivity: node.kind === 'op' ? index : null
  }));
  const shading = new Shading({ ...view(), nodes }, 'sensitivity');
  expect(shading.toneOf(nodes[16])).toBe('heat-4');
  expect(shading.toneOf(nodes[1])).toBe('heat-1');
  expect(shading.entries()).toHaveLength(5);
});

test('the cost of a node is that of the boundaries at it', () => {
  const edges = view().edges.map(edge => (edge.boundary ? { ...edge, cost: 2000 } : edge));
  const shading = new Shading({ ...view(), edges }, 'cost');
  const norm = view().nodes.find(node => node.id === 'norm')!;
  expect(shading.scoreOf(norm)).toBe('4 kB');
});

describe.each(COLOURINGS.map(option => option.value))('%s', colouring => {
  test('has no colour without a word for it', () => {
    const shading = new Shading(view(), colouring);
    const used = new Set(
      view()
        .nodes.map(node => shading.toneOf(node))
        .filter(Boolean)
    );
    const named = new Set(shading.entries().map(entry => entry.tone));
    expect([...used].filter(tone => !named.has(tone))).toEqual([]);
  });
});

test('an edge inside a fused unit is a bond without arrow, a boundary carries its cost', () => {
  const [edge] = view().edges.filter(item => !item.boundary);
  expect(edgeElement(edge, 'bpu').querySelector('.qwb-arrow')).toBeNull();
  expect(edgeElement(edge, '').querySelector('.qwb-arrow')).not.toBeNull();
  const crossing = { ...edge, boundary: 'quantize' as const, cost: 12_800 };
  expect(edgeElement(crossing, 'bpu').querySelector('.qwb-cost')!.textContent).toBe('12.8 kB');
});

test('every colouring says what Python says', () => {
  const expected = fixture('colouring.json') as Record<string, Record<string, unknown>>;
  const nodes = view().nodes.map((node, index) => ({
    ...node,
    sensitivity: node.kind === 'op' ? index / 300 : null
  }));
  const edges = view().edges.map(edge => ({ ...edge, cost: edge.boundary ? 5 * edge.elements : 0 }));
  expect(Object.keys(expected)).toEqual(COLOURINGS.map(option => option.value));
  for (const { value } of COLOURINGS) {
    const shading = new Shading({ ...view(), nodes, edges }, value);
    const by = <T>(say: (node: (typeof nodes)[number]) => T) =>
      Object.fromEntries(nodes.map(node => [node.id, say(node)]));
    expect({
      tones: by(node => shading.toneOf(node)),
      words: by(node => shading.wordOf(node)),
      scores: by(node => shading.scoreOf(node)),
      legend: shading.entries().map(({ tone, text }) => [tone, text])
    }).toEqual(expected[value]);
  }
});
