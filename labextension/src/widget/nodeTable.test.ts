import { expect, test } from 'vitest';
import { click, press, tableRows } from '../testing/fixtures';
import { openPage } from '../testing/page';
import { sortedBy } from './columns';
import type { TableRow } from './state';

const page = openPage();
const { open, one, all, text, choose } = page;
const rows = tableRows();

test('is the twin of the graph: all nodes, selection both ways', () => {
  open({ table: rows });
  choose('input[value=table]');
  expect(one('.qwb-table').hidden).toBe(false);
  expect(one('.qwb-graph-pane').hidden).toBe(true);
  expect(all('tr[data-row]')).toHaveLength(rows.length);
  click(one('tr[data-row=softmax] button'));
  expect(page.model.get('selected')).toBe('softmax');
  expect(one('tr[data-row=softmax]').getAttribute('aria-current')).toBe('true');
});

test('narrows to an op, a placement, and to what changed', () => {
  open({ table: rows });
  choose('input[value=table]');
  const shown = () => all('tr[data-row]').map(item => item.dataset.row);
  const pick = (name: string, value: string) => {
    const select = one<HTMLSelectElement>(`select[aria-label="${name}"]`);
    select.value = value;
    expect(select.value).toBe(value);
    select.dispatchEvent(new Event('change', { bubbles: true }));
  };
  const ids = (keep: (row: TableRow) => boolean) => rows.filter(keep).map(row => row.id);
  const { op } = rows[0];
  pick('Only this op', op);
  expect(shown()).toEqual(ids(row => row.op === op));
  expect(shown().length).toBeLessThan(rows.length);
  expect(text('.qwb-table-filter [role=status]')).toBe(`${shown().length} of ${rows.length} nodes`);
  pick('Only this op', '');
  pick('Only this placement', 'CPU');
  expect(shown()).toEqual(ids(row => row.on === 'CPU'));
  page.model.set(
    'table',
    rows.map(row => ({ ...row, on: 'BPU' }))
  );
  expect(one<HTMLSelectElement>('select[aria-label="Only this placement"]').value).toBe('CPU');
  expect(shown()).toEqual([]);
  pick('Only this placement', '');
  const changed = one<HTMLInputElement>('.qwb-table-filter input');
  expect(changed.disabled).toBe(true);
  page.model.set('comparison', { nodes: { softmax: 'placement' } });
  expect(changed.disabled).toBe(false);
  choose('.qwb-table-filter input');
  expect(shown()).toEqual(['softmax']);
  page.model.set('comparison', {});
  expect(changed.checked).toBe(false);
  expect(shown()).toEqual(rows.map(row => row.id));
});

test('sorts up, down and back, missing figures last', () => {
  open({ table: [...rows, { ...rows[0], id: 'unmeasured', cosine: null }] });
  choose('input[value=table]');
  const order = () => all('tr[data-row]').map(item => item.dataset.row);
  const head = one('[data-column=cosine]');
  click(head.firstElementChild!);
  expect(head.getAttribute('aria-sort')).toBe('ascending');
  expect(order().at(0)).toBe('head.fc');
  expect(order().at(-1)).toBe('unmeasured');
  click(head.firstElementChild!);
  expect(head.getAttribute('aria-sort')).toBe('descending');
  expect(order().at(-1)).toBe('unmeasured');
  click(head.firstElementChild!);
  expect(head.getAttribute('aria-sort')).toBe('none');
  expect(order().at(0)).toBe(rows[0].id);
});

test('sorting leaves its input alone', () => {
  const before = [...rows];
  sortedBy(rows, row => row.id, true);
  expect(rows).toEqual(before);
});

test('the table has the selection of the graph, one tab stop, and arrows', () => {
  open({ table: rows });
  one<HTMLInputElement>('input[value=table]').click();
  click(one('tr[data-row=norm] button'));
  expect(page.model.get('selected')).toBe('norm');
  expect(page.el.querySelectorAll('tbody [tabindex="0"]')).toHaveLength(1);
  press(one('tr[data-row=norm] button'), 'ArrowDown');
  expect(document.activeElement?.closest<HTMLElement>('tr')?.dataset.row).toBe('head.conv');
  press(document.activeElement!, 'Enter', { shiftKey: true });
  expect(page.model.get('picked')).toEqual(['norm', 'head.conv']);
});
