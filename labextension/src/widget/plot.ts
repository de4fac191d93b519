/**
 * Draws what stands still in a chart: axes, a band, boxes, lines, levels, a mark. Pure: from `ChartData` and a width to SVG
 * elements and the places of the points. Knows nothing of the pointer, and not what the numbers mean.
 */
import { s } from '../core/dom';
import type { ChartData, Series } from './chartData';
import { makeScale, type Scale } from './scale';

export const TALL = 150;
export const TOP = 8;
/** Least room left of the axis, and the width of a letter of a tick. */
const LEFT = 34;
const LETTER = 6.4;
const RIGHT = 8;
const FOOT = 20;
/** Room for the name of the axis below its ticks. */
const NAME = 15;
/** More points than this are drawn without a disc each. */
const DISCS = 70;

const known = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);

/** Where things are, in CSS pixels. */
export interface Plot {
  width: number;
  left: number;
  right: number;
  /** Where the horizontal axis is. */
  bottom: number;
  /** Of each point, from the left. */
  places: readonly number[];
  x: Scale;
  y: Scale;
  across: (x: number) => number;
  down: (y: number) => number;
}

/** Give `data` its room in a chart that is `width` wide. */
export function layOut(data: ChartData, width: number): Plot {
  const xs = data.xs ?? data.names.map((_, index) => index);
  const bottom = TALL - FOOT - (data.xs ? NAME : 0);
  const x = makeScale('linear', xs, 5);
  const y = makeScale(data.y ?? 'linear', [...all(data)]);
  const left = Math.max(LEFT, 10 + LETTER * Math.max(...y.ticks.map(tick => y.write(tick).length)));
  const right = width - RIGHT;
  const across = (value: number) => left + x.at(value) * (width - left - RIGHT);
  const down = (value: number) => bottom - y.at(value) * (bottom - TOP);
  return { width, left, right, bottom, places: xs.map(across), down, x, y, across };
}

/** Where point `index` is from the top; null where it has no figure. */
export function heightOf(data: ChartData, { down }: Plot, index: number): number | null {
  const series = data.series.find(({ values }) => known(values[index]));
  const value = series?.values[index] ?? data.boxes?.median[index];
  return known(value) ? down(value) : null;
}

/** All that is drawn of `data`, from the back to the front. */
export function drawing(data: ChartData, plot: Plot): SVGElement[] {
  return [
    ...axes(data, plot),
    ...bandAndBoxes(data, plot),
    ...data.series.flatMap(series => line(series, plot)),
    ...marks(data, plot)
  ];
}

/** Every figure that has to be in sight. */
function* all({ series, band, boxes, levels }: ChartData): Iterable<number> {
  for (const values of [...series.map(item => item.values), ...(band ?? [])]) {
    yield* values.filter(known);
  }
  yield* [...(boxes?.min ?? []), ...(boxes?.max ?? []), ...(levels ?? []).map(level => level.value)];
}

function axes(data: ChartData, { left, right, bottom, places, down, across, x, y }: Plot): SVGElement[] {
  const found: SVGElement[] = y.ticks.flatMap(tick => [
    s('path', { class: 'qwb-grid', d: `M${left} ${down(tick).toFixed(1)}H${right}` }),
    s('text', { x: left - 6, y: down(tick), dy: '0.34em', 'text-anchor': 'end' }, y.write(tick))
  ]);
  found.push(s('path', { class: 'qwb-axis', d: `M${left} ${bottom}H${right}` }));
  const label = data.xText ?? 'layer';
  if (data.xs) {
    found.push(
      ...x.ticks.map(tick =>
        s('text', { x: across(tick), y: bottom + 14, 'text-anchor': 'middle' }, x.write(tick))
      ),
      s('text', { x: (left + right) / 2, y: bottom + 28, 'text-anchor': 'middle' }, label)
    );
  } else if (data.names.length > 0) {
    found.push(
      s('text', { x: places[0], y: TALL - 6, 'text-anchor': 'start' }, `${label} 1`),
      s('text', { x: right, y: TALL - 6, 'text-anchor': 'end' }, String(data.names.length))
    );
  }
  return found;
}

function bandAndBoxes({ band, boxes }: ChartData, { width, left, places, down }: Plot): SVGElement[] {
  const found: SVGElement[] = [];
  if (band) {
    const [low, high] = band;
    const at = (values: readonly (number | null)[]) =>
      values.flatMap((value, index) =>
        known(value) && known(low[index]) ? [`${places[index].toFixed(1)} ${down(value).toFixed(1)}`] : []
      );
    found.push(s('path', { class: 'qwb-band', d: `M${[...at(high), ...at(low).reverse()].join('L')}Z` }));
  }
  if (boxes) {
    const room = (width - left - RIGHT) / Math.max(1, boxes.min.length);
    const half = Math.max(0.5, Math.min(5, room * 0.32));
    boxes.min.forEach((low, index) => {
      const place = places[index];
      const [from, to] = [down(boxes.high[index]), down(boxes.low[index])];
      found.push(
        s('path', {
          class: 'qwb-whisker',
          d: `M${place.toFixed(1)} ${down(low).toFixed(1)}V${down(boxes.max[index]).toFixed(1)}`
        }),
        s('rect', {
          class: 'qwb-quartiles',
          x: place - half,
          y: from,
          width: 2 * half,
          height: Math.max(1, to - from)
        })
      );
    });
  }
  return found;
}

function line({ values, tone, ticks }: Series, { places, down }: Plot): SVGElement[] {
  let open = false;
  const path = values.map((value, index) => {
    if (!known(value)) {
      open = ticks ? false : open; // a fused layer has no figure: the line goes on behind it
      return '';
    }
    const place = `${places[index].toFixed(1)} ${down(value).toFixed(1)}`;
    if (ticks) {
      return `M${place}m-2.5 0h5`;
    }
    const step = `${open ? 'L' : 'M'}${place}`;
    open = true;
    return step;
  });
  const drawn: SVGElement[] = [s('path', { class: `qwb-series qwb-series-${tone}`, d: path.join('') })];
  if (!ticks && values.filter(known).length <= DISCS) {
    values.forEach((value, index) => {
      if (known(value)) {
        const disc = { cx: places[index], cy: down(value), r: 2.4 };
        drawn.push(s('circle', { class: `qwb-disc qwb-series-${tone}`, ...disc }));
      }
    });
  }
  return drawn;
}

function marks(
  { levels, mark }: ChartData,
  { width, left, right, bottom, places, down }: Plot
): SVGElement[] {
  const found: SVGElement[] = (levels ?? []).flatMap(({ value, text, tone }) => [
    s('path', {
      class: `qwb-level qwb-level-${tone}`,
      d: `M${left} ${down(value).toFixed(1)}H${right}`
    }),
    s('text', { class: 'qwb-level-text', x: right, y: down(value) - 4, 'text-anchor': 'end' }, text)
  ]);
  if (mark) {
    const place = places[mark.index];
    const end = place > width / 2;
    found.push(
      s('path', {
        class: `qwb-level qwb-level-${mark.tone}`,
        d: `M${place.toFixed(1)} ${TOP}V${bottom}`
      }),
      s(
        'text',
        {
          class: 'qwb-level-text',
          x: place + (end ? -4 : 4),
          y: TOP + 8,
          'text-anchor': end ? 'end' : 'start'
        },
        mark.text
      )
    );
  }
  return found;
}
