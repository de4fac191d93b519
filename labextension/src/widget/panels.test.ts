import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { click, fakeModel, press, view, type FakeModel } from '../testing/fixtures';
import { Chart } from './chart';
import { records } from './found';
import widget from './index';
import { numbers, refusal } from './inputForm';
import { shortName } from './panels/candidates';
import { layerChart } from './panels/layerChart';
import { readRanges } from './panels/ranges';
import { sensitivityRows } from './panels/sensitivity';
import { curve } from './panels/trials';
import { makeScale } from './scale';
import type { Traits } from './state';
import { inSight } from './windowed';

let model: FakeModel;
let el: HTMLElement;
let cleanup: () => void;

const one = <T extends Element = HTMLElement>(selector: string) => el.querySelector<T>(selector)!;
const all = (selector: string) => [...el.querySelectorAll<HTMLElement>(selector)];
const text = (selector: string) => one(selector)?.textContent ?? '';
const pane = () => all('[role=tabpanel]').find(item => !item.hidden)!;
const inPane = <T extends Element = HTMLElement>(selector: string) => pane().querySelector<T>(selector)!;
const named = (name: string) =>
  [...pane().querySelectorAll('button')].find(item => item.textContent === name)!;
const open = (state: Partial<Traits> = {}) => {
  model = fakeModel({ settings: { samples: 8, searches: ['default', 'mix'] }, ...state });
  cleanup = widget.render({ model, el });
};
const tab = (name: string) => click(one(`[data-tab=${name}]`));
const type = (selector: string, value: string) => {
  const input = inPane<HTMLInputElement>(selector);
  input.value = value;
  input.dispatchEvent(new Event('input', { bubbles: true }));
};

beforeEach(() => {
  el = document.createElement('div');
  document.body.append(el);
});
afterEach(() => {
  cleanup?.();
  document.body.replaceChildren();
});

const sensitivity = {
  columns: ['op_name', 'sensitive_type', 'op_type', 'output', 'L1', 'quant_dtype', 'flops', 'flops_share'],
  rows: [
    ['softmax', 'activation', 'Softmax', 'a', 0.5, 'int8', 10, 0.2],
    ['stem.conv', 'weight', 'Conv', 'a', 0.25, 'int8', 40, 0.8],
    ['stem.conv', 'activation', 'Conv', 'b', 0.1, 'int16', 40, 0.8]
  ],
  metrics: ['L1'],
  estimate: false,
  partial: false
};

describe('the bar of tabs', () => {
  test('shows one pane, and the arrow keys, Home and End move along it', () => {
    open();
    expect(all('[role=tab]').map(item => item.textContent)).toEqual([
      'Node',
      'Calibrate',
      'Sensitivity',
      'Mixed',
      'Layers',
      'Region',
      'Cases'
    ]);
    press(one('[data-tab=node]'), 'ArrowRight');
    expect(one('[data-tab=calibrate]').getAttribute('aria-selected')).toBe('true');
    expect(document.activeElement).toBe(one('[data-tab=calibrate]'));
    expect(all('[role=tabpanel]').filter(item => !item.hidden)).toHaveLength(1);
    press(one('[data-tab=calibrate]'), 'End');
    expect(one('[data-tab=cases]').getAttribute('tabindex')).toBe('0');
    expect(one('[data-tab=node]').getAttribute('tabindex')).toBe('-1');
    press(one('[data-tab=cases]'), 'ArrowRight');
    expect(one('[data-tab=node]').getAttribute('aria-selected')).toBe('true');
    expect(one('.qwb-main').hasAttribute('data-wide')).toBe(false);
  });

  test('a dot says that figures are older than the newest edit', () => {
    open({ standing: { sensitivity: 'stale', recipe: 'applied' } });
    expect(one('[data-tab=sensitivity]').classList.contains('qwb-tab-stale')).toBe(true);
    expect(one('[data-tab=mixed]').classList.contains('qwb-tab-stale')).toBe(false);
    model.set('standing', { sensitivity: 'fresh' });
    expect(one('[data-tab=sensitivity]').classList.contains('qwb-tab-stale')).toBe(false);
  });
});

