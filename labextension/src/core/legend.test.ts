import { expect, test } from 'vitest';
import { view } from '../testing/fixtures';
import { legend } from './legend';

test('the legend explains exactly what occurs', () => {
  expect(legend(view(), 'placement').textContent).toBe(
    'on BPUon CPUremoved at inferenceAactivePpassiveMmanualQquantizeDQdequantizeRQrequantizeeditedfused'
  );
  expect(legend({ ...view(), edges: [], nodes: [] }, 'placement').textContent).toBe('');
  expect(legend(view(), 'cosine').textContent).toContain('\u2265 0.9999');
});
