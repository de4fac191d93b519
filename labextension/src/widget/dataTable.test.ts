import { expect, test } from 'vitest';
import { click, press } from '../testing/fixtures';
import { openPage } from '../testing/page';
import { inSight } from './windowed';

const page = openPage();
const { open, one, all } = page;

test('draws what is in sight and some rows more', () => {
  expect(inSight(0, 560, 28, 5000)).toEqual([0, 30]);
  expect(inSight(28000, 560, 28, 5000)).toEqual([990, 1030]);
  expect(inSight(139_900, 560, 28, 5000)).toEqual([4986, 5000]);
  expect(inSight(-60, 560, 28, 3)).toEqual([0, 3]);
  expect(inSight(500, 560, 28, 0)).toEqual([0, 0]);
});

test('of five thousand nodes only some dozens are in the page, and the keys reach the others', () => {
  const table = Array.from({ length: 5000 }, (_, i) => ({
    id: `node${i}`,
    op: 'Conv',
    on: 'BPU',
    dtype: 'int8',
    cosine: i / 5000,
    l1: 0,
    reason: ''
  }));
  open({ table });
  const choose = one<HTMLInputElement>('input[value=table]');
  choose.checked = true;
  choose.dispatchEvent(new Event('change', { bubbles: true }));
  const shown = () => all('.qwb-stage tr[data-row]').map(item => item.dataset.row);
  expect(shown().length).toBeLessThan(60);
  expect(one('.qwb-stage table').getAttribute('aria-rowcount')).toBe('5001');
  click(one('.qwb-stage [data-column=cosine] button'));
  click(one('.qwb-stage [data-column=cosine] button'));
  expect(shown()[0]).toBe('node4999');
  press(one('.qwb-stage tr[data-row=node4999] button'), 'PageDown');
  expect((document.activeElement?.closest('tr') as HTMLElement).dataset.row).toBe('node4987');
  press(document.activeElement!, 'Enter');
  expect(page.model.get('selected')).toBe('node4987');
});
