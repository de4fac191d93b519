/** From numbers to pixels along one axis, linear or logarithmic, with ticks at round numbers. */

import { formatNumber } from '../core/describe';

export type ScaleKind = 'linear' | 'log' | 'symlog';

export interface Scale {
  /** Position of `value`, 0 at the low end and 1 at the high end. */
  at: (value: number) => number;
  ticks: number[];
  /** A tick in as many digits as tell it from its neighbours. */
  write: (tick: number) => string;
}

/** Values below this are drawn at it on a logarithmic axis. */
const TINY = 1e-9;

const bend: Record<ScaleKind, (value: number) => number> = {
  linear: value => value,
  log: value => Math.log10(Math.max(value, TINY)),
  symlog: value => Math.sign(value) * Math.log10(1 + Math.abs(value))
};

/** Decimals that tell `ticks` apart. */
function written(ticks: readonly number[]): (tick: number) => string {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 1;
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  return tick =>
    digits > 8 || Math.abs(tick) >= 1e5 ? formatNumber(tick) : tick.toFixed(digits).replace('-', '\u2212');
}

/** About `count` round numbers between `low` and `high`. */
function round(low: number, high: number, count: number): number[] {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= raw * 0.999) ?? raw;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function powers(low: number, high: number, count: number): number[] {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const every = Math.max(1, Math.ceil((last - first + 1) / count));
  const found: number[] = [];
  for (let power = first; power <= last; power += every) {
    found.push(Number(`1e${power}`));
  }
  return found;
}

/** The axis that holds all of `values`; `count` ticks or so. */
export function makeScale(kind: ScaleKind, values: Iterable<number>, count = 4): Scale {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) {
    [low, high] = [0, 1];
  }
  if (kind === 'log') {
    low = Math.max(low, TINY);
    high = Math.max(high, low * 10);
  } else if (low === high) {
    const room = Math.abs(low) * 0.05 || 1;
    [low, high] = [low - room, high + room];
  }
  const [from, to] = [bend[kind](low), bend[kind](high)];
  const room = (to - from) * 0.06;
  const at = (value: number) => (bend[kind](value) - from + room) / (to - from + 2 * room);
  if (kind === 'log') {
    const ticks = powers(low, high, count);
    return ticks.length > 1 ? { at, ticks, write: formatNumber } : { at, ...even(low, high, count) };
  }
  if (kind === 'symlog') {
    const top = Math.max(Math.abs(low), Math.abs(high));
    const sizes = top > 2 ? powers(1, top, 2).filter(size => size > 1) : [];
    const found = [...sizes.map(size => -size), 0, ...sizes].filter(tick => tick >= low && tick <= high);
    return found.length > 1 ? { at, ticks: found, write: formatNumber } : { at, ...even(low, high, count) };
  }
  return { at, ...even(low, high, count) };
}

function even(low: number, high: number, count: number): Pick<Scale, 'ticks' | 'write'> {
  const ticks = round(low, high, count);
  return { ticks, write: written(ticks) };
}
