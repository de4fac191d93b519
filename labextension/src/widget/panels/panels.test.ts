import { expect, test } from 'vitest';
import { press } from '../../testing/fixtures';
import { CALIBRATED, openPage } from '../../testing/page';

const page = openPage(CALIBRATED);
const { open, one, all } = page;

test('shows one pane, and the arrow keys, Home and End move along it', () => {
  open();
  expect(all('[role=tab]').map(item => item.textContent)).toEqual([
    'Node',
    'Calibrate',
    'Sensitivity',
    'Mixed',
    'Layers',
    'Region',
    'Cases'
  ]);
  press(one('[data-tab=node]'), 'ArrowRight');
  expect(one('[data-tab=calibrate]').getAttribute('aria-selected')).toBe('true');
  expect(document.activeElement).toBe(one('[data-tab=calibrate]'));
  expect(all('[role=tabpanel]').filter(item => !item.hidden)).toHaveLength(1);
  press(one('[data-tab=calibrate]'), 'End');
  expect(one('[data-tab=cases]').getAttribute('tabindex')).toBe('0');
  expect(one('[data-tab=node]').getAttribute('tabindex')).toBe('-1');
  press(one('[data-tab=cases]'), 'ArrowRight');
  expect(one('[data-tab=node]').getAttribute('aria-selected')).toBe('true');
  expect(one('.qwb-main').hasAttribute('data-wide')).toBe(false);
});

test('a dot says that figures are older than the newest edit', () => {
  open({ standing: { sensitivity: 'stale', recipe: 'applied' } });
  expect(one('[data-tab=sensitivity]').classList.contains('qwb-tab-stale')).toBe(true);
  expect(one('[data-tab=mixed]').classList.contains('qwb-tab-stale')).toBe(false);
  page.model.set('standing', { sensitivity: 'fresh' });
  expect(one('[data-tab=sensitivity]').classList.contains('qwb-tab-stale')).toBe(false);
});
