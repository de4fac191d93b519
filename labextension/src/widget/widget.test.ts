import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMAND_EVENT } from '../core/types';
import { click, details, fakeModel, press, view, type FakeModel } from '../testing/fixtures';
import { sortedBy } from './columns';
import widget from './index';
import { delta } from './outputs';
import type { TableRow, Traits } from './state';

let model: FakeModel;
let el: HTMLElement;
let cleanup: () => void;

const one = <T extends Element = HTMLElement>(selector: string) => el.querySelector<T>(selector)!;
const text = (selector: string) => one(selector)?.textContent ?? '';
const button = (name: string) =>
  [...el.querySelectorAll('button')].find(
    item => (item.getAttribute('aria-label') ?? item.textContent) === name
  )!;
const choose = (selector: string) => {
  const input = one<HTMLInputElement>(selector);
  input.checked = true;
  input.dispatchEvent(new Event('change', { bubbles: true }));
};

function open(state: Partial<Traits> = {}): void {
  model = fakeModel(state);
  cleanup = widget.render({ model, el });
}

beforeEach(() => {
  el = document.createElement('div');
  document.body.append(el);
});

afterEach(() => {
  cleanup();
  document.body.replaceChildren();
});

const rows: TableRow[] = view()
  .nodes.filter(node => node.kind === 'op')
  .map(({ id, op, on, dtype, cosine, l1, reason }) => ({ id, op, on, dtype, cosine, l1, reason }));

test('the empty panel says what to do, and the keys of Lab are off', () => {
  open();
  expect(text('.qwb-inspector')).toContain('Click a node');
  expect(one('.qwb-app').dataset.lmSuppressShortcuts).toBe('true');
});

test('without a graph there is a sentence instead of a hole', () => {
  open({ view: {} as never });
  expect(one('.qwb-no-graph').hidden).toBe(false);
  model.set('view', view());
  expect(one('.qwb-no-graph').hidden).toBe(true);
  expect(el.querySelectorAll('[data-node]').length).toBeGreaterThan(0);
});

test('a click on a node sets the trait once', () => {
  open();
  click(one('[data-node="stem.conv"]'));
  expect(model.get('selected')).toBe('stem.conv');
  expect(model.saves).toHaveBeenCalledOnce();
  click(one('[data-node="stem.conv"]'));
  expect(model.saves).toHaveBeenCalledOnce();
  expect(text('.qwb-live')).toContain('stem.conv, Conv, on BPU');
});

