import { expect, test } from 'vitest';
import { click } from '../../testing/fixtures';
import { CALIBRATED, openPage } from '../../testing/page';
import { curve } from './trials';

const page = openPage(CALIBRATED);
const { open, pane, inPane, named, tab, type } = page;

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
  expect(page.model.sent[0]).toMatchObject({
    analysis: 'mixed_precision',
    options: { metric: 'COSINE', dtype: 'int16', cost: 'arithmetic', target: 0.999, budget: 1.5 }
  });
  click(named('Apply 2 edits as one step'));
  click([...pane().querySelectorAll<HTMLElement>('.qwb-trials tbody button')][0]);
  expect(page.model.sent.slice(1)).toEqual([
    { type: 'apply', what: 'mixed_precision' },
    { type: 'apply', what: 'mixed_precision', top_k: 4 }
  ]);
  page.model.set('standing', { mixed_precision: 'applied' });
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
  expect(page.model.sent[0]).toMatchObject({ analysis: 'recipe', options: { name: 'j6e', target: 0.999 } });
});
