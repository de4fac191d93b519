import { expect, test } from 'vitest';
import { openPage } from '../testing/page';
import { delta } from './outputs';
import { sparkline } from './sparkline';

const page = openPage();
const { open, one, text } = page;

const row = { output: 'p', cosine: 0.9931, l1: 0.0037, cosine_before: 0.99, l1_before: 0.004 };

test('a change has arrow, sign and word', () => {
  expect(delta(0.0012, true)!.textContent).toBe('\u25b2 +0.0012 better');
  expect(delta(-0.0012, true)!.textContent).toBe('\u25bc \u22120.0012 worse');
  expect(delta(-0.0012, false)!.textContent).toBe('\u25bc \u22120.0012 better');
  expect(delta(0, true)!.textContent).toBe('unchanged');
  expect(delta(null, true)).toBeNull();
});

test('results are shown and announced', () => {
  open();
  expect(text('.qwb-outputs')).toContain('No run yet');
  page.model.set('outputs', [{ ...row, delta_cosine: 0.0031, delta_l1: -0.0003 }]);
  expect(text('.qwb-outputs')).toContain('0.9931');
  expect(one('.qwb-outputs .qwb-better')).not.toBeNull();
  expect(text('.qwb-live')).toBe('p: cosine 0.9931, \u25b2 +0.0031 better, L1 0.0037');
});

test('a line over the runs needs two of them', () => {
  open();
  expect(sparkline('cosine', [0.9])).toBeNull();
  expect(sparkline('cosine', [0.9, null, 0.99])?.getAttribute('aria-label')).toContain(
    '3 runs, from 0.9 to 0.99'
  );
});