describe('the panel', () => {
  beforeEach(() => open({ selected: 'softmax', panel: details('softmax') }));

  test('says where, why and what would change it', () => {
    expect(text('.qwb-badge-on')).toBe('CPU');
    expect(text('.qwb-reason')).toBe('softmax stays on the CPU');
    expect(text('.qwb-facts')).toBe('Softmax is manual');
    expect(text('.qwb-pairs')).toContain('\u221e');
  });

  test('a way to change sends its edits in one message; advice without edits is no button', () => {
    click(button('run it on the BPU'));
    expect(model.sent).toEqual([
      { type: 'edit', edits: [{ kind: 'SetPlacement', node: 'softmax', on: 'bpu' }] }
    ]);
    expect(button('drop it from the model')).toBeUndefined();
    expect(text('.qwb-inspector')).toContain('drop it from the model');
  });

  test('placement', () => {
    expect(one<HTMLInputElement>('.qwb-place input[value=auto]').checked).toBe(true);
    choose('.qwb-place input[value=cpu]');
    expect(model.sent).toEqual([
      { type: 'edit', edits: [{ kind: 'SetPlacement', node: 'softmax', on: 'cpu' }] }
    ]);
  });

  test('unit conv', () => {
    click(button('After'));
    expect(model.sent).toEqual([
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
    expect(model.sent).toEqual([]);
    input.value = '0.0078125';
    press(input, 'Enter');
    expect(model.sent).toEqual([
      { type: 'edit', edits: [{ kind: 'FixScale', node: 'softmax', scale: 0.0078125 }] }
    ]);
    expect(button('Clear').disabled).toBe(true);
    model.set('panel', details('softmax', { fixed_scale: true }));
    click(button('Clear'));
    expect(model.sent.at(-1)).toEqual({ type: 'edit', edits: [{ kind: 'ClearScale', node: 'softmax' }] });
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
    expect(model.sent).toEqual([
      { type: 'edit', edits: [{ kind: 'SetDtype', node: 'softmax', output: 'int16' }] }
    ]);
  });

  test('a refused wish is taken back when the error comes', () => {
    choose('.qwb-place input[value=bpu]');
    model.set('error', 'softmax cannot run on the BPU');
    expect(one<HTMLInputElement>('.qwb-place input[value=auto]').checked).toBe(true);
    expect(text('.qwb-error')).toBe('softmax cannot run on the BPU');
    expect(one('.qwb-error').getAttribute('role')).toBe('alert');
  });

  test('the focus stays on the control that was used', () => {
    one<HTMLInputElement>('.qwb-place input[value=bpu]').focus();
    model.set(
      'panel',
      details('softmax', { on: 'BPU', requested: { ...details('softmax').requested!, on: 'bpu' } })
    );
    expect((document.activeElement as HTMLInputElement).value).toBe('bpu');
    expect(one<HTMLInputElement>('.qwb-place input[value=bpu]').checked).toBe(true);
  });

  test('a panel of another node is not shown as this one', () => {
    model.set('selected', 'pool');
    expect(text('.qwb-inspector')).not.toContain('softmax stays');
  });

  test('the modules around a node can be collapsed', () => {
    click(button('head'));
    expect(model.sent).toEqual([{ type: 'collapse', module: 'head', collapsed: true }]);
  });
});

test('names from the model are text, never markup', () => {
  const bad = '<img src=x onerror=alert(1)>';
  open({
    selected: bad,
    panel: details(bad, { reason: bad, facts: [bad], ways: [{ text: bad, edits: [] }] }),
    history: [{ index: 0, text: bad, current: true }],
    outputs: [
      {
        output: bad,
        cosine: 1,
        l1: 0,
        cosine_before: null,
        l1_before: null,
        delta_cosine: null,
        delta_l1: null
      }
    ],
    table: [{ ...rows[0], id: bad, reason: bad }],
    error: bad
  });
  expect(el.querySelector('img')).toBeNull();
});

describe('the toolbar', () => {
  test('buttons send, and follow the flags', () => {
    open();
    expect(button('Undo the last edit (Ctrl+Z)').disabled).toBe(true);
    model.set('flags', { can_undo: true, can_redo: true, stale: true, march: 'bayes-e' });
    click(button('Undo the last edit (Ctrl+Z)'));
    click(button('Redo (Ctrl+Shift+Z)'));
    click(button('Run'));
    expect(model.sent).toEqual([{ type: 'undo' }, { type: 'redo' }, { type: 'run' }]);
    expect(text('.qwb-status')).toContain('edits not run yet');
  });

  test('while running there is Cancel and progress instead of Run', () => {
    open({ status: { state: 'running', text: 'pool', done: 3, total: 16 } });
    expect(button('Run').hidden).toBe(true);
    expect(one<HTMLProgressElement>('progress').value).toBe(3);
    expect(text('.qwb-status')).toContain('Running 3 of 16: pool');
    click(button('Cancel'));
    expect(model.sent).toEqual([{ type: 'cancel' }]);
    model.set('status', { state: 'done', text: '', done: 16, total: 16 });
    expect(button('Run').hidden).toBe(false);
    expect(one('progress').hidden).toBe(true);
  });

  test('search counts, Enter walks through the matches, Escape clears', () => {
    open({ table: rows });
    const search = one<HTMLInputElement>('input[type=search]');
    search.value = 'cpu';
    search.dispatchEvent(new Event('input'));
    expect(text('.qwb-found')).toBe('2');
    one<HTMLInputElement>('input[value=table]').click();
    expect(el.querySelectorAll('tr[data-row]')).toHaveLength(2);
    press(search, 'Enter');
    expect(model.get('selected')).toBe('norm');
    press(search, 'Enter');
    expect(model.get('selected')).toBe('softmax');
    expect(text('.qwb-found')).toBe('2/2');
    press(search, 'Enter');
    expect(model.get('selected')).toBe('norm');
    press(search, 'Enter', { shiftKey: true });
    expect(model.get('selected')).toBe('softmax');
    press(search, 'Escape');
    expect(search.value).toBe('');
    expect(el.querySelectorAll('tr[data-row]')).toHaveLength(rows.length);
  });

  test("JupyterLab's commands arrive by an event", () => {
    open();
    one('.qwb-app').dispatchEvent(new CustomEvent(COMMAND_EVENT, { detail: { type: 'undo' } }));
    expect(model.sent).toEqual([{ type: 'undo' }]);
  });
});

describe('outputs', () => {
  const row = { output: 'p', cosine: 0.9931, l1: 0.0037, cosine_before: 0.99, l1_before: 0.004 };
  test('a change has arrow, sign and word', () => {
    expect(delta(0.0012, true)!.textContent).toBe('\u25b2 +0.0012 better');
    expect(delta(-0.0012, true)!.textContent).toBe('\u25bc \u22120.0012 worse');
    expect(delta(-0.0012, false)!.textContent).toBe('\u25bc \u22120.0012 better');
    expect(delta(0, true)!.textContent).toBe('unchanged');
    expect(delta(null, true)).toBeNull();
  });
  test('results are shown and announced', () => {
    open();
    expect(text('.qwb-outputs')).toContain('No run yet');
    model.set('outputs', [{ ...row, delta_cosine: 0.0031, delta_l1: -0.0003 }]);
    expect(text('.qwb-outputs')).toContain('0.9931');
    expect(one('.qwb-outputs .qwb-better')).not.toBeNull();
    expect(text('.qwb-live')).toBe('p: cosine 0.9931, \u25b2 +0.0031 better, L1 0.0037');
  });
});

test('edits are listed, the current one is marked, undone ones stay', () => {
  open({
    history: ['as loaded', 'a', 'b'].map((entry, index) => ({ index, text: entry, current: index === 1 }))
  });
  expect(text('.qwb-history [aria-current=step]')).toBe('a');
  expect(text('.qwb-undone')).toBe('b');
  click(button('Reset'));
  expect(model.sent).toEqual([{ type: 'reset' }]);
});

describe('the table', () => {
  test('is the twin of the graph: all nodes, selection both ways', () => {
    open({ table: rows });
    choose('input[value=table]');
    expect(one('.qwb-table').hidden).toBe(false);
    expect(one('.qwb-graph-pane').hidden).toBe(true);
    expect(el.querySelectorAll('tr[data-row]')).toHaveLength(rows.length);
    click(one('tr[data-row=softmax] button'));
    expect(model.get('selected')).toBe('softmax');
    expect(one('tr[data-row=softmax]').getAttribute('aria-current')).toBe('true');
  });

  test('narrows to an op, a placement, and to what changed', () => {
    open({ table: rows });
    choose('input[value=table]');
    const shown = () => [...el.querySelectorAll<HTMLElement>('tr[data-row]')].map(item => item.dataset.row);
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
    model.set(
      'table',
      rows.map(row => ({ ...row, on: 'BPU' }))
    );
    expect(one<HTMLSelectElement>('select[aria-label="Only this placement"]').value).toBe('CPU');
    expect(shown()).toEqual([]);
    pick('Only this placement', '');
    const changed = one<HTMLInputElement>('.qwb-table-filter input');
    expect(changed.disabled).toBe(true);
    model.set('comparison', { nodes: { softmax: 'placement' } });
    expect(changed.disabled).toBe(false);
    choose('.qwb-table-filter input');
    expect(shown()).toEqual(['softmax']);
    model.set('comparison', {});
    expect(changed.checked).toBe(false);
    expect(shown()).toEqual(rows.map(row => row.id));
  });

  test('sorts up, down and back, missing figures last', () => {
    open({ table: [...rows, { ...rows[0], id: 'unmeasured', cosine: null }] });
    choose('input[value=table]');
    const order = () => [...el.querySelectorAll<HTMLElement>('tr[data-row]')].map(item => item.dataset.row);
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
});

test('dark pages get dark colours, also when the theme changes', async () => {
  document.body.dataset.jpThemeLight = 'true';
  open();
  const app = one('.qwb-app');
  const light = app.style.getPropertyValue('--qwb-bpu-fill');
  document.body.dataset.jpThemeLight = 'false';
  await new Promise(resolve => setTimeout(resolve, 20));
  expect(app.dataset.theme).toBe('dark');
  expect(app.style.getPropertyValue('--qwb-bpu-fill')).not.toBe(light);
  delete document.body.dataset.jpThemeLight;
});

test('the end of a view removes every listener, by signal as well as by the returned function', () => {
  open();
  expect(model.listeners()).toBeGreaterThan(0);
  cleanup();
  expect(model.listeners()).toBe(0);
  expect(el.children).toHaveLength(0);
  const life = new AbortController();
  model = fakeModel();
  cleanup = widget.render({ model, el, signal: life.signal });
  life.abort();
  expect(model.listeners()).toBe(0);
});
