/** The parts that are functions of numbers and text. */
import { describe, expect, test } from 'vitest';
import { view } from '../testing/fixtures';
import { formatCosine, formatCount, formatDelta, formatNumber, nodeText, scoreText } from './describe';
import { actionOf } from './keyboard';
import { Links } from './links';
import { find, findRows } from './search';
import { curve, outline } from './shapes';
import { asView, type ViewNode } from './types';
import { Viewport } from './viewport';

const node = (id: string): ViewNode => view().nodes.find(candidate => candidate.id === id)!;

describe('numbers in words', () => {
  test.each([
    [0.9931, '0.9931'],
    [0.999984, '0.999984'],
    [1, '1.0000'],
    [-0.25, '\u22120.2500'],
    [null, '\u2013'],
    [NaN, '\u2013']
  ])('cosine %s', (value, text) => expect(formatCosine(value)).toBe(text));

  test.each([
    [0.00371, '0.00371'],
    [0.0000123, '1.23e\u22125'],
    [123456, '1.23e+5'],
    [Infinity, '\u221e'],
    [0, '0']
  ])('number %s', (value, text) => expect(formatNumber(value)).toBe(text));

  test('a change carries its sign', () => {
    expect(formatDelta(0.00122)).toBe('+0.0012');
    expect(formatDelta(-0.00039)).toBe('\u22120.00039');
  });

  test('what rounds to one but is not prints as 0.9999', () => {
    expect(scoreText(0.99999)).toBe('0.9999');
    expect(scoreText(1)).toBe('1.0000');
    expect(scoreText(null)).toBe('');
  });

  test('counts are grouped', () => expect(formatCount(1234567)).toBe('1,234,567'));
});

test('a node is said with op, place, class and figures', () => {
  expect(nodeText(node('softmax'))).toBe('softmax, Softmax, on CPU, manual, float32, cosine 0.9931');
  expect(nodeText(node('head.conv'))).toContain('edited');
  expect(nodeText(node('drop'))).toContain('removed at inference');
});

describe('arrow keys', () => {
  const links = new Links(view());
  test('down is the first successor, up the first predecessor', () => {
    expect(links.step('head.fc', 'down')).toBe('softmax');
    expect(links.step('softmax', 'up')).toBe('head.fc');
    expect(links.step('input:image', 'up')).toBeNull();
  });
  test('left and right walk among siblings by column', () => {
    expect(links.step('branch.conv1', 'right')).toBe('branch.conv3');
    expect(links.step('branch.conv3', 'left')).toBe('branch.conv1');
    expect(links.step('branch.conv1', 'left')).toBeNull();
  });
});

describe('search', () => {
  const { nodes } = view();
  test('all words must be somewhere in name, op, place, class or dtype', () => {
    expect(find('conv int16', nodes)).toEqual(['head.conv']);
    expect(find('CPU', nodes)).toEqual(['norm', 'softmax']);
    expect(find('nothing like it', nodes)).toEqual([]);
    expect(find('  ', nodes)).toBeNull();
  });
  test('a collapsed module matches by what is inside of it', () => {
    const box: ViewNode = { ...node('softmax'), id: 'head', label: 'head', kind: 'module', op: 'Module' };
    const row = { id: 'head.gap', op: 'GlobalAveragePool', on: 'BPU', dtype: 'int8' };
    expect(find('average', [box], [row])).toEqual(['head']);
    expect(find('average', [box], [{ ...row, id: 'header.gap' }])).toEqual([]);
  });
  test('an empty query keeps all rows', () => {
    const rows = [{ id: 'a', op: 'Conv', on: 'BPU', dtype: 'int8' }];
    expect(findRows('', rows)).toEqual(rows);
    expect(findRows('cpu', rows)).toEqual([]);
  });
});

