import { expect, test } from 'vitest';
import { COMMAND_EVENT } from '../core/types';
import { click, details, fakeModel, tableRows, view } from '../testing/fixtures';
import { openPage } from '../testing/page';
import widget from './index';

const page = openPage();
const { open, one, text, node } = page;
const rows = tableRows();

test('the empty panel says what to do, and the keys of Lab are off', () => {
  open();
  expect(text('.qwb-inspector')).toContain('Click a node');
  expect(one('.qwb-app').dataset.lmSuppressShortcuts).toBe('true');
});

test('without a graph there is a sentence instead of a hole', () => {
  open({ view: {} as never });
  expect(one('.qwb-no-graph').hidden).toBe(false);
  page.model.set('view', view());
  expect(one('.qwb-no-graph').hidden).toBe(true);
  expect(page.el.querySelectorAll('[data-node]').length).toBeGreaterThan(0);
});

test('a click on a node sets the trait once', () => {
  open();
  click(one('[data-node="stem.conv"]'));
  expect(page.model.get('selected')).toBe('stem.conv');
  expect(page.model.saves).toHaveBeenCalledOnce();
  click(one('[data-node="stem.conv"]'));
  expect(page.model.saves).toHaveBeenCalledOnce();
  expect(text('.qwb-live')).toContain('stem.conv, Conv, on BPU');
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
  expect(page.el.querySelector('img')).toBeNull();
});

test("JupyterLab's commands arrive by an event", () => {
  open();
  one('.qwb-app').dispatchEvent(new CustomEvent(COMMAND_EVENT, { detail: { type: 'undo' } }));
  expect(page.model.sent).toEqual([{ type: 'undo' }]);
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
  expect(page.model.listeners()).toBeGreaterThan(0);
  page.cleanup();
  expect(page.model.listeners()).toBe(0);
  expect(page.el.children).toHaveLength(0);
  const life = new AbortController();
  page.model = fakeModel();
  page.cleanup = widget.render({ model: page.model, el: page.el, signal: life.signal });
  life.abort();
  expect(page.model.listeners()).toBe(0);
});

test('when the kernel is gone the page says so and takes no more edits', () => {
  open({ selected: 'softmax', panel: details('softmax') });
  page.model.emit('comm_live_update');
  expect(one('.qwb-lost').hidden).toBe(false);
  expect(one('.qwb-panels').hasAttribute('inert')).toBe(true);
});

test('what is being measured is marked', () => {
  open();
  page.model.set('status', { state: 'running', text: 'pool', done: 3, total: 16 });
  return new Promise<void>(resolve =>
    requestAnimationFrame(() => {
      expect(node('pool').classList.contains('qwb-running')).toBe(true);
      resolve();
    })
  );
});
