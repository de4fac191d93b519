import { beforeEach, expect, test } from 'vitest';
import { click, details, press } from '../testing/fixtures';
import { openPage } from '../testing/page';

const page = openPage();
const { open, one, text, button, choose } = page;

beforeEach(() => open({ selected: 'softmax', panel: details('softmax') }));

test('says where, why and what would change it', () => {
  expect(text('.qwb-badge-on')).toBe('CPU');
  expect(text('.qwb-reason')).toBe('softmax stays on the CPU');
  expect(text('.qwb-facts')).toBe('Softmax is manual');
  expect(text('.qwb-pairs')).toContain('\u221e');
});

test('a way to change sends its edits in one message; advice without edits is no button', () => {
  click(button('run it on the BPU'));
  expect(page.model.sent).toEqual([
    { type: 'edit', edits: [{ kind: 'SetPlacement', node: 'softmax', on: 'bpu' }] }
  ]);
  expect(button('drop it from the model')).toBeUndefined();
  expect(text('.qwb-inspector')).toContain('drop it from the model');
});

test('placement', () => {
  expect(one<HTMLInputElement>('.qwb-place input[value=auto]').checked).toBe(true);
  choose('.qwb-place input[value=cpu]');
  expect(page.model.sent).toEqual([
    { type: 'edit', edits: [{ kind: 'SetPlacement', node: 'softmax', on: 'cpu' }] }
  ]);
});

test('unit conv', () => {
  click(button('After'));
  expect(page.model.sent).toEqual([
    { type: 'edit', edits: [{ kind: 'InsertUnitConv', node: 'softmax', where: 'after' }] }
  ]);
});

test('a fixed scale must be a positive number', () => {
  const input = one<HTMLInputElement>('[data-key=scale]');
  expect(input.value).toBe('0.0418');
  for (const wrong of ['0', '-1', '']) {
    input.value = wrong;
    click(button('Fix'));
  }
  expect(page.model.sent).toEqual([]);
  input.value = '0.0078125';
  press(input, 'Enter');
  expect(page.model.sent).toEqual([
    { type: 'edit', edits: [{ kind: 'FixScale', node: 'softmax', scale: 0.0078125 }] }
  ]);
  expect(button('Clear').disabled).toBe(true);
  page.model.set('panel', details('softmax', { fixed_scale: true }));
  click(button('Clear'));
  expect(page.model.sent.at(-1)).toEqual({ type: 'edit', edits: [{ kind: 'ClearScale', node: 'softmax' }] });
});

test('dtypes offer what is allowed, and nothing where nothing is', () => {
  const options = [...one<HTMLSelectElement>('[data-key="dtype output"]').options].map(
    option => option.textContent
  );
  expect(options).toEqual(['auto (int8)', 'int8', 'int16']);
  expect(one('[data-key="dtype weight"]')).toBeNull();
  const select = one<HTMLSelectElement>('[data-key="dtype output"]');
  select.value = 'int16';
  select.dispatchEvent(new Event('change'));
  expect(page.model.sent).toEqual([
    { type: 'edit', edits: [{ kind: 'SetDtype', node: 'softmax', output: 'int16' }] }
  ]);
});

test('a refused wish is taken back when the error comes', () => {
  choose('.qwb-place input[value=bpu]');
  page.model.set('error', 'softmax cannot run on the BPU');
  expect(one<HTMLInputElement>('.qwb-place input[value=auto]').checked).toBe(true);
  expect(text('.qwb-error')).toBe('softmax cannot run on the BPU');
  expect(one('.qwb-error').getAttribute('role')).toBe('alert');
});

test('the focus stays on the control that was used', () => {
  one<HTMLInputElement>('.qwb-place input[value=bpu]').focus();
  page.model.set(
    'panel',
    details('softmax', { on: 'BPU', requested: { ...details('softmax').requested!, on: 'bpu' } })
  );
  expect((document.activeElement as HTMLInputElement).value).toBe('bpu');
  expect(one<HTMLInputElement>('.qwb-place input[value=bpu]').checked).toBe(true);
});

test('a panel of another node is not shown as this one', () => {
  page.model.set('selected', 'pool');
  expect(text('.qwb-inspector')).not.toContain('softmax stays');
});

test('the modules around a node can be collapsed', () => {
  click(button('head'));
  expect(page.model.sent).toEqual([{ type: 'collapse', module: 'head', collapsed: true }]);
});
