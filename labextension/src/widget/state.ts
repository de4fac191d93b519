/** Traits and messages of the widget: what the kernel sends (`Traits`) and what the page answers (`Message`). */
import type { GraphView } from '../core/types';

export interface WayToChange {
  text: string;
  edits: Edit[];
}

export interface TensorInfo {
  value: string;
  shape: (number | string)[] | string;
  dtype: string;
  scale: number | number[] | string | null;
}

/** What `workbench.node_details` says of one node. */
export interface NodeDetails {
  name: string;
  op: string;
  module: string;
  /** `file.py:12`, or empty. */
  source: string;
  on: string;
  quant_class: string;
  subgraph: number | null;
  unit: string;
  reason: string;
  code: string;
  /** The rule that was applied, in general words. */
  rule: string;
  facts: string[];
  /** What was asked for and could not be had. */
  notes: string[];
  ways: WayToChange[];
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  threshold: number | null;
  scale: number | null;
  fixed_scale: boolean;
  dtype: Record<Role, string | null>;
  requested: Record<Role, string | null> & { on: string | null; scale: number | null };
  allowed: Record<Role, string[]> & { on: string[]; unitconv: boolean };
  metrics: Partial<Record<'cosine' | 'l1' | 'mse' | 'atol' | 'sqnr', number | string | null>>;
}

export type Role = 'input' | 'weight' | 'output';
export type Choice = 'auto' | 'bpu' | 'cpu';

export interface OutputRow {
  output: string;
  cosine: number | null;
  l1: number | null;
  cosine_before: number | null;
  l1_before: number | null;
  delta_cosine: number | null;
  delta_l1: number | null;
}

export interface HistoryRow {
  index: number;
  text: string;
  current: boolean;
}

export interface Status {
  state: 'idle' | 'running' | 'done' | 'cancelled' | 'error';
  text: string;
  done: number;
  total: number;
}

export interface Flags {
  can_undo: boolean;
  can_redo: boolean;
  /** There are edits that no run has seen. */
  stale: boolean;
  march: string;
}

export interface TableRow {
  id: string;
  op: string;
  on: string;
  dtype: string;
  cosine: number | null;
  l1: number | null;
  reason: string;
}

export interface Traits {
  view: GraphView;
  selected: string;
  panel: Partial<NodeDetails>;
  outputs: OutputRow[];
  history: HistoryRow[];
  status: Status;
  flags: Flags;
  table: TableRow[];
  error: string;
}

export type Edit =
  | { kind: 'SetPlacement'; node: string; on: Choice }
  | { kind: 'InsertUnitConv'; node: string; where: 'before' | 'after' }
  | { kind: 'FixScale'; node: string; scale: number }
  | { kind: 'ClearScale'; node: string }
  | ({ kind: 'SetDtype'; node: string } & Partial<Record<Role, string>>);

export type Message =
  | { type: 'edit'; edits: Edit[] }
  | { type: 'undo' | 'redo' | 'run' | 'cancel' | 'reset' }
  | { type: 'select'; node: string }
  | { type: 'collapse'; module: string; collapsed: boolean };

/** The part of an anywidget model that is used here. */
export interface Model {
  get<K extends keyof Traits>(key: K): Traits[K];
  set<K extends keyof Traits>(key: K, value: Traits[K]): void;
  save_changes(): void;
  send(content: Message): void;
  on(event: string, callback: () => void): void;
  off(event: string, callback: () => void): void;
}

/** Call `callback` when one of `keys` changes, until `signal` aborts. */
export function watch(
  model: Model,
  keys: readonly (keyof Traits)[],
  callback: () => void,
  signal: AbortSignal
): void {
  for (const key of keys) {
    model.on(`change:${key}`, callback);
    signal.addEventListener('abort', () => model.off(`change:${key}`, callback));
  }
}
