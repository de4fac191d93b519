/**
 * The node table: every node of the graph in rows, sortable, filtered by search, op and place. The full twin of the drawing, also for
 * screen readers. One row is a tab stop; arrow keys move it, Enter selects, Shift+Enter selects one more.
 */
import { formatCosine, formatNumber } from '../core/describe';
import { focused, h } from '../core/dom';
import type { TableRow } from './state';
import { TableFilter } from './tableFilter';

type Key = keyof TableRow;

const COLUMNS: readonly [Key, string][] = [
  ['id', 'node'],
  ['op', 'op'],
  ['on', 'runs on'],
  ['quant_class', 'class'],
  ['dtype', 'dtype'],
  ['subgraph', 'subgraph'],
  ['cosine', 'cosine'],
  ['l1', 'L1'],
  ['sensitivity', 'sensitivity'],
  ['reason', 'why']
];

/** Rows sorted by `key`; missing values come last in both directions, equal ones keep their order. */
export function sorted(rows: readonly TableRow[], key: Key | null, descending: boolean): TableRow[] {
  if (key === null) {
    return [...rows];
  }
  const sign = descending ? -1 : 1;
  const missing = (value: TableRow[Key]) => value === null || value === undefined || value === '';
  return [...rows].sort((first, second) => {
    const [a, b] = [first[key], second[key]];
    if (missing(a) || missing(b)) {
      return Number(missing(a)) - Number(missing(b));
    }
    return (
      sign * (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b)))
    );
  });
}

export class NodeTable {
  readonly element: HTMLElement;
  private readonly body = h('tbody');
  private readonly filter = new TableFilter(() => this.fill());
  private readonly heads = new Map<Key, HTMLTableCellElement>();
  private rows: readonly TableRow[] = [];
  private selected = '';
  private picked: ReadonlySet<string> = new Set();
  private differing: ReadonlyMap<string, string> = new Map();
  private stale = false;
  private key: Key | null = null;
  private descending = false;

  /** `select` is called with `more` when the row shall be added to what is selected. */
  constructor(private readonly select: (id: string, more: boolean) => void) {
    const head = h('tr');
    for (const [key, title] of COLUMNS) {
      const press = h('button', { type: 'button', class: 'qwb-sort' }, title);
      press.addEventListener('click', () => this.sortBy(key));
      const cell = h('th', { scope: 'col', 'aria-sort': 'none', 'data-column': key }, press);
      this.heads.set(key, cell);
      head.append(cell);
    }
    this.body.addEventListener('click', event => {
      const row = (event.target as Element).closest<HTMLElement>('tr[data-row]');
      if (row?.dataset.row !== undefined) {
        const more = event.shiftKey || event.ctrlKey || event.metaKey;
        this.select(row.dataset.row, more);
      }
    });
    this.body.addEventListener('keydown', event => this.pressed(event));
    this.element = h(
      'div',
      { class: 'qwb-table', role: 'region', 'aria-label': 'Nodes', tabindex: 0 },
      this.filter.element,
      h('table', {}, h('thead', {}, head), this.body)
    );
  }

  /** Show `rows`. Cheap when only the selection changed, and while the table is hidden. */
  update(rows: readonly TableRow[], selected: string, picked: readonly string[] = []): void {
    const same = rows.length === this.rows.length && rows.every((row, i) => row === this.rows[i]);
    this.rows = rows;
    this.selected = selected;
    this.picked = new Set(picked);
    this.stale ||= !same;
    this.draw();
  }

  /** Mark the nodes that differ from another state. */
  setDiffering(differing: ReadonlyMap<string, string>): void {
    this.differing = differing;
    this.stale ||= this.filter.onlyChanged;
    this.filter.offerChanged(differing.size > 0);
    this.draw();
  }

  /** Show or hide the table. */
  set hidden(hidden: boolean) {
    this.element.hidden = hidden;
    this.draw();
  }

  private draw(): void {
    if (this.element.hidden) {
      return;
    }
    if (this.stale) {
      this.stale = false;
      this.fill();
    } else {
      this.mark();
    }
  }

