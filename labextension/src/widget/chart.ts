/**
 * A small chart from numbers: lines, a band, boxes, level lines, over layers or over a figure. The pointer (or the arrow keys)
 * moves a cursor that names the point; a click (or Enter) selects it. Knows numbers and names, not what they mean.
 */
import { h, s } from '../core/dom';
import { makeScale, type Scale, type ScaleKind } from './scale';

export interface Series {
  name: string;
  /** `a`, `b` or `c`: colour and dash. */
  tone: 'a' | 'b' | 'c';
  values: readonly (number | null)[];
  /** Short strokes instead of a line. */
  ticks?: boolean;
}

export interface Boxes {
  min: readonly number[];
  low: readonly number[];
  median: readonly number[];
  high: readonly number[];
  max: readonly number[];
}

export interface ChartData {
  label: string;
  /** What each point is called. */
  names: readonly string[];
  /** Where each point is; its place, where left out. */
  xs?: readonly number[];
  series: readonly Series[];
  /** Filled between the first and the second. */
  band?: readonly [readonly (number | null)[], readonly (number | null)[]];
  boxes?: Boxes;
  levels?: readonly { value: number; text: string; tone: 'good' | 'bad' }[];
  /** A point that stands out. */
  mark?: { index: number; text: string; tone: 'good' | 'bad' };
  y?: ScaleKind;
  xText?: string;
  /** What stands below while nothing is pointed at. */
  hint?: string;
  /** What the cursor says of point `index`. */
  says: (index: number) => string;
}

const TALL = 150;
/** Least room left of the axis, and the width of a letter of a tick. */
const LEFT = 34;
const LETTER = 6.4;
const RIGHT = 8;
const TOP = 8;
const FOOT = 20;
/** Room for the name of the axis below its ticks. */
const NAME = 15;
const DEFAULT_WIDTH = 420;
/** More points than this are drawn without a disc each. */
const DISCS = 70;

const known = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);

export class Chart {
  readonly element: HTMLElement;
  private readonly svg = s('svg', {
    class: 'qwb-chart-svg',
    tabindex: 0,
    role: 'img',
    height: TALL
  });
  private readonly cursor = s('g', { class: 'qwb-cursor' });
  private readonly says = h('figcaption', { class: 'qwb-hint qwb-chart-says', 'aria-live': 'polite' });
  private data: ChartData | null = null;
  private places: number[] = [];
  private heights: (index: number) => number | null = () => null;
  private width = DEFAULT_WIDTH;
  /** Where the axis is. */
  private bottom = TALL - FOOT;
  private left = LEFT;
  private at = -1;
  private current = '';

  /** `select` is called with the index of the point that was chosen. */
  constructor(private readonly select: (index: number) => void) {
    this.element = h('figure', { class: 'qwb-chart' }, this.svg, this.says);
    this.svg.addEventListener('pointermove', event => this.point(this.nearest(event.offsetX)));
    this.svg.addEventListener('pointerleave', () => this.point(-1));
    this.svg.addEventListener('click', event => this.choose(this.nearest(event.offsetX)));
    this.svg.addEventListener('keydown', event => this.pressed(event));
    this.svg.addEventListener('blur', () => this.point(-1));
    if (typeof ResizeObserver !== 'undefined') {
      new ResizeObserver(() => {
        const wide = this.element.clientWidth;
        if (wide > 0 && wide !== this.width) {
          this.width = wide;
          this.draw();
        }
      }).observe(this.element);
    }
  }

  /** Draw `data`; the point called `current` is the selected one. */
  update(data: ChartData, current = ''): void {
    this.data = data;
    this.current = current;
    this.at = -1;
    this.draw();
  }

  /** Mark the point called `name`. */
  set selected(name: string) {
    if (name !== this.current) {
      this.current = name;
      this.point(this.at);
    }
  }

  private draw(): void {
    const { data, svg, width } = this;
    if (!data) {
      return;
    }
    const count = data.names.length;
    const xs = data.xs ?? data.names.map((_, index) => index);
    this.bottom = TALL - FOOT - (data.xs ? NAME : 0);
    const x = makeScale('linear', xs, 5);
    const y = makeScale(data.y ?? 'linear', [...this.all(data)]);
    this.left = Math.max(LEFT, 10 + LETTER * Math.max(...y.ticks.map(tick => y.write(tick).length)));
    const across = (value: number) => this.left + x.at(value) * (width - this.left - RIGHT);
    const down = (value: number) => this.bottom - y.at(value) * (this.bottom - TOP);
    this.places = xs.map(across);
    this.heights = index => {
      const series = data.series.find(({ values }) => known(values[index]));
      const value = series?.values[index] ?? data.boxes?.median[index];
      return known(value) ? down(value) : null;
    };
    svg.setAttribute('aria-label', `${data.label}, ${count} points. Arrow keys read them, Enter selects.`);
    svg.setAttribute('viewBox', `0 0 ${width} ${TALL}`);
    svg.setAttribute('width', String(width));
    svg.replaceChildren(
      ...this.axes(data, x, y, across, down),
      ...this.bandAndBoxes(data, down),
      ...data.series.flatMap(series => this.line(series, down)),
      ...this.marks(data, down),
      this.cursor
    );
    this.point(this.at);
  }

  /** Every figure that has to be in sight. */
  private *all({ series, band, boxes, levels }: ChartData): Iterable<number> {
    for (const values of [...series.map(item => item.values), ...(band ?? [])]) {
      yield* values.filter(known);
    }
    yield* [...(boxes?.min ?? []), ...(boxes?.max ?? []), ...(levels ?? []).map(level => level.value)];
  }

