/**
 * The node table: every node of the graph in rows, sortable, filtered by search, op and place. The full twin of the drawing,
 * also for screen readers.
 */
import { formatCosine, formatNumber } from '../core/describe';
import { h } from '../core/dom';
import type { Column } from './columns';
import { DataTable } from './dataTable';
import type { TableRow } from './state';
import { TableFilter } from './tableFilter';

type Key = keyof TableRow;

function placeBadge({ on }: TableRow): HTMLElement {
  return h('span', { class: `qwb-badge-on qwb-tone-${on.toLowerCase()}` }, on === 'NONE' ? '\u2013' : on);
}

const column = (key: Key, title: string, more: Partial<Column<TableRow>> = {}): Column<TableRow> => ({
  key,
  title,
  value: row => row[key],
  ...more
});

const COLUMNS: readonly Column<TableRow>[] = [
  column('id', 'node', { widest: 44 }),
  column('op', 'op'),
  column('on', 'runs on', { show: placeBadge }),
  column('quant_class', 'class', { show: row => (row.quant_class === 'none' ? '' : row.quant_class) }),
  column('dtype', 'dtype'),
  column('subgraph', 'subgraph'),
  column('cosine', 'cosine', { show: row => formatCosine(row.cosine, 6) }),
  column('l1', 'L1'),
  column('sensitivity', 'sensitivity', {
    class: 'qwb-sensitivity',
    show: row => formatNumber(row.sensitivity),
    hint: 'how far the outputs move when only this is quantized'
  }),
  column('reason', 'why', { class: 'qwb-why', widest: 60 })
];

export class NodeTable {
  readonly element: HTMLElement;
  private readonly filter = new TableFilter(() => this.fill());
  private readonly table: DataTable<TableRow>;
  private rows: readonly TableRow[] = [];
  private selected = '';
  private picked: ReadonlySet<string> = new Set();
  private differing: ReadonlyMap<string, string> = new Map();
  private changed = false;

  /** `select` is called with `more` when the row shall be added to what is selected. */
  constructor(select: (id: string, more: boolean) => void) {
    this.table = new DataTable<TableRow>({
      label: 'Nodes',
      columns: COLUMNS,
      id: row => row.id,
      select: (row, more) => select(row.id, more),
      mark: (element, row) => this.dress(element, row),
      current: () => this.selected,
      empty: 'No node matches.',
      before: this.filter.element
    });
    this.element = this.table.element;
  }

  /** Show `rows`. Cheap when only the selection changed, and while the table is hidden. */
  update(rows: readonly TableRow[], selected: string, picked: readonly string[] = []): void {
    const same = rows.length === this.rows.length && rows.every((row, i) => row === this.rows[i]);
    const moved = this.selected !== selected;
    this.rows = rows;
    this.selected = selected;
    this.picked = new Set(picked);
    this.changed ||= !same;
    this.draw(moved);
  }

  /** Mark the nodes that differ from another state. */
  setDiffering(differing: ReadonlyMap<string, string>): void {
    this.differing = differing;
    this.changed ||= this.filter.onlyChanged;
    this.filter.offerChanged(differing.size > 0);
    this.draw();
  }

  /** Say whether edits came after the sensitivities were measured. */
  set staleSensitivity(stale: boolean) {
    this.element.classList.toggle('qwb-old-sensitivity', stale);
  }

  /** Show or hide the table. */
  set hidden(hidden: boolean) {
    this.element.hidden = hidden;
    this.draw(true);
  }

  private draw(reveal = false): void {
    if (this.element.hidden) {
      return;
    }
    if (this.changed) {
      this.fill();
    }
    this.table.draw();
    this.table.mark(reveal);
  }

  private fill(): void {
    this.changed = false;
    this.filter.offer(this.rows);
    const kept = this.rows.filter(row => this.filter.keeps(row, this.differing.has(row.id)));
    this.filter.tell(kept.length, this.rows.length);
    this.element.classList.toggle(
      'qwb-no-sensitivity',
      !this.rows.some(row => row.sensitivity !== undefined)
    );
    this.table.update(kept);
  }

  private dress(element: HTMLTableRowElement, { id }: TableRow): void {
    const current = id === this.selected;
    element.classList.toggle('qwb-current', current || this.picked.has(id));
    element.setAttribute('aria-current', String(current));
    const difference = this.differing.get(id);
    element.classList.toggle('qwb-differs-row', difference !== undefined);
    element.title = difference === undefined ? '' : `differs: ${difference}`;
  }
}