  private pressed(event: KeyboardEvent): void {
    const row = (event.target as Element).closest<HTMLElement>('tr[data-row]');
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    if (row && step) {
      event.preventDefault();
      const next = row[step as 'nextElementSibling'];
      next?.querySelector('button')?.focus();
      this.stop((next as HTMLElement | null)?.dataset.row);
    } else if (row?.dataset.row !== undefined && (event.key === 'Enter' || event.key === ' ')) {
      event.preventDefault();
      this.select(row.dataset.row, event.shiftKey);
    }
  }

  /** Make row `id` the only tab stop. */
  private stop(id: string | undefined): void {
    const rows = [...this.body.querySelectorAll<HTMLElement>('tr[data-row]')];
    const at = rows.find(row => row.dataset.row === id) ?? rows[0];
    for (const row of rows) {
      row.querySelector('button')?.setAttribute('tabindex', row === at ? '0' : '-1');
    }
  }

  /** First press ascending, second descending, third the order of the graph. */
  sortBy(key: Key): void {
    const third = this.key === key && this.descending;
    this.descending = this.key === key && !this.descending;
    this.key = third ? null : key;
    for (const [column, cell] of this.heads) {
      const order = this.descending ? 'descending' : 'ascending';
      cell.setAttribute('aria-sort', column === this.key ? order : 'none');
    }
    this.fill();
  }

  private fill(): void {
    this.filter.offer(this.rows);
    const kept = this.rows.filter(row => this.filter.keeps(row, this.differing.has(row.id)));
    const rows = sorted(kept, this.key, this.descending);
    this.filter.tell(kept.length, this.rows.length);
    const active = focused(this.body)?.closest<HTMLElement>('tr[data-row]')?.dataset.row;
    const measured = this.rows.some(row => row.sensitivity !== undefined);
    this.element.classList.toggle('qwb-no-sensitivity', !measured);
    this.body.replaceChildren(...rows.map(row => this.row(row)));
    if (rows.length === 0) {
      this.body.append(
        h('tr', {}, h('td', { colspan: COLUMNS.length, class: 'qwb-hint' }, 'No node matches.'))
      );
    }
    this.mark();
    if (active !== undefined) {
      [...this.body.querySelectorAll<HTMLElement>('tr[data-row]')]
        .find(row => row.dataset.row === active)
        ?.querySelector('button')
        ?.focus({ preventScroll: true });
    }
  }

  private row(row: TableRow): HTMLTableRowElement {
    const open = h('button', { type: 'button', class: 'qwb-plain qwb-name' }, row.id);
    return h(
      'tr',
      { 'data-row': row.id },
      h('th', { scope: 'row' }, open),
      h('td', {}, row.op),
      h(
        'td',
        {},
        h(
          'span',
          { class: `qwb-badge-on qwb-tone-${row.on.toLowerCase()}` },
          row.on === 'NONE' ? '\u2013' : row.on
        )
      ),
      h('td', {}, row.quant_class === 'none' ? '' : row.quant_class),
      h('td', {}, row.dtype),
      h('td', { class: 'qwb-number' }, row.subgraph ?? ''),
      h('td', { class: 'qwb-number' }, formatCosine(row.cosine, 6)),
      h('td', { class: 'qwb-number' }, formatNumber(row.l1)),
      h('td', { class: 'qwb-number qwb-sensitivity' }, formatNumber(row.sensitivity)),
      h('td', { class: 'qwb-why', title: row.reason }, row.reason)
    );
  }

  private mark(): void {
    for (const row of this.body.querySelectorAll<HTMLElement>('tr[data-row]')) {
      const id = row.dataset.row ?? '';
      const current = id === this.selected;
      row.classList.toggle('qwb-current', current || this.picked.has(id));
      row.setAttribute('aria-current', String(current));
      const difference = this.differing.get(id);
      row.classList.toggle('qwb-differs-row', difference !== undefined);
      row.title = difference === undefined ? '' : `differs: ${difference}`;
    }
    this.stop(this.selected);
    this.body.querySelector('.qwb-current')?.scrollIntoView?.({ block: 'nearest' });
  }
}
