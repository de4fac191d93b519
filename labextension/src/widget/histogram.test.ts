import { expect, test } from 'vitest';
import { details } from '../testing/fixtures';
import { openPage } from '../testing/page';
import { saturated } from './histogram';

const page = openPage();
const { open, one } = page;

test('a histogram counts what lies beyond the threshold; colours follow', () => {
  const data = { low: -2, high: 2, counts: [1, 2, 4, 1], total: 8 };
  expect(saturated(data, 1)).toBe(0.25);
  open({ selected: 'softmax', panel: details('softmax', { histogram: data, threshold: 1 }) });
  expect(page.el.querySelectorAll('.qwb-bar.qwb-out')).toHaveLength(2);
  expect(one('.qwb-histogram svg').getAttribute('aria-label')).toContain('threshold 1, 25 % beyond it');
});