describe('sensitivity', () => {
  test('is asked for with metric and samples, and stopped', () => {
    open();
    tab('sensitivity');
    type('[data-key=samples]', 'images');
    click(named('Measure'));
    click(named('Estimate'));
    expect(model.sent).toEqual([
      { type: 'analyse', analysis: 'sensitivity', options: { metric: 'L1' }, samples: 'images' },
      { type: 'analyse', analysis: 'sensitivity_preview', options: { metric: 'L1' }, samples: 'images' }
    ]);
    model.set('status', { state: 'running', text: '', done: 0, total: 0 });
    expect(named('Measure').hidden).toBe(true);
    click(named('Cancel'));
    expect(model.sent.at(-1)).toEqual({ type: 'cancel' });
  });

  test('shows rows, filters them, and a press on one goes to its node', () => {
    open({ found_sensitivity: sensitivity });
    tab('sensitivity');
    expect(pane().querySelectorAll('tr[data-row]')).toHaveLength(3);
    expect(pane().textContent).toContain('3 rows, worst first, by L1');
    const kind = inPane<HTMLSelectElement>('[data-key=show]');
    kind.value = 'weight';
    kind.dispatchEvent(new Event('change', { bubbles: true }));
    expect(pane().querySelectorAll('tr[data-row]')).toHaveLength(1);
    click(inPane('tr[data-row] button'));
    expect(model.get('selected')).toBe('stem.conv');
    expect(inPane('tr[data-row]').getAttribute('aria-current')).toBe('true');
  });

  test('old figures are marked in the table, the legend and the graph, and can be measured again', () => {
    const nodes = view().nodes.map(node => ({ ...node, sensitivity: node.id === 'stem.conv' ? 0.5 : null }));
    const flags = { can_undo: true, can_redo: false, stale: false, march: 'bayes-e' };
    open({
      view: { ...view(), nodes },
      found_sensitivity: sensitivity,
      colouring: 'sensitivity',
      flags,
      standing: { sensitivity: 'fresh' }
    });
    tab('sensitivity');
    expect(inPane('.qwb-stale-note').hidden).toBe(true);
    expect(text('[data-node="stem.conv"] .qwb-score')).toBe('0.5');
    model.set('standing', { sensitivity: 'stale' });
    model.set('flags', { ...flags, sensitivity_stale: true });
    expect(inPane('.qwb-stale-note').hidden).toBe(false);
    expect(text('[data-node="stem.conv"] .qwb-score')).toBe('(0.5)');
    expect(text('.qwb-legend')).toContain('from before the newest edits');
    expect(one('[data-key=sensitivity]').classList.contains('qwb-stale')).toBe(true);
    click(one('.qwb-old-note button'));
    click(named('Measure again'));
    expect(model.sent).toHaveLength(2);
    model.set('flags', { ...flags, sensitivity_stale: false });
    expect(text('[data-node="stem.conv"] .qwb-score')).toBe('0.5');
  });

  test('the bar of a row is as long as it is bad, whatever the metric', () => {
    const by = (metric: string, values: number[]) =>
      sensitivityRows({
        ...sensitivity,
        columns: sensitivity.columns.map(name => (name === 'L1' ? metric : name)),
        rows: sensitivity.rows.map((row, i) => row.map((cell, j) => (j === 4 ? values[i] : cell))),
        metrics: [metric]
      }).map(row => Number(row.bad.toFixed(6)));
    expect(by('L1', [0.5, 0.25, 0.1])).toEqual([1, 0.5, 0.2]);
    expect(by('COSINE', [0.9, 0.95, 1])).toEqual([1, 0.5, 0]);
    expect(by('SQNR', [20, 40, 60])).toEqual([1, 0.1, 0.01]);
  });

  test('names are text, never markup', () => {
    const rows = [['<img src=x onerror=alert(1)>', 'weight', 'Conv', 'a', 1, 'int8', 1, 1]];
    open({ found_sensitivity: { ...sensitivity, rows } });
    tab('sensitivity');
    expect(pane().querySelector('img')).toBeNull();
    expect(pane().textContent).toContain('<img src=x');
  });
});

