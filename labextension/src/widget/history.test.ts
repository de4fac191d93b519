import { expect, test } from 'vitest';
import { click } from '../testing/fixtures';
import { openPage } from '../testing/page';

const page = openPage();
const { open, one, text, button } = page;

test('edits are listed, the current one is marked, undone ones stay', () => {
  open({
    history: ['as loaded', 'a', 'b'].map((entry, index) => ({ index, text: entry, current: index === 1 }))
  });
  expect(text('.qwb-history [aria-current=step]')).toBe('a');
  expect(text('.qwb-undone')).toBe('b');
  click(button('Reset'));
  expect(page.model.sent).toEqual([{ type: 'reset' }]);
});

test('the journal goes to any step', () => {
  open({
    history: [
      { index: 0, text: 'as loaded', current: false },
      { index: 1, text: 'softmax: run_on_bpu', current: true }
    ]
  });
  click(one('[data-key="step 0"]'));
  expect(page.model.sent).toEqual([{ type: 'jump', index: 0 }]);
});