describe('keys', () => {
  const action = (key: string, more: KeyboardEventInit = {}) =>
    actionOf(new KeyboardEvent('keydown', { key, ...more }));
  test.each([
    ['+', 'zoomIn'],
    ['-', 'zoomOut'],
    ['0', 'fit'],
    ['f', 'fit'],
    ['/', 'search'],
    ['Escape', 'leave'],
    ['Enter', 'select']
  ])('%s is %s', (key, what) => expect(action(key)?.do).toBe(what));
  test('undo and redo need Ctrl or Cmd', () => {
    expect(action('z', { ctrlKey: true })?.do).toBe('undo');
    expect(action('Z', { metaKey: true, shiftKey: true })?.do).toBe('redo');
    expect(action('z')).toBeNull();
  });
  test('keys of the browser stay its own', () => {
    expect(action('f', { ctrlKey: true })).toBeNull();
    expect(action('ArrowLeft', { altKey: true })).toBeNull();
  });
});

describe('viewport', () => {
  const make = (width: number, height: number) => {
    const viewport = new Viewport();
    viewport.content = { width, height };
    return viewport; // pane 800 x 480
  };
  test('zooming keeps what is under the pointer', () => {
    const viewport = make(1000, 1000);
    viewport.fitWidth();
    const before = (200 - viewport.x) / viewport.scale;
    viewport.zoomAt(1.7, 200, 100);
    expect((200 - viewport.x) / viewport.scale).toBeCloseTo(before);
  });
  test('fit shows all and never magnifies', () => {
    const viewport = make(300, 9000);
    viewport.fit();
    expect(viewport.showsAll()).toBe(true);
    const small = make(100, 100);
    small.fit();
    expect(small.scale).toBe(1);
  });
  test('a long chain opens at its top at a readable size', () => {
    const viewport = make(300, 90000);
    viewport.fitWidth();
    expect(viewport.scale).toBe(1);
    expect(viewport.visible().y0).toBeLessThanOrEqual(0);
  });
  test('a wide graph opens over its input', () => {
    const viewport = make(8000, 400);
    viewport.fitWidth(6000);
    const { x0, x1 } = viewport.visible();
    expect(viewport.scale).toBe(0.5);
    expect(x0).toBeLessThan(6000);
    expect(x1).toBeGreaterThan(6000);
  });
  test('revealing what is in sight moves nothing', () => {
    const viewport = make(300, 3000);
    viewport.fitWidth();
    const { x, y } = viewport;
    viewport.reveal({ x0: 100, y0: 100, x1: 200, y1: 140 });
    expect([viewport.x, viewport.y]).toEqual([x, y]);
    viewport.reveal({ x0: 100, y0: 2000, x1: 200, y1: 2040 });
    expect(viewport.visible().y1).toBeGreaterThan(2040);
  });
  test('the drawing cannot be lost', () => {
    const viewport = make(300, 300);
    viewport.pan(1e6, -1e6);
    const { x0, y1 } = viewport.visible();
    expect(x0).toBeLessThan(300);
    expect(y1).toBeGreaterThan(0);
  });
});

test('shapes are closed and differ', () => {
  const paths = (['rounded', 'cut', 'pill'] as const).map(shape => outline(shape, 100, 40));
  expect(new Set(paths).size).toBe(3);
  expect(paths.every(path => path.endsWith('Z') && !path.includes('NaN'))).toBe(true);
});

test('a straight stretch is a line, a slanted one a curve', () => {
  expect(curve([[5, 0], [5, 10]])).toBe('M5 0L5 10'); // prettier-ignore
  expect(curve([[0, 0], [10, 10]])).toBe('M0 0C0 5 10 5 10 10'); // prettier-ignore
});

test('only views of this schema are drawn', () => {
  expect(asView(view())).not.toBeNull();
  expect(asView({ ...view(), schema: 2 })).toBeNull();
  expect(asView({ schema: 1, nodes: [] })).toBeNull();
  expect(asView(null)).toBeNull();
  expect(asView('view')).toBeNull();
});
