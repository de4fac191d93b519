/**
 * A table of any length: sorted by its heads, drawn where it is in sight, walked by arrow keys. One row is a tab stop; Enter
 * or a click selects it.
 */
import { formatNumber } from '../core/describe';
import { focused, h, type Child } from '../core/dom';
import { sortedBy, widthOf, type Column } from './columns';
import { WindowedRows } from './windowed';

export interface TableOptions<R> {
  label: string;
  columns: readonly Column<R>[];
  /** What a row is called; equal names are the same row. */
  id: (row: R) => string;
  /** Called with `more` when the row shall be added to what is selected. */
  select: (row: R, more: boolean) => void;
  /** Mark a row that is drawn. */
  mark?: (element: HTMLTableRowElement, row: R) => void;
  /** Which row is the current one. */
  current?: () => string;
  empty: string;
  rowHeight?: number;
  /** Something above the heads. */
  before?: HTMLElement;
}

export class DataTable<R> {
  readonly element: HTMLElement;
  private readonly table = h('table');
  private readonly widths = h('colgroup');
  private readonly body = h('tbody');
  private readonly heads = new Map<string, HTMLTableCellElement>();
  private readonly windowed: WindowedRows;
  private columns: readonly Column<R>[];
  private all: readonly R[] = [];
  private shown: R[] = [];
  private places = new Map<string, number>();
  private key: string | null = null;
  private descending = false;
  private stop = 0;
  /** Columns of figures. */
  private readonly figures = new Set<string>();

  constructor(private readonly options: TableOptions<R>) {
    this.columns = options.columns;
    const head = h('thead');
    this.table.append(this.widths, head, this.body);
    const scroller = h(
      'div',
      { class: 'qwb-table-scroll', role: 'region', 'aria-label': options.label, tabindex: 0 },
      this.table
    );
    this.element = h('div', { class: 'qwb-table' }, options.before, scroller);
    this.windowed = new WindowedRows(scroller, head, this.body, options.rowHeight ?? 28, index =>
      this.row(index)
    );
    this.drawHeads(head);
    this.body.addEventListener('click', event => {
      const row = this.rowAt(event.target);
      if (row) {
        this.options.select(row, event.shiftKey || event.ctrlKey || event.metaKey);
      }
    });
    this.body.addEventListener('keydown', event => this.pressed(event));
  }

  /** Show `rows`; the place stays where the reader is. */
  update(rows: readonly R[], columns = this.columns): void {
    if (columns !== this.columns) {
      this.columns = columns;
      this.drawHeads(this.table.tHead!);
    }
    this.all = rows;
    this.fill();
  }

  /** Sort by `key`: first press ascending, second descending, third the order of the rows. */
  sortBy(key: string): void {
    const third = this.key === key && this.descending;
    this.descending = this.key === key && !this.descending;
    this.key = third ? null : key;
    for (const [column, cell] of this.heads) {
      const order = this.descending ? 'descending' : 'ascending';
      cell.setAttribute('aria-sort', column === this.key ? order : 'none');
    }
    this.fill();
  }

  /** Mark what is drawn again; `reveal` brings the current row into sight. */
  mark(reveal = false): void {
    const current = this.places.get(this.options.current?.() ?? '');
    if (current !== undefined) {
      this.stop = current;
      if (reveal) {
        this.windowed.reveal(current);
      }
    }
    for (const [index, element] of this.windowed.rows) {
      this.dress(element, index);
    }
  }

  /** Draw what came into sight while the table was hidden. */
  draw(): void {
    this.windowed.draw();
    this.mark();
  }

  private drawHeads(head: HTMLTableSectionElement): void {
    this.heads.clear();
    const row = h('tr');
    for (const column of this.columns) {
      const press = h('button', { type: 'button', class: 'qwb-sort', title: column.hint }, column.title);
      press.addEventListener('click', () => this.sortBy(column.key));
      const cell = h(
        'th',
        { scope: 'col', 'aria-sort': 'none', 'data-column': column.key, class: column.class },
        press
      );
      this.heads.set(column.key, cell);
      row.append(cell);
    }
    head.replaceChildren(row);
  }

