/** How the values of a tensor were spread over the calibration data, with the threshold beyond which codes saturate. */
import { formatCount, formatNumber } from '../core/describe';
import { h, s } from '../core/dom';
import type { Histogram } from './details';

const SIZE = { width: 276, height: 84 };
const FOOT = 14;

/** Share of the values whose magnitude is above `threshold`, in 0..1; bins count by their middle. */
export function saturated({ low, high, counts, total }: Histogram, threshold: number): number {
  const step = (high - low) / counts.length;
  const beyond = counts.reduce(
    (sum, count, i) => (Math.abs(low + (i + 0.5) * step) > threshold ? sum + count : sum),
    0
  );
  return total > 0 ? beyond / total : 0;
}

/** Draw `data`; bars grow with the square root of the count, so that thin tails stay in sight. */
export function histogramPlot(data: Histogram, threshold: number | null): HTMLElement {
  const { low, high, counts } = data;
  const reach = threshold ?? 0;
  const [left, right] = [Math.min(low, -reach), Math.max(high, reach)];
  const x = (value: number) => ((value - left) / (right - left || 1)) * SIZE.width;
  const top = Math.sqrt(Math.max(1, ...counts));
  const tall = SIZE.height - FOOT - 4;
  const step = (high - low) / counts.length;
  const bars = counts.flatMap((count, i) => {
    const height = (Math.sqrt(count) / top) * tall;
    const [x0, x1] = [x(low + i * step), x(low + (i + 1) * step)];
    const out = threshold !== null && Math.abs(low + (i + 0.5) * step) > threshold;
    const bar = { x: x0, y: SIZE.height - FOOT - height, width: Math.max(0.6, x1 - x0 - 0.4), height };
    return count > 0 ? [s('rect', { ...bar, class: out ? 'qwb-bar qwb-out' : 'qwb-bar' })] : [];
  });
  const line = (value: number) =>
    s('path', { class: 'qwb-threshold', d: `M${x(value).toFixed(1)} 2V${SIZE.height - FOOT}` });
  const tick = (value: number, anchor: string) =>
    s('text', { x: x(value), y: SIZE.height - 3, 'text-anchor': anchor }, formatNumber(value));
  const share = threshold === null ? 0 : saturated(data, threshold);
  const beyond = share === 0 ? 'none' : share < 1e-4 ? '< 0.01 %' : `${(share * 100).toPrecision(2)} %`;
  const says =
    `${formatCount(data.total)} values from ${formatNumber(low)} to ${formatNumber(high)}` +
    (threshold === null ? '' : `; threshold ${formatNumber(threshold)}, ${beyond} beyond it`);
  return h(
    'figure',
    { class: 'qwb-histogram' },
    s(
      'svg',
      { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: 'img', 'aria-label': `Histogram: ${says}` },
      ...bars,
      s('path', { class: 'qwb-axis', d: `M0 ${SIZE.height - FOOT}H${SIZE.width}` }),
      threshold !== null && line(threshold),
      threshold !== null && low < 0 && line(-threshold),
      tick(left, 'start'),
      tick(right, 'end'),
      left < 0 && right > 0 && x(0) > 30 && x(0) < SIZE.width - 30 && tick(0, 'middle')
    ),
    h('figcaption', { class: 'qwb-hint' }, says)
  );
}
