import { expect, test } from 'vitest';
import { click, view } from '../../testing/fixtures';
import { CALIBRATED, openPage } from '../../testing/page';
import { sensitivityRows } from './sensitivity';

const page = openPage(CALIBRATED);
const { open, one, text, pane, inPane, named, tab, type } = page;

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

test('is asked for with metric and samples, and stopped', () => {
  open();
  tab('sensitivity');
  type('[data-key=samples]', 'images');
  click(named('Measure'));
  click(named('Estimate'));
  expect(page.model.sent).toEqual([
    { type: 'analyse', analysis: 'sensitivity', options: { metric: 'L1' }, samples: 'images' },
    { type: 'analyse', analysis: 'sensitivity_preview', options: { metric: 'L1' }, samples: 'images' }
  ]);
  page.model.set('status', { state: 'running', text: '', done: 0, total: 0 });
  expect(named('Measure').hidden).toBe(true);
  click(named('Cancel'));
  expect(page.model.sent.at(-1)).toEqual({ type: 'cancel' });
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
  expect(page.model.get('selected')).toBe('stem.conv');
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
  page.model.set('standing', { sensitivity: 'stale' });
  page.model.set('flags', { ...flags, sensitivity_stale: true });
  expect(inPane('.qwb-stale-note').hidden).toBe(false);
  expect(text('[data-node="stem.conv"] .qwb-score')).toBe('(0.5)');
  expect(text('.qwb-legend')).toContain('from before the newest edits');
  expect(one('[data-key=sensitivity]').classList.contains('qwb-stale')).toBe(true);
  click(one('.qwb-old-note button'));
  click(named('Measure again'));
  expect(page.model.sent).toHaveLength(2);
  page.model.set('flags', { ...flags, sensitivity_stale: false });
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