  private fill(): void {
    const column = this.columns.find(({ key }) => key === this.key);
    const held = this.rowAt(focused(this.body));
    this.shown = column ? sortedBy(this.all, column.value, this.descending) : [...this.all];
    this.places = new Map(this.shown.map((row, index) => [this.options.id(row), index]));
    this.stop = Math.min(this.stop, Math.max(0, this.shown.length - 1));
    this.table.setAttribute('aria-rowcount', String(this.shown.length + 1));
    for (const { key, value } of this.columns) {
      const figures = this.all.some(row => typeof value(row) === 'number');
      this.heads.get(key)?.classList.toggle('qwb-number', figures);
      this.figures[figures ? 'add' : 'delete'](key);
    }
    this.measure();
    this.windowed.reset(this.shown.length);
    if (this.shown.length === 0) {
      this.body.append(
        h('tr', {}, h('td', { colspan: this.columns.length, class: 'qwb-hint' }, this.options.empty))
      );
    }
    this.mark();
    const again = held && this.places.get(this.options.id(held));
    if (again !== undefined && again !== null) {
      this.windowed.rows.get(again)?.querySelector('button')?.focus({ preventScroll: true });
    }
  }

  /** Give every column the room that its longest cell needs, so that scrolling moves none of them. */
  private measure(): void {
    const wide = this.columns.map(column => widthOf(column, this.all));
    this.widths.replaceChildren(
      ...wide.map((width, index) => {
        const col = h('col', { class: this.columns[index].class });
        col.style.width = `${width}ch`;
        return col;
      })
    );
    this.table.style.width = `${wide.reduce((sum, width) => sum + width, 0)}ch`;
  }

  private row(place: number): HTMLTableRowElement {
    const row = this.shown[place];
    const cells = this.columns.map((column, index) => {
      const value = column.value(row);
      const content = column.show
        ? column.show(row)
        : typeof value === 'number'
          ? formatNumber(value)
          : (value ?? '');
      const kind = [column.class, this.figures.has(column.key) && 'qwb-number'].filter(Boolean).join(' ');
      const title = typeof value === 'string' ? value : null;
      return index === 0
        ? h(
            'th',
            { scope: 'row', class: kind, title },
            h('button', { type: 'button', class: 'qwb-plain qwb-name', tabindex: -1 }, content as Child)
          )
        : h('td', { class: kind, title }, content as Child);
    });
    const element = h('tr', { 'data-row': this.options.id(row) }, ...cells);
    element.style.height = `${this.windowed.height}px`;
    this.dress(element, place);
    return element;
  }

  private dress(element: HTMLTableRowElement, index: number): void {
    element.querySelector('button')?.setAttribute('tabindex', index === this.stop ? '0' : '-1');
    this.options.mark?.(element, this.shown[index]);
  }

  private rowAt(target: EventTarget | null): R | undefined {
    const id = (target as Element | null)?.closest<HTMLElement>('tr[data-row]')?.dataset.row;
    const index = id === undefined ? undefined : this.places.get(id);
    return index === undefined ? undefined : this.shown[index];
  }

  private pressed(event: KeyboardEvent): void {
    const row = this.rowAt(event.target);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12 }[event.key];
    if (!row) {
      return;
    }
    if (step !== undefined) {
      event.preventDefault();
      const at = (this.places.get(this.options.id(row)) ?? 0) + step;
      this.stop = Math.max(0, Math.min(this.shown.length - 1, at));
      const next = this.windowed.reveal(this.stop);
      this.moveStop();
      next?.querySelector('button')?.focus({ preventScroll: true });
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.options.select(row, event.shiftKey);
    }
  }

  /** Move the tab stop without taking the current row for it. */
  private moveStop(): void {
    for (const [index, element] of this.windowed.rows) {
      element.querySelector('button')?.setAttribute('tabindex', index === this.stop ? '0' : '-1');
    }
  }
}