describe('calibration', () => {
  const found = {
    columns: ['candidate', 'step', 'cosine', 'l1', 'judged_by', 'chosen', 'note'],
    rows: [
      ['max', 1, 0.99, 0.1, 'emulator', '', ''],
      ['kl:num_bin=1024,max_num_bin=16384', 1, 0.991, 0.1, 'emulator', 'applied', ''],
      ['max, asymmetric', 3, 0.993, 0.1, 'fake-quant', 'winner', 'the emulator has none']
    ],
    strategy: 'default',
    why: 'max, asymmetric won',
    nodes: null,
    partial: false
  };

  test('every candidate is there, the winner is marked, another one is applied by a press', () => {
    open({ found_search: found, standing: { search: 'fresh', candidate: found.rows[1][0] as string } });
    tab('calibrate');
    const rows = [...pane().querySelectorAll<HTMLElement>('.qwb-candidates tbody tr')];
    expect(rows.map(row => row.querySelector('th')!.textContent)).toEqual([
      'max',
      'kl',
      '\u2605 max, asymmetric'
    ]);
    expect(rows[1].textContent).toContain('in force');
    expect(rows[2].textContent).toContain('fake-quant only');
    expect(rows[2].querySelector('button')).toBeNull();
    expect(pane().textContent).toContain('max, asymmetric won');
    click(rows[0].querySelector('button')!);
    expect(model.sent).toEqual([{ type: 'apply', what: 'candidate', name: 'max' }]);
  });

  test('both searches are asked for', () => {
    open();
    tab('calibrate');
    click(named('Default search'));
    click(named('Mix search'));
    expect(model.sent).toEqual([
      { type: 'calibrate', method: 'default', per_channel: false },
      { type: 'calibrate', method: 'mix', per_channel: false }
    ]);
  });

  test('known scales are fixed one by one or all at once', () => {
    const proposals = {
      columns: ['node', 'low', 'high', 'why', 'now', 'scale', 'dtype'],
      rows: [
        ['softmax', 0, 1, 'softmax ends at 1', 0.0077, 0.00787, 'int8'],
        ['image', 0, 255, 'looks like an image', 2, 2.008, 'int8']
      ]
    };
    open({ found_range_proposals: proposals });
    tab('calibrate');
    type('[data-key="ranges that you know"]', 'speed=0,200 tilt=-3.2,3.2');
    click(named('Look'));
    click(named('Fix'));
    click(named('Fix all 2'));
    expect(model.sent).toEqual([
      {
        type: 'analyse',
        analysis: 'range_proposals',
        options: { ranges: { speed: [0, 200], tilt: [-3.2, 3.2] } }
      },
      { type: 'apply', what: 'range_proposals', nodes: ['softmax'] },
      { type: 'apply', what: 'range_proposals', nodes: ['softmax', 'image'] }
    ]);
    expect(readRanges('speed=200,0')).toBeNull();
    expect(readRanges('speed')).toBeNull();
    expect(readRanges('  ')).toEqual({});
    expect(shortName('kl:num_bin=512,max_num_bin=1024')).toBe('kl:num_bin=512,max_num_bin=1024');
  });
});

