/**
 * What analyses found, as tables from the kernel, and how such a table is read. What their figures mean is known to the
 * tabs.
 */

export type Value = string | number | boolean | null;

/** A table as the kernel sends it. */
export interface TableData {
  columns: string[];
  rows: Value[][];
}

/** What an analysis found, or has found so far. */
interface Found {
  /** Rows are still coming. */
  partial: boolean;
}

export interface FoundSearch extends Found, TableData {
  strategy: string;
  why: string;
  /** What each sensitive node chose, after a mix search. */
  nodes: TableData | null;
}

export interface FoundSensitivity extends Found, TableData {
  metrics: string[];
  /** From gradients, not measured. */
  estimate: boolean;
}

/** Trials of a search for mixed precision, or of a recipe. */
export interface FoundTrials extends Found, TableData {
  metric: string;
  unit: string;
  target: number | null;
  /** Cost and metric of what would be applied. */
  chosen: [number, number] | null;
  text: string;
  edits: number;
  reached?: boolean;
  notes?: string[];
  name?: string;
}

export interface FoundLayers extends Found, TableData {
  first_bad: string;
}

export interface FoundRegion extends Found {
  metric: string;
  quantized: number;
  repaired: number;
  explained: number;
  members: [string, string][];
  ops: string[];
  trials: TableData;
}

export interface FoundCases extends Found, TableData {
  seen: number;
  finished: boolean;
  replaced: Record<string, string>;
  /** Metric, sample, output, distance. */
  worst: [string, number, string, number][];
}

export interface FoundChannels extends Found, TableData {
  node: string;
  limit: number;
}

/** Whether the result of each analysis still holds; `candidate` is the one of the search that is in force. */
export type Standing = Partial<Record<Analysis | 'search' | 'candidate', string>>;

export type Analysis =
  | 'sensitivity'
  | 'sensitivity_preview'
  | 'compare_layers'
  | 'mixed_precision'
  | 'recipe'
  | 'bisect'
  | 'partial'
  | 'bad_cases'
  | 'channels'
  | 'range_proposals';

/** The rows of `table` as objects by column; nothing where there is no table. */
export function records(table: Partial<TableData> | null | undefined): Record<string, Value>[] {
  const { columns = [], rows = [] } = table ?? {};
  return rows.map(row => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
}

/** `value` as a number, or null where it is none; infinite ones travel as words. */
export function figure(value: Value | undefined): number | null {
  return typeof value === 'number'
    ? value
    : value === 'Infinity'
      ? Infinity
      : value === '-Infinity'
        ? -Infinity
        : null;
}
