/**
 * A small chart that can be read point by point: the pointer (or the arrow keys) moves a cursor that names the point; a click
 * (or Enter) selects it. What is drawn below the cursor is the matter of `plot`; what the numbers mean, of the owner.
 */
import { h, s } from '../core/dom';
import type { ChartData } from './chartData';
import { TALL, TOP, drawing, heightOf, layOut, type Plot } from './plot';

const DEFAULT_WIDTH = 420;

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
  private plot: Plot | null = null;
  private width = DEFAULT_WIDTH;
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
    this.plot = layOut(data, width);
    const count = data.names.length;
    svg.setAttribute('aria-label', `${data.label}, ${count} points. Arrow keys read them, Enter selects.`);
    svg.setAttribute('viewBox', `0 0 ${width} ${TALL}`);
    svg.setAttribute('width', String(width));
    svg.replaceChildren(...drawing(data, this.plot), this.cursor);
    this.point(this.at);
  }

  private get places(): readonly number[] {
    return this.plot?.places ?? [];
  }

  /** Where point `index` is from the top; null where it has no figure. */
  private height(index: number): number | null {
    return this.data && this.plot && heightOf(this.data, this.plot, index);
  }

  private nearest(offset: number): number {
    let best = -1;
    for (const [index, place] of this.places.entries()) {
      if (
        this.height(index) !== null &&
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
    const { data, plot } = this;
    if (!data || !plot) {
      return;
    }
    const chosen = this.current === '' ? -1 : data.names.indexOf(this.current);
    const drawn = [chosen, index].flatMap((point, order) => {
      const height = point < 0 ? null : this.height(point);
      if (height === null || (order === 0 && point === index)) {
        return [];
      }
      const name = order === 0 ? 'qwb-cursor-selected' : 'qwb-cursor-here';
      const place = plot.places[point];
      return [
        s('path', { class: name, d: `M${place.toFixed(1)} ${TOP}V${plot.bottom}` }),
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
      .filter(index => this.height(index) !== null)
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
