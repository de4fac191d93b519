import { expect, test } from 'vitest';
import { click, press } from '../testing/fixtures';
import { openPage } from '../testing/page';
import type { CommonDetails } from './details';
import { toggled } from './selection';

const page = openPage();
const { open, one, change, labelled, node } = page;

const common: CommonDetails = {
  names: ['norm', 'softmax'],
  on: { CPU: 2 },
  ops: { Softmax: 1, Mul: 1 },
  allowed: {
    on: ['auto', 'bpu', 'cpu'],
    input: ['int8'],
    weight: [],
    output: ['int8', 'int16'],
    unitconv: true
  },
  requested: { on: null, input: null, weight: null, output: null },
  dtype: { input: 'int8', weight: null, output: 'int8' },
  fixed: ['norm']
};

test('a modified click adds and takes out, a plain one starts over', () => {
  open();
  click(node('stem.conv'));
  const shifted = (id: string) =>
    node(id).dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey: true }));
  shifted('stem.relu');
  expect(page.model.get('picked')).toEqual(['stem.conv', 'stem.relu']);
  shifted('stem.conv');
  expect([page.model.get('selected'), page.model.get('picked')]).toEqual(['stem.relu', []]);
  shifted('stem.conv');
  click(node('input:image'));
  expect([page.model.get('selected'), page.model.get('picked')]).toEqual(['input:image', []]);
});

test('Shift+Enter does the same by keyboard', () => {
  open();
  node('stem.conv').focus();
  click(node('stem.conv'));
  press(node('stem.conv'), 'ArrowDown');
  press(one('.qwb-graph-pane [data-node][tabindex="0"]'), 'Enter', { shiftKey: true });
  expect(page.model.get('picked')).toHaveLength(2);
});

test('one change is one message with an edit per node', () => {
  open({ selected: 'softmax', picked: ['norm', 'softmax'], panel: { several: common } });
  expect(one('.qwb-inspector h3').textContent).toBe('2 nodes');
  one<HTMLInputElement>('.qwb-inspector input[value=bpu]').click();
  change(labelled<HTMLSelectElement>('dtype of the output'), 'int16');
  expect(page.model.sent).toEqual([
    {
      type: 'edit',
      edits: ['norm', 'softmax'].map(name => ({ kind: 'SetPlacement', node: name, on: 'bpu' }))
    },
    {
      type: 'edit',
      edits: ['norm', 'softmax'].map(name => ({ kind: 'SetDtype', node: name, output: 'int16' }))
    }
  ]);
});

test('the selection after one more press', () => {
  const none = { selected: '', picked: [] };
  expect(toggled(none, 'a')).toEqual({ selected: 'a', picked: [] });
  expect(toggled({ selected: 'a', picked: [] }, 'a')).toEqual(none);
  expect(toggled({ selected: 'b', picked: ['a', 'b', 'c'] }, 'b').picked).toEqual(['a', 'c']);
});
