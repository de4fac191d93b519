/** The node table: every node of the graph in rows, sortable. The full twin of the drawing, also for screen readers. */
import { formatCosine, formatNumber } from '../core/describe';
import { h } from '../core/dom';
import type { TableRow } from './state';

type Key = keyof TableRow;

const COLUMNS: readonly [Key, string][] = [
  ['id', 'node'],
  ['op', 'op'],
  ['on', 'runs on'],
  ['dtype', 'dtype'],
  ['cosine', 'cosine'],
  ['l1', 'L1'],
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
  private readonly heads = new Map<Key, HTMLTableCellElement>();
  private rows: readonly TableRow[] = [];
  private selected = '';
  private key: Key | null = null;
  private descending = false;

  constructor(private readonly select: (id: string) => void) {
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
        this.select(row.dataset.row);
      }
    });
    this.element = h(
      'div',
      { class: 'qwb-table', role: 'region', 'aria-label': 'Nodes', tabindex: 0 },
      h('table', {}, h('thead', {}, head), this.body)
    );
  }

  /** Show `rows`. Cheap when only `selected` changed. */
  update(rows: readonly TableRow[], selected: string): void {
    const same = rows.length === this.rows.length && rows.every((row, i) => row === this.rows[i]);
    this.rows = rows;
    this.selected = selected;
    if (same) {
      this.mark();
    } else {
      this.fill();
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
    const rows = sorted(this.rows, this.key, this.descending);
    this.body.replaceChildren(...rows.map(row => this.row(row)));
    if (rows.length === 0) {
      this.body.append(
        h('tr', {}, h('td', { colspan: COLUMNS.length, class: 'qwb-hint' }, 'No node matches.'))
      );
    }
    this.mark();
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
      h('td', {}, row.dtype),
      h('td', { class: 'qwb-number' }, formatCosine(row.cosine, 6)),
      h('td', { class: 'qwb-number' }, formatNumber(row.l1)),
      h('td', { class: 'qwb-why', title: row.reason }, row.reason)
    );
  }

  private mark(): void {
    for (const row of this.body.querySelectorAll<HTMLElement>('tr[data-row]')) {
      const current = row.dataset.row === this.selected;
      row.classList.toggle('qwb-current', current);
      row.setAttribute('aria-current', String(current));
    }
  }
}
