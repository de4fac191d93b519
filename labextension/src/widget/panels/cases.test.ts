import { expect, test } from 'vitest';
import { click } from '../../testing/fixtures';
import { CALIBRATED, openPage } from '../../testing/page';

const page = openPage(CALIBRATED);
const { open, one, named, tab } = page;

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
  expect(page.model.sent).toEqual([{ type: 'analyse', analysis: 'compare_layers', worst: 'L1' }]);
  expect(one('[data-tab=layers]').getAttribute('aria-selected')).toBe('true');
  tab('cases');
  click(named('Find bad cases'));
  expect(page.model.sent).toHaveLength(1);
});
