import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { click, details, fakeModel, press, view, type FakeModel } from '../testing/fixtures';
import type { CommonDetails } from './details';
import { saturated } from './histogram';
import widget from './index';
import { toggled } from './selection';
import { sparkline } from './sparkline';
import type { Comparison, Settings, Traits } from './state';

let model: FakeModel;
let el: HTMLElement;
let cleanup: () => void;

const one = <T extends Element = HTMLElement>(selector: string) => el.querySelector<T>(selector)!;
const node = (id: string) => one(`.qwb-graph-pane [data-node="${id}"]`);
const labelled = <T extends HTMLElement>(name: string) => one<T>(`[aria-label="${name}"]`);

function open(state: Partial<Traits> = {}): void {
  model = fakeModel(state);
  cleanup = widget.render({ model, el });
}

function change(element: HTMLSelectElement | HTMLInputElement, value: string): void {
  element.value = value;
  element.dispatchEvent(new Event('change', { bubbles: true }));
}

beforeEach(() => {
  el = document.createElement('div');
  document.body.append(el);
});

afterEach(() => {
  cleanup();
  document.body.replaceChildren();
  delete document.body.dataset.qwbSettings;
});

const common: CommonDetails = {
  names: ['norm', 'softmax'],
  on: { CPU: 2 },
  ops: { Softmax: 1, Mul: 1 },
  allowed: {
    on: ['auto', 'bpu', 'cpu'],
    input: ['int8'],
    weight: [],
    output: ['int8', 'int16'],
    unitconv: true
  },
  requested: { on: null, input: null, weight: null, output: null },
  dtype: { input: 'int8', weight: null, output: 'int8' },
  fixed: ['norm']
};

describe('several nodes at once', () => {
  test('a modified click adds and takes out, a plain one starts over', () => {
    open();
    click(node('stem.conv'));
    const shifted = (id: string) =>
      node(id).dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }));
    shifted('stem.relu');
    expect(model.get('picked')).toEqual(['stem.conv', 'stem.relu']);
    shifted('stem.conv');
    expect([model.get('selected'), model.get('picked')]).toEqual(['stem.relu', []]);
    shifted('stem.conv');
    click(node('input:image'));
    expect([model.get('selected'), model.get('picked')]).toEqual(['input:image', []]);
  });

  test('Shift+Enter does the same by keyboard', () => {
    open();
    node('stem.conv').focus();
    click(node('stem.conv'));
    press(node('stem.conv'), 'ArrowDown');
    press(one('.qwb-graph-pane [data-node][tabindex="0"]'), 'Enter', { shiftKey: true });
    expect(model.get('picked')).toHaveLength(2);
  });

  test('one change is one message with an edit per node', () => {
    open({ selected: 'softmax', picked: ['norm', 'softmax'], panel: { several: common } });
    expect(one('.qwb-inspector h3').textContent).toBe('2 nodes');
    one<HTMLInputElement>('.qwb-inspector input[value=bpu]').click();
    change(labelled<HTMLSelectElement>('dtype of the output'), 'int16');
    expect(model.sent).toEqual([
      {
        type: 'edit',
        edits: ['norm', 'softmax'].map(name => ({ kind: 'SetPlacement', node: name, on: 'bpu' }))
      },
      {
        type: 'edit',
        edits: ['norm', 'softmax'].map(name => ({ kind: 'SetDtype', node: name, output: 'int16' }))
      }
    ]);
  });

  test('the selection after one more press', () => {
    const none = { selected: '', picked: [] };
    expect(toggled(none, 'a')).toEqual({ selected: 'a', picked: [] });
    expect(toggled({ selected: 'a', picked: [] }, 'a')).toEqual(none);
    expect(toggled({ selected: 'b', picked: ['a', 'b', 'c'] }, 'b').picked).toEqual(['a', 'c']);
  });
});

