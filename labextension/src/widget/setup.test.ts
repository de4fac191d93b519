import { expect, test } from 'vitest';
import { click, details } from '../testing/fixtures';
import { openPage } from '../testing/page';
import type { Settings } from './state';

const page = openPage();
const { open, one, change, labelled } = page;

const settings: Settings = {
  march: 'bayes-e',
  marches: ['bayes', 'bayes-e'],
  method: 'max',
  percentile: 0.9999,
  per_channel: false,
  methods: ['max', 'max-percentile', 'kl'],
  searches: ['default'],
  samples: 8,
  arithmetic: { rounding: 'half_even', scale_denominator: 127 },
  arithmetics: { rounding: ['half_even', 'half_up'], scale_denominator: [127, 128] }
};

test('march, calibration, arithmetic and sensitivity are one message each', () => {
  open({ settings });
  change(labelled<HTMLSelectElement>('March'), 'bayes');
  change(labelled<HTMLSelectElement>('Calibration'), 'kl');
  change(labelled<HTMLSelectElement>('scale = threshold /'), '128');
  click(one('[data-key=sensitivity]'));
  expect(page.model.sent).toEqual([
    { type: 'edit', edits: [{ kind: 'SetMarch', march: 'bayes' }] },
    { type: 'calibrate', method: 'kl', per_channel: false },
    { type: 'edit', edits: [{ kind: 'SetArithmetic', scale_denominator: 128 }] },
    { type: 'analyse', analysis: 'sensitivity', options: { metric: 'L1' } }
  ]);
});

test('a percentile is asked for only where the method has one, and checked', () => {
  open({ settings: { ...settings, method: 'max-percentile' } });
  const field = labelled<HTMLInputElement>('Percentile');
  expect(field.hidden).toBe(false);
  change(field, '7');
  expect(page.model.sent).toEqual([]);
  change(field, '0.999');
  expect(page.model.sent).toEqual([
    { type: 'calibrate', method: 'max-percentile', per_channel: false, percentile: 0.999 }
  ]);
  page.model.set('settings', settings);
  expect(field.hidden).toBe(true);
});

test('without auto-run an edit says so', () => {
  document.body.dataset.qwbSettings = JSON.stringify({ autoRun: false, colouring: 'dtype' });
  open({ selected: 'softmax', panel: details('softmax') });
  expect(labelled<HTMLSelectElement>('Colour by').value).toBe('dtype');
  one<HTMLInputElement>('.qwb-inspector input[value=bpu]').click();
  expect(page.model.sent[0]).toMatchObject({ type: 'edit', run: false });
});