describe('an image input', () => {
  const input = {
    name: 'image',
    shape: ['1', '3', '8', '8'],
    declared: null,
    choices: {
      rt: { rgb: ['rgb', 'nv12'], gray: ['gray'], featuremap: ['featuremap'] },
      layout: ['NCHW', 'NHWC'],
      space: ['regular', 'bt601_video'],
      fit: ['exact', 'resize']
    },
    channels: { rgb: 3, gray: 1, featuremap: 0 }
  };
  const change = (key: string, value: string) => {
    const select = one<HTMLSelectElement>(`.qwb-inspector [data-key="${key}"]`);
    select.value = value;
    select.dispatchEvent(new Event('change', { bubbles: true }));
  };

  test('is declared in one edit, with the types that go together only', () => {
    open({ inputs: [input], selected: 'input:image' });
    change('trained on', 'gray');
    expect([...one<HTMLSelectElement>('[data-key="at runtime"]').options].map(item => item.value)).toEqual([
      'gray'
    ]);
    change('trained on', 'rgb');
    change('at runtime', 'nv12');
    const mean = one<HTMLInputElement>('[data-key=mean]');
    mean.value = '1 2';
    mean.dispatchEvent(new Event('input', { bubbles: true }));
    expect(text('.qwb-refusal')).toBe('mean needs 1 number or 3, one per channel of rgb; got 2');
    click(one('[data-key="declare input"]'));
    expect(model.sent).toEqual([]);
    mean.value = '123.7 116.3 103.5';
    mean.dispatchEvent(new Event('input', { bubbles: true }));
    change('then', 'std');
    one<HTMLInputElement>('[data-key=by]').value = '58.4 57.1 57.4';
    click(one('[data-key="declare input"]'));
    const edit = {
      kind: 'SetPreprocess',
      node: 'image',
      rt: 'nv12',
      train: 'rgb',
      layout: 'NCHW',
      fit: 'exact',
      space: 'regular',
      mean: '123.7 116.3 103.5',
      std: '58.4 57.1 57.4'
    };
    expect(model.sent).toEqual([{ type: 'edit', edits: [edit] }]);
  });

  test('a refusal of the kernel stands in the form, and what was typed stays', () => {
    open({ inputs: [input], selected: 'input:image' });
    one<HTMLInputElement>('[data-key=mean]').value = '5';
    click(one('[data-key="declare input"]'));
    model.set('error', "input 'image' is 1x3x8x8 (NHWC), but rgb has 3 channels");
    expect(text('.qwb-refusal')).toContain('but rgb has 3 channels');
    expect(one<HTMLInputElement>('[data-key=mean]').value).toBe('5');
    model.set('inputs', [
      {
        ...input,
        declared: {
          rt: 'nv12',
          train: 'rgb',
          layout: 'NCHW',
          space: 'regular',
          fit: 'exact',
          mean: '5',
          scale: ''
        }
      }
    ]);
    expect(one('.qwb-refusal').hidden).toBe(true);
    expect(text('.qwb-inspector')).toContain('Declared: nv12 at runtime, trained on rgb.');
    click(one('[data-key="clear input"]'));
    expect(model.sent.at(-1)).toEqual({
      type: 'edit',
      edits: [{ kind: 'SetPreprocess', node: 'image', rt: 'auto' }]
    });
  });

  test('numbers are read as the file writes them', () => {
    expect(numbers('1, 2 3')).toEqual([1, 2, 3]);
    expect(numbers('1 two')).toBeNull();
    expect(refusal('std', '0 1 1', 'rgb', 3)).toBe('std must not be 0');
    expect(refusal('mean', '', 'rgb', 3)).toBe('');
  });
});

describe('mixed precision', () => {
  const trials = {
    columns: ['top_k', 'ratio', 'ops', 'int16', 'COSINE', 'cost', 'meets'],
    rows: [
      [0, 0, 0, 0, 0.99, 1, false],
      [4, 1, 4, 4, 0.9999, 2, true],
      [2, 0.5, 2, 2, 0.9995, 1.4, true]
    ],
    metric: 'COSINE',
    unit: '1: all int8',
    target: 0.999,
    chosen: [1.4, 0.9995] as [number, number],
    text: 'COSINE 0.999 reached',
    edits: 2,
    reached: true,
    notes: [],
    partial: false
  };

  test('is searched with a target or a budget, and the choice or any trial is applied', () => {
    open({ found_mixed_precision: trials });
    tab('mixed');
    type('[data-key=budget]', '1.5');
    click(named('Search'));
    expect(model.sent[0]).toMatchObject({
      analysis: 'mixed_precision',
      options: { metric: 'COSINE', dtype: 'int16', cost: 'arithmetic', target: 0.999, budget: 1.5 }
    });
    click(named('Apply 2 edits as one step'));
    click([...pane().querySelectorAll<HTMLElement>('.qwb-trials tbody button')][0]);
    expect(model.sent.slice(1)).toEqual([
      { type: 'apply', what: 'mixed_precision' },
      { type: 'apply', what: 'mixed_precision', top_k: 4 }
    ]);
    model.set('standing', { mixed_precision: 'applied' });
    expect(pane().textContent).toContain('Applied: the model is as this result proposes.');
    expect(named('Apply 2 edits as one step').hidden).toBe(true);
  });

  test('the curve goes by cost and leaves out what is no number', () => {
    const points = curve({ ...trials, rows: [...trials.rows, [9, 1, 9, 9, null, 3, false]] });
    expect(points.map(point => point.cost)).toEqual([1, 1.4, 2]);
  });

  test('a recipe shows its stages and what it decided', () => {
    const rows = [['all int16', '', 12, '', 0.9999, 2, true]];
    open({
      found_recipe: {
        ...trials,
        columns: ['stage', 'top_k', 'int16', 'float16', 'COSINE', 'cost', 'meets'],
        rows,
        chosen: null,
        notes: ['dual int16 is not available']
      }
    });
    tab('mixed');
    const way = inPane<HTMLInputElement>('input[value=recipe]');
    way.checked = true;
    way.dispatchEvent(new Event('change', { bubbles: true }));
    expect(pane().textContent).toContain('dual int16 is not available');
    click(named('Run the recipe'));
    expect(model.sent[0]).toMatchObject({ analysis: 'recipe', options: { name: 'j6e', target: 0.999 } });
  });
});

