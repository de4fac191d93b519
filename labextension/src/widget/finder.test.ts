import { expect, test } from 'vitest';
import { press, tableRows } from '../testing/fixtures';
import { openPage } from '../testing/page';

const page = openPage();
const { open, one, text } = page;
const rows = tableRows();

test('search counts, Enter walks through the matches, Escape clears', () => {
  open({ table: rows });
  const search = one<HTMLInputElement>('input[type=search]');
  search.value = 'cpu';
  search.dispatchEvent(new Event('input'));
  expect(text('.qwb-found')).toBe('2');
  one<HTMLInputElement>('input[value=table]').click();
  expect(page.el.querySelectorAll('tr[data-row]')).toHaveLength(2);
  press(search, 'Enter');
  expect(page.model.get('selected')).toBe('norm');
  press(search, 'Enter');
  expect(page.model.get('selected')).toBe('softmax');
  expect(text('.qwb-found')).toBe('2/2');
  press(search, 'Enter');
  expect(page.model.get('selected')).toBe('norm');
  press(search, 'Enter', { shiftKey: true });
  expect(page.model.get('selected')).toBe('softmax');
  press(search, 'Escape');
  expect(search.value).toBe('');
  expect(page.el.querySelectorAll('tr[data-row]')).toHaveLength(rows.length);
});
