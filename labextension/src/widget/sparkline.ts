/** A figure over the runs so far, as a small line; the last point is marked. Text beside it says the same. */
import { h, s } from '../core/dom';

const SIZE = { width: 72, height: 20 };
const PAD = 3;

/** Make the line of `values` (nulls are gaps), or null when there is nothing to see a change in. */
export function sparkline(name: string, values: readonly (number | null)[]): HTMLElement | null {
  const known = values.filter(value => value !== null);
  if (known.length < 2) {
    return null;
  }
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (index: number) => PAD + (index * (SIZE.width - 2 * PAD)) / (values.length - 1);
  const y = (value: number) =>
    high === low
      ? SIZE.height / 2
      : SIZE.height - PAD - ((value - low) / (high - low)) * (SIZE.height - 2 * PAD);
  const points = values.flatMap((value, index) => (value === null ? [] : [[x(index), y(value)] as const]));
  const [lastX, lastY] = points[points.length - 1];
  const line = points.map(([px, py], i) => `${i ? 'L' : 'M'}${px.toFixed(1)} ${py.toFixed(1)}`).join('');
  const says = `${name} over the last ${values.length} runs, from ${known[0]} to ${known[known.length - 1]}`;
  return h(
    'span',
    { class: 'qwb-spark', role: 'img', 'aria-label': says, title: says },
    s(
      'svg',
      { width: SIZE.width, height: SIZE.height, 'aria-hidden': 'true' },
      s('path', { d: line }),
      s('circle', { cx: lastX, cy: lastY, r: 2.4 })
    )
  );
}