describe('layers, region, cases', () => {
  const layers = {
    columns: [
      'mod_name',
      'quant_dtype',
      'Cosine',
      'SQNR',
      'L1',
      'rmse_qscale',
      'local_Cosine',
      'base_model_min',
      'base_model_mean',
      'base_model_max',
      'reach',
      'local_rmse_qscale',
      'advice'
    ],
    rows: [
      ['stem.conv', '', null, null, null, null, null, -1, 0, 1, null, null, ''],
      ['pool', 'int8', 0.999, 40, 0.1, 0.3, 0.9999, 0, 0.5, 1, 1, 0.29, ''],
      ['softmax', 'int8', 0.9, 12, 0.2, 3, 0.95, 0, 0.1, 1, 0.5, 1, 'truncated']
    ],
    first_bad: 'softmax',
    partial: false
  };

  test('a fused layer has no point; the first bad one is marked; every figure is drawn', () => {
    expect(layerChart(layers, 'Cosine').names).toEqual(['pool', 'softmax']);
    expect(layerChart(layers, 'Cosine').mark?.index).toBe(1);
    expect(layerChart(layers, 'Cosine').says(1)).toBe(
      'softmax: through the network 0.900000, this layer alone 0.950000'
    );
    expect(layerChart(layers, 'accumulated').levels?.[0].text).toBe('healthy rounding 0.29');
    expect(layerChart(layers, 'ranges').band?.[1]).toEqual([1, 1]);
    expect(layerChart(layers, 'ranges').says(1)).toContain('codes reach 0.5');
    expect(layerChart(layers, 'L1').series).toHaveLength(1);
  });

  test('a point and a row go to their node, and only advice can be shown', () => {
    open({ found_compare_layers: layers });
    tab('layers');
    const chart = inPane<SVGSVGElement>('.qwb-chart-svg');
    press(chart, 'End');
    expect(inPane('.qwb-chart-says').textContent).toContain('softmax');
    press(chart, 'Enter');
    expect(model.get('selected')).toBe('softmax');
    const only = inPane<HTMLInputElement>('input[type=checkbox]');
    only.checked = true;
    only.dispatchEvent(new Event('change', { bubbles: true }));
    expect([...pane().querySelectorAll('tr[data-row]')]).toHaveLength(1);
  });

  test('a region is outlined while its tab is open, and repaired by a press', async () => {
    const drawn = () => new Promise(done => requestAnimationFrame(done));
    const region = {
      metric: 'COSINE',
      quantized: 0.9,
      repaired: 0.999,
      explained: 0.95,
      members: [['stem.conv', 'activation']] as [string, string][],
      ops: ['stem.conv'],
      trials: { columns: ['off'], rows: [[1]] },
      partial: false
    };
    open({ found_bisect: region });
    const marked = () => one('[data-node="stem.conv"]').classList.contains('qwb-region');
    expect(marked()).toBe(false);
    tab('region');
    await drawn();
    expect(marked()).toBe(true);
    expect(pane().textContent).toContain('One op explains 95.0 % of the loss');
    click(named('Raise the region to int16'));
    expect(model.sent).toEqual([{ type: 'apply', what: 'bisect', how: 'int16' }]);
    tab('node');
    await drawn();
    expect(marked()).toBe(false);
  });

  test('the layers are compared on the worst sample', () => {
    open({
      found_bad_cases: {
        columns: ['output', 'metric', 'sample', 'distance'],
        rows: [['a', 'L1', 3, 0.5]],
        worst: [['L1', 3, 'a', 0.5]],
        seen: 8,
        finished: true,
        replaced: {},
        partial: false
      }
    });
    tab('cases');
    click(named('Layers on it'));
    expect(model.sent).toEqual([{ type: 'analyse', analysis: 'compare_layers', worst: 'L1' }]);
    expect(one('[data-tab=layers]').getAttribute('aria-selected')).toBe('true');
    tab('cases');
    click(named('Find bad cases'));
    expect(model.sent).toHaveLength(1);
  });
});

