import { expect, test } from 'vitest';
import { view } from '../testing/fixtures';
import { openPage } from '../testing/page';
import type { Comparison } from './state';

const page = openPage();
const { open, one, change, labelled } = page;

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
  expect(page.model.sent).toEqual([{ type: 'compare', index: 0 }]);
  page.model.set('comparison', comparison());
  expect(one('.qwb-compare').hidden).toBe(false);
  expect(one('.qwb-differences').textContent).toBe('softmax CPU float32 -> BPU int8');
  expect(labelled<HTMLSelectElement>('Compare with').value).toBe('0');
  page.model.set('comparison', {});
  expect(one('.qwb-compare').hidden).toBe(true);
});
