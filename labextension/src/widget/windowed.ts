/**
 * Draws the rows of a long table that are in sight, and some more on either side; the rest is two empty rows of the right
 * height. All rows have one height. Knows nothing of what a row holds.
 */
import { h } from '../core/dom';

/** Rows drawn beyond either end of what is in sight. */
const SPARE = 10;
/** Height taken for granted where nothing is laid out. */
const UNKNOWN = 640;

/** The rows `[first, end)` to draw of `count`, when `height` pixels from `top` on are in sight. */
export function inSight(top: number, height: number, row: number, count: number): [number, number] {
  const first = Math.max(0, Math.min(count, Math.floor(top / row) - SPARE));
  const end = Math.max(first, Math.min(count, Math.ceil((top + height) / row) + SPARE));
  return [first, end];
}

export class WindowedRows {
  private readonly above = h('tr', { class: 'qwb-spacer', 'aria-hidden': 'true' });
  private readonly below = h('tr', { class: 'qwb-spacer', 'aria-hidden': 'true' });
  private readonly drawn = new Map<number, HTMLTableRowElement>();
  private count = 0;

  /** `make` makes row `index`; `head` is what covers the top of `scroller`. */
  constructor(
    private readonly scroller: HTMLElement,
    private readonly head: HTMLElement,
    private readonly body: HTMLTableSectionElement,
    readonly height: number,
    private readonly make: (index: number) => HTMLTableRowElement
  ) {
    scroller.addEventListener('scroll', () => this.draw(), { passive: true });
    if (typeof ResizeObserver !== 'undefined') {
      new ResizeObserver(() => this.draw()).observe(scroller);
    }
  }

  /** Take `count` rows, all of them new. */
  reset(count: number): void {
    this.count = count;
    this.drawn.clear();
    this.body.replaceChildren();
    this.draw();
  }

  /** Bring the rows up to date with what is in sight. */
  draw(): void {
    const { scroller, height, count } = this;
    if (count === 0 || scroller.closest('[hidden]')) {
      return;
    }
    const [first, end] = inSight(
      scroller.scrollTop - this.start(),
      scroller.clientHeight || UNKNOWN,
      height,
      count
    );
    for (const [index, row] of this.drawn) {
      if (index < first || index >= end) {
        row.remove();
        this.drawn.delete(index);
      }
    }
    let next: Element | null = null;
    this.below.remove();
    for (let index = end - 1; index >= first; index--) {
      let row = this.drawn.get(index);
      if (!row) {
        row = this.make(index);
        row.setAttribute('aria-rowindex', String(index + 2));
        this.drawn.set(index, row);
        this.body.insertBefore(row, next);
      }
      next = row;
    }
    this.above.style.height = `${first * height}px`;
    this.below.style.height = `${(count - end) * height}px`;
    if (first > 0) {
      this.body.prepend(this.above);
    } else {
      this.above.remove();
    }
    if (end < count) {
      this.body.append(this.below);
    }
  }

  /** The rows that are drawn, by index. */
  get rows(): ReadonlyMap<number, HTMLTableRowElement> {
    return this.drawn;
  }

  /** Scroll until row `index` is in sight, and return it. */
  reveal(index: number): HTMLTableRowElement | undefined {
    const { scroller, height } = this;
    const top = this.start() + index * height;
    const covered = this.head.offsetHeight;
    const tall = scroller.clientHeight || UNKNOWN;
    if (top < scroller.scrollTop + covered) {
      scroller.scrollTop = top - covered;
    } else if (top + height > scroller.scrollTop + tall) {
      scroller.scrollTop = top + height - tall;
    }
    this.draw();
    return this.drawn.get(index);
  }

  /** Where the first row begins, from the top of the scrolled content. */
  private start(): number {
    const { scroller, body } = this;
    return body.getBoundingClientRect().top - scroller.getBoundingClientRect().top + scroller.scrollTop;
  }
}