describe('a long table', () => {
  test('draws what is in sight and some rows more', () => {
    expect(inSight(0, 560, 28, 5000)).toEqual([0, 30]);
    expect(inSight(28000, 560, 28, 5000)).toEqual([990, 1030]);
    expect(inSight(139_900, 560, 28, 5000)).toEqual([4986, 5000]);
    expect(inSight(-60, 560, 28, 3)).toEqual([0, 3]);
    expect(inSight(500, 560, 28, 0)).toEqual([0, 0]);
  });

  test('of five thousand nodes only some dozens are in the page, and the keys reach the others', () => {
    const table = Array.from({ length: 5000 }, (_, i) => ({
      id: `node${i}`,
      op: 'Conv',
      on: 'BPU',
      dtype: 'int8',
      cosine: i / 5000,
      l1: 0,
      reason: ''
    }));
    open({ table });
    const choose = one<HTMLInputElement>('input[value=table]');
    choose.checked = true;
    choose.dispatchEvent(new Event('change', { bubbles: true }));
    const shown = () => all('.qwb-stage tr[data-row]').map(item => item.dataset.row);
    expect(shown().length).toBeLessThan(60);
    expect(one('.qwb-stage table').getAttribute('aria-rowcount')).toBe('5001');
    click(one('.qwb-stage [data-column=cosine] button'));
    click(one('.qwb-stage [data-column=cosine] button'));
    expect(shown()[0]).toBe('node4999');
    press(one('.qwb-stage tr[data-row=node4999] button'), 'PageDown');
    expect((document.activeElement?.closest('tr') as HTMLElement).dataset.row).toBe('node4987');
    press(document.activeElement!, 'Enter');
    expect(model.get('selected')).toBe('node4987');
  });
});

describe('a chart', () => {
  test('has ticks that tell its values apart', () => {
    const close = makeScale('linear', [0.99999, 0.9999995]);
    expect(new Set(close.ticks.map(close.write)).size).toBe(close.ticks.length);
    expect(makeScale('log', [1e-4, 1]).ticks).toEqual([1e-4, 1e-2, 1]);
    expect(makeScale('symlog', [-12, 300]).ticks).toContain(0);
    expect(makeScale('linear', []).ticks.length).toBeGreaterThan(1);
    const flat = makeScale('linear', [3, 3]);
    expect(flat.at(3)).toBeCloseTo(0.5);
  });

  test('reads its points by keys and leaves out what has no figure', () => {
    const select = vi.fn();
    const chart = new Chart(select);
    chart.update({
      label: 'test',
      names: ['a', 'b', 'c'],
      series: [{ name: 's', tone: 'a', values: [1, null, 3] }],
      says: index => `point ${index}`
    });
    const svg = chart.element.querySelector('svg')!;
    press(svg, 'Home');
    press(svg, 'ArrowRight');
    expect(chart.element.querySelector('figcaption')!.textContent).toBe('point 2');
    press(svg, 'Enter');
    expect(select).toHaveBeenCalledWith(2);
  });

  test('records are rows by column', () => {
    expect(records({ columns: ['a', 'b'], rows: [[1, 'x']] })).toEqual([{ a: 1, b: 'x' }]);
    expect(records(null)).toEqual([]);
  });
});
