/**
 * A column of a long table: what its cells show, how rows are sorted by it, how wide it is. Knows no elements but those
 * of cells.
 */
import type { Child } from '../core/dom';

type Value = string | number | boolean | null | undefined;

export interface Column<R> {
  key: string;
  title: string;
  /** What the head says when the pointer rests on it. */
  hint?: string;
  /** What rows are sorted by. */
  value: (row: R) => Value;
  /** What a cell shows; the value, where left out. */
  show?: (row: R) => Child;
  class?: string;
  /** Most characters that it is made wide for. */
  widest?: number;
}

/** `rows` by `value`; missing values come last in both directions, equal ones keep their order. */
export function sortedBy<R>(rows: readonly R[], value: (row: R) => Value, descending: boolean): R[] {
  const sign = descending ? -1 : 1;
  const missing = (item: Value) => item === null || item === undefined || item === '';
  return [...rows].sort((first, second) => {
    const [a, b] = [value(first), value(second)];
    if (missing(a) || missing(b)) {
      return Number(missing(a)) - Number(missing(b));
    }
    return (
      sign * (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b)))
    );
  });
}

/** The room that the longest cell of `column` needs, in widths of a digit. */
export function widthOf<R>(column: Column<R>, rows: readonly R[]): number {
  const text = (row: R) => {
    const value = column.value(row);
    return typeof value === 'number' ? 8 : String(value ?? '').length;
  };
  const longest = rows.reduce((most, row) => Math.max(most, text(row)), 0);
  return Math.max(column.title.length + 2, Math.min(longest, column.widest ?? 32)) + 2.5;
}
