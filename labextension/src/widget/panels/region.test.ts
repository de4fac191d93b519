import { expect, test } from 'vitest';
import { click } from '../../testing/fixtures';
import { CALIBRATED, openPage } from '../../testing/page';

const page = openPage(CALIBRATED);
const { open, one, pane, named, tab } = page;

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
  expect(page.model.sent).toEqual([{ type: 'apply', what: 'bisect', how: 'int16' }]);
  tab('node');
  await drawn();
  expect(marked()).toBe(false);
});
