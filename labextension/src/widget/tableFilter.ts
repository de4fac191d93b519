/** The choices above the node table that narrow its rows: op, placement, and changed against the compared step. */
import { h } from '../core/dom';
import type { TableRow } from './state';

type Choice = 'op' | 'on';

/** What a placement is called where it is chosen. */
const placement = (on: string) => (on === 'NONE' ? 'nowhere' : on);

export class TableFilter {
  readonly element: HTMLElement;
  private readonly op = h('select', { class: 'qwb-input', 'aria-label': 'Only this op' });
  private readonly on = h('select', { class: 'qwb-input', 'aria-label': 'Only this placement' });
  private readonly changed = h('input', { type: 'checkbox', disabled: true });
  private readonly count = h('span', { class: 'qwb-hint', role: 'status' });

  /** `again` is called when a choice changed and the rows have to be drawn again. */
  constructor(again: () => void) {
    this.element = h(
      'div',
      { class: 'qwb-table-filter', role: 'group', 'aria-label': 'Filter the nodes' },
      this.op,
      this.on,
      h('label', { title: 'Only nodes that differ from the compared step' }, this.changed, ' changed'),
      this.count
    );
    this.element.addEventListener('change', again);
  }

  /** Whether only changed nodes are shown. */
  get onlyChanged(): boolean {
    return this.changed.checked;
  }

  /** Offer the ops and placements of `rows`; a choice that is made stays, also where no row has it now. */
  offer(rows: readonly TableRow[]): void {
    this.options(this.op, 'op', rows, 'every op');
    this.options(this.on, 'on', rows, 'every placement', placement);
  }

  /** Without a comparison nothing is changed, and the choice is taken back. */
  offerChanged(possible: boolean): void {
    this.changed.disabled = !possible;
    this.changed.checked &&= possible;
  }

  /** Whether `row` passes. */
  keeps(row: TableRow, changed: boolean): boolean {
    const [op, on] = [this.op.value, this.on.value];
    return (!op || row.op === op) && (!on || row.on === on) && (!this.onlyChanged || changed);
  }

  /** Say how many rows are left. */
  tell(kept: number, all: number): void {
    this.count.textContent = kept === all ? `${all} nodes` : `${kept} of ${all} nodes`;
  }

  private options(
    select: HTMLSelectElement,
    key: Choice,
    rows: readonly TableRow[],
    every: string,
    name = (value: string) => value
  ): void {
    const chosen = select.value;
    const values = new Set(rows.map(row => row[key]).filter(Boolean));
    if (chosen) {
      values.add(chosen);
    }
    const wanted = ['', ...[...values].sort()];
    if (wanted.join('\n') === [...select.options].map(option => option.value).join('\n')) {
      return;
    }
    select.replaceChildren(
      ...wanted.map(value => h('option', { value }, value === '' ? every : name(value)))
    );
    select.value = chosen;
  }
}