  private axes(
    data: ChartData,
    x: Scale,
    y: Scale,
    across: (value: number) => number,
    down: (value: number) => number
  ): SVGElement[] {
    const { bottom } = this;
    const right = this.width - RIGHT;
    const found: SVGElement[] = y.ticks.flatMap(tick => [
      s('path', { class: 'qwb-grid', d: `M${this.left} ${down(tick).toFixed(1)}H${right}` }),
      s('text', { x: this.left - 6, y: down(tick), dy: '0.34em', 'text-anchor': 'end' }, y.write(tick))
    ]);
    found.push(s('path', { class: 'qwb-axis', d: `M${this.left} ${bottom}H${right}` }));
    const label = data.xText ?? 'layer';
    if (data.xs) {
      found.push(
        ...x.ticks.map(tick =>
          s('text', { x: across(tick), y: bottom + 14, 'text-anchor': 'middle' }, x.write(tick))
        ),
        s('text', { x: (this.left + right) / 2, y: bottom + 28, 'text-anchor': 'middle' }, label)
      );
    } else if (data.names.length > 0) {
      found.push(
        s('text', { x: this.places[0], y: TALL - 6, 'text-anchor': 'start' }, `${label} 1`),
        s('text', { x: right, y: TALL - 6, 'text-anchor': 'end' }, String(data.names.length))
      );
    }
    return found;
  }

  private bandAndBoxes({ band, boxes }: ChartData, down: (value: number) => number): SVGElement[] {
    const found: SVGElement[] = [];
    if (band) {
      const [low, high] = band;
      const at = (values: readonly (number | null)[]) =>
        values.flatMap((value, index) =>
          known(value) && known(low[index])
            ? [`${this.places[index].toFixed(1)} ${down(value).toFixed(1)}`]
            : []
        );
      found.push(s('path', { class: 'qwb-band', d: `M${[...at(high), ...at(low).reverse()].join('L')}Z` }));
    }
    if (boxes) {
      const room = (this.width - this.left - RIGHT) / Math.max(1, boxes.min.length);
      const half = Math.max(0.5, Math.min(5, room * 0.32));
      boxes.min.forEach((low, index) => {
        const place = this.places[index];
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

  private line({ values, tone, ticks }: Series, down: (value: number) => number): SVGElement[] {
    let open = false;
    const path = values.map((value, index) => {
      if (!known(value)) {
        open = ticks ? false : open; // a fused layer has no figure: the line goes on behind it
        return '';
      }
      const place = `${this.places[index].toFixed(1)} ${down(value).toFixed(1)}`;
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
          const disc = { cx: this.places[index], cy: down(value), r: 2.4 };
          drawn.push(s('circle', { class: `qwb-disc qwb-series-${tone}`, ...disc }));
        }
      });
    }
    return drawn;
  }

  private marks({ levels, mark }: ChartData, down: (value: number) => number): SVGElement[] {
    const right = this.width - RIGHT;
    const found: SVGElement[] = (levels ?? []).flatMap(({ value, text, tone }) => [
      s('path', {
        class: `qwb-level qwb-level-${tone}`,
        d: `M${this.left} ${down(value).toFixed(1)}H${right}`
      }),
      s('text', { class: 'qwb-level-text', x: right, y: down(value) - 4, 'text-anchor': 'end' }, text)
    ]);
    if (mark) {
      const place = this.places[mark.index];
      const end = place > this.width / 2;
      found.push(
        s('path', {
          class: `qwb-level qwb-level-${mark.tone}`,
          d: `M${place.toFixed(1)} ${TOP}V${this.bottom}`
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

  private nearest(offset: number): number {
    let best = -1;
    for (const [index, place] of this.places.entries()) {
      if (
        this.heights(index) !== null &&
        (best < 0 || Math.abs(place - offset) < Math.abs(this.places[best] - offset))
      ) {
        best = index;
      }
    }
    return best;
  }

  /** Put the cursor at point `index`; -1 takes it away, and the selected point stays marked. */
  private point(index: number): void {
    this.at = index;
    const { data } = this;
    if (!data) {
      return;
    }
    const chosen = this.current === '' ? -1 : data.names.indexOf(this.current);
    const drawn = [chosen, index].flatMap((point, order) => {
      const height = point < 0 ? null : this.heights(point);
      if (height === null || (order === 0 && point === index)) {
        return [];
      }
      const name = order === 0 ? 'qwb-cursor-selected' : 'qwb-cursor-here';
      const place = this.places[point];
      return [
        s('path', { class: name, d: `M${place.toFixed(1)} ${TOP}V${this.bottom}` }),
        s('circle', { class: name, cx: place, cy: height, r: 4.5 })
      ];
    });
    this.cursor.replaceChildren(...drawn);
    const read = index >= 0 ? index : chosen;
    this.says.textContent =
      read < 0 ? (data.hint ?? 'Point at a layer to read it; click to go to its node.') : data.says(read);
  }

  private choose(index: number): void {
    if (index >= 0) {
      this.select(index);
    }
  }

  private pressed(event: KeyboardEvent): void {
    const count = this.places.length;
    const order = [...this.places.keys()]
      .filter(index => this.heights(index) !== null)
      .sort((a, b) => this.places[a] - this.places[b]);
    const here = order.indexOf(this.at);
    const to = {
      ArrowRight: Math.min(order.length - 1, here + 1),
      ArrowLeft: Math.max(0, here - 1),
      Home: 0,
      End: order.length - 1
    }[event.key];
    if (to !== undefined && count > 0) {
      event.preventDefault();
      this.point(order[to] ?? -1);
    } else if ((event.key === 'Enter' || event.key === ' ') && this.at >= 0) {
      event.preventDefault();
      this.choose(this.at);
    }
  }
}
