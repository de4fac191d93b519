import { expect, test } from 'vitest';
import { click } from '../../testing/fixtures';
import { CALIBRATED, openPage } from '../../testing/page';
import { shortName } from './candidates';
import { readRanges } from './ranges';

const page = openPage(CALIBRATED);
const { open, pane, named, tab, type } = page;

const found = {
  columns: ['candidate', 'step', 'cosine', 'l1', 'judged_by', 'chosen', 'note'],
  rows: [
    ['max', 1, 0.99, 0.1, 'emulator', '', ''],
    ['kl:num_bin=1024,max_num_bin=16384', 1, 0.991, 0.1, 'emulator', 'applied', ''],
    ['max, asymmetric', 3, 0.993, 0.1, 'fake-quant', 'winner', 'the emulator has none']
  ],
  strategy: 'default',
  why: 'max, asymmetric won',
  nodes: null,
  partial: false
};

test('every candidate is there, the winner is marked, another one is applied by a press', () => {
  open({ found_search: found, standing: { search: 'fresh', candidate: found.rows[1][0] as string } });
  tab('calibrate');
  const rows = [...pane().querySelectorAll<HTMLElement>('.qwb-candidates tbody tr')];
  expect(rows.map(row => row.querySelector('th')!.textContent)).toEqual([
    'max',
    'kl',
    '\u2605 max, asymmetric'
  ]);
  expect(rows[1].textContent).toContain('in force');
  expect(rows[2].textContent).toContain('fake-quant only');
  expect(rows[2].querySelector('button')).toBeNull();
  expect(pane().textContent).toContain('max, asymmetric won');
  click(rows[0].querySelector('button')!);
  expect(page.model.sent).toEqual([{ type: 'apply', what: 'candidate', name: 'max' }]);
});

test('both searches are asked for', () => {
  open();
  tab('calibrate');
  click(named('Default search'));
  click(named('Mix search'));
  expect(page.model.sent).toEqual([
    { type: 'calibrate', method: 'default', per_channel: false },
    { type: 'calibrate', method: 'mix', per_channel: false }
  ]);
});

test('known scales are fixed one by one or all at once', () => {
  const proposals = {
    columns: ['node', 'low', 'high', 'why', 'now', 'scale', 'dtype'],
    rows: [
      ['softmax', 0, 1, 'softmax ends at 1', 0.0077, 0.00787, 'int8'],
      ['image', 0, 255, 'looks like an image', 2, 2.008, 'int8']
    ]
  };
  open({ found_range_proposals: proposals });
  tab('calibrate');
  type('[data-key="ranges that you know"]', 'speed=0,200 tilt=-3.2,3.2');
  click(named('Look'));
  click(named('Fix'));
  click(named('Fix all 2'));
  expect(page.model.sent).toEqual([
    {
      type: 'analyse',
      analysis: 'range_proposals',
      options: { ranges: { speed: [0, 200], tilt: [-3.2, 3.2] } }
    },
    { type: 'apply', what: 'range_proposals', nodes: ['softmax'] },
    { type: 'apply', what: 'range_proposals', nodes: ['softmax', 'image'] }
  ]);
  expect(readRanges('speed=200,0')).toBeNull();
  expect(readRanges('speed')).toBeNull();
  expect(readRanges('  ')).toEqual({});
  expect(shortName('kl:num_bin=512,max_num_bin=1024')).toBe('kl:num_bin=512,max_num_bin=1024');
});