describe('the whole model', () => {
  const settings: Settings = {
    march: 'bayes-e',
    marches: ['bayes', 'bayes-e'],
    method: 'max',
    percentile: 0.9999,
    per_channel: false,
    methods: ['max', 'max-percentile', 'kl'],
    searches: ['default'],
    samples: 8,
    arithmetic: { rounding: 'half_even', scale_denominator: 127 },
    arithmetics: { rounding: ['half_even', 'half_up'], scale_denominator: [127, 128] }
  };

  test('march, calibration, arithmetic and sensitivity are one message each', () => {
    open({ settings });
    change(labelled<HTMLSelectElement>('March'), 'bayes');
    change(labelled<HTMLSelectElement>('Calibration'), 'kl');
    change(labelled<HTMLSelectElement>('scale = threshold /'), '128');
    click(one('[data-key=sensitivity]'));
    expect(model.sent).toEqual([
      { type: 'edit', edits: [{ kind: 'SetMarch', march: 'bayes' }] },
      { type: 'calibrate', method: 'kl', per_channel: false },
      { type: 'edit', edits: [{ kind: 'SetArithmetic', scale_denominator: 128 }] },
      { type: 'analyse', analysis: 'sensitivity', options: { metric: 'L1' } }
    ]);
  });

  test('a percentile is asked for only where the method has one, and checked', () => {
    open({ settings: { ...settings, method: 'max-percentile' } });
    const field = labelled<HTMLInputElement>('Percentile');
    expect(field.hidden).toBe(false);
    change(field, '7');
    expect(model.sent).toEqual([]);
    change(field, '0.999');
    expect(model.sent).toEqual([
      { type: 'calibrate', method: 'max-percentile', per_channel: false, percentile: 0.999 }
    ]);
    model.set('settings', settings);
    expect(field.hidden).toBe(true);
  });

  test('without auto-run an edit says so', () => {
    document.body.dataset.qwbSettings = JSON.stringify({ autoRun: false, colouring: 'dtype' });
    open({ selected: 'softmax', panel: details('softmax') });
    expect(labelled<HTMLSelectElement>('Colour by').value).toBe('dtype');
    one<HTMLInputElement>('.qwb-inspector input[value=bpu]').click();
    expect(model.sent[0]).toMatchObject({ type: 'edit', run: false });
  });
});

describe('two states side by side', () => {
  const comparison = (): Comparison => ({
    index: 0,
    text: 'as loaded',
    view: view(),
    nodes: { softmax: 'CPU float32 -> BPU int8' },
    outputs: []
  });

  test('A stands beside B, and what differs is marked in both', () => {
    open({ history: [{ index: 0, text: 'as loaded', current: true }], settings: { marches: ['bayes'] } });
    expect(one('.qwb-compare').hidden).toBe(true);
    change(labelled<HTMLSelectElement>('Compare with'), '0');
    expect(model.sent).toEqual([{ type: 'compare', index: 0 }]);
    model.set('comparison', comparison());
    expect(one('.qwb-compare').hidden).toBe(false);
    expect(one('.qwb-differences').textContent).toBe('softmax CPU float32 -> BPU int8');
    expect(labelled<HTMLSelectElement>('Compare with').value).toBe('0');
    model.set('comparison', {});
    expect(one('.qwb-compare').hidden).toBe(true);
  });
});

test('the journal goes to any step', () => {
  open({
    history: [
      { index: 0, text: 'as loaded', current: false },
      { index: 1, text: 'softmax: run_on_bpu', current: true }
    ]
  });
  click(one('[data-key="step 0"]'));
  expect(model.sent).toEqual([{ type: 'jump', index: 0 }]);
});

test('the table has the selection of the graph, one tab stop, and arrows', () => {
  const table = view()
    .nodes.filter(item => item.kind === 'op')
    .map(({ id, op, on, dtype, cosine, l1, reason }) => ({ id, op, on, dtype, cosine, l1, reason }));
  open({ table });
  one<HTMLInputElement>('input[value=table]').click();
  click(one('tr[data-row=norm] button'));
  expect(model.get('selected')).toBe('norm');
  expect(el.querySelectorAll('tbody [tabindex="0"]')).toHaveLength(1);
  press(one('tr[data-row=norm] button'), 'ArrowDown');
  expect(document.activeElement?.closest<HTMLElement>('tr')?.dataset.row).toBe('head.conv');
  press(document.activeElement!, 'Enter', { shiftKey: true });
  expect(model.get('picked')).toEqual(['norm', 'head.conv']);
});

test('a histogram counts what lies beyond the threshold; colours follow', () => {
  const data = { low: -2, high: 2, counts: [1, 2, 4, 1], total: 8 };
  expect(saturated(data, 1)).toBe(0.25);
  open({ selected: 'softmax', panel: details('softmax', { histogram: data, threshold: 1 }) });
  expect(el.querySelectorAll('.qwb-bar.qwb-out')).toHaveLength(2);
  expect(one('.qwb-histogram svg').getAttribute('aria-label')).toContain('threshold 1, 25 % beyond it');
});

test('a line over the runs needs two of them', () => {
  open();
  expect(sparkline('cosine', [0.9])).toBeNull();
  expect(sparkline('cosine', [0.9, null, 0.99])?.getAttribute('aria-label')).toContain(
    '3 runs, from 0.9 to 0.99'
  );
});

test('when the kernel is gone the page says so and takes no more edits', () => {
  open({ selected: 'softmax', panel: details('softmax') });
  model.emit('comm_live_update');
  expect(one('.qwb-lost').hidden).toBe(false);
  expect(one('.qwb-panels').hasAttribute('inert')).toBe(true);
});

test('what is being measured is marked', () => {
  open();
  model.set('status', { state: 'running', text: 'pool', done: 3, total: 16 });
  return new Promise<void>(resolve =>
    requestAnimationFrame(() => {
      expect(node('pool').classList.contains('qwb-running')).toBe(true);
      resolve();
    })
  );
});
