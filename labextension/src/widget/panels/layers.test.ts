import { expect, test } from 'vitest';
import { press } from '../../testing/fixtures';
import { CALIBRATED, openPage } from '../../testing/page';
import { layerChart } from './layerChart';

const page = openPage(CALIBRATED);
const { open, inPane, pane, tab } = page;

const layers = {
  columns: [
    'mod_name',
    'quant_dtype',
    'Cosine',
    'SQNR',
    'L1',
    'rmse_qscale',
    'local_Cosine',
    'base_model_min',
    'base_model_mean',
    'base_model_max',
    'reach',
    'local_rmse_qscale',
    'advice'
  ],
  rows: [
    ['stem.conv', '', null, null, null, null, null, -1, 0, 1, null, null, ''],
    ['pool', 'int8', 0.999, 40, 0.1, 0.3, 0.9999, 0, 0.5, 1, 1, 0.29, ''],
    ['softmax', 'int8', 0.9, 12, 0.2, 3, 0.95, 0, 0.1, 1, 0.5, 1, 'truncated']
  ],
  first_bad: 'softmax',
  partial: false
};

test('a fused layer has no point; the first bad one is marked; every figure is drawn', () => {
  expect(layerChart(layers, 'Cosine').names).toEqual(['pool', 'softmax']);
  expect(layerChart(layers, 'Cosine').mark?.index).toBe(1);
  expect(layerChart(layers, 'Cosine').says(1)).toBe(
    'softmax: through the network 0.900000, this layer alone 0.950000'
  );
  expect(layerChart(layers, 'accumulated').levels?.[0].text).toBe('healthy rounding 0.29');
  expect(layerChart(layers, 'ranges').band?.[1]).toEqual([1, 1]);
  expect(layerChart(layers, 'ranges').says(1)).toContain('codes reach 0.5');
  expect(layerChart(layers, 'L1').series).toHaveLength(1);
});

test('a point and a row go to their node, and only advice can be shown', () => {
  open({ found_compare_layers: layers });
  tab('layers');
  const chart = inPane<SVGSVGElement>('.qwb-chart-svg');
  press(chart, 'End');
  expect(inPane('.qwb-chart-says').textContent).toContain('softmax');
  press(chart, 'Enter');
  expect(page.model.get('selected')).toBe('softmax');
  const only = inPane<HTMLInputElement>('input[type=checkbox]');
  only.checked = true;
  only.dispatchEvent(new Event('change', { bubbles: true }));
  expect([...pane().querySelectorAll('tr[data-row]')]).toHaveLength(1);
});
