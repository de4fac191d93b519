import { expect, test } from 'vitest';
import { click } from '../testing/fixtures';
import { openPage } from '../testing/page';

const page = openPage();
const { open, one, text, button } = page;

test('buttons send, and follow the flags', () => {
  open();
  expect(button('Undo the last edit (Ctrl+Z)').disabled).toBe(true);
  page.model.set('flags', { can_undo: true, can_redo: true, stale: true, march: 'bayes-e' });
  click(button('Undo the last edit (Ctrl+Z)'));
  click(button('Redo (Ctrl+Shift+Z)'));
  click(button('Run'));
  expect(page.model.sent).toEqual([{ type: 'undo' }, { type: 'redo' }, { type: 'run' }]);
  expect(text('.qwb-status')).toContain('edits not run yet');
});

test('while running there is Cancel and progress instead of Run', () => {
  open({ status: { state: 'running', text: 'pool', done: 3, total: 16 } });
  expect(button('Run').hidden).toBe(true);
  expect(one<HTMLProgressElement>('progress').value).toBe(3);
  expect(text('.qwb-status')).toContain('Running 3 of 16: pool');
  click(button('Cancel'));
  expect(page.model.sent).toEqual([{ type: 'cancel' }]);
  page.model.set('status', { state: 'done', text: '', done: 16, total: 16 });
  expect(button('Run').hidden).toBe(false);
  expect(one('progress').hidden).toBe(true);
});
