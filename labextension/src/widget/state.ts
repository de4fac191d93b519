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
  requested: Record<Role, string | null> & {
    on: string | null;
    scale: number | null;
    /** Calibration method of this node alone. */
    method?: string | null;
  };
  /** Unit convs that can be taken out here. */
  removable?: { node: string; where: 'before' | 'after'; slot: number | null }[];
  allowed: Record<Role, string[]> & { on: string[]; unitconv: boolean };
  /** How the values were spread over the calibration data. */
  histogram?: Histogram | null;
  metrics: Partial<Record<'cosine' | 'l1' | 'mse' | 'atol' | 'sqnr', number | string | null>>;
}

export interface Histogram {
  low: number;
  high: number;
  counts: number[];
  total: number;
}

/** What several selected nodes have in common. */
export interface CommonDetails {
  names: string[];
  on: Record<string, number>;
  ops: Record<string, number>;
  allowed: Record<Role, string[]> & { on: string[]; unitconv: boolean };
  requested: Record<Role | 'on', string | null>;
  dtype: Record<Role, string | null>;
  /** Those with a fixed scale. */
  fixed: string[];
}

/** What the panel shows: one node, or several. */
export type Panel = Partial<NodeDetails> & { several?: CommonDetails };

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
  /** The same figure over the runs so far. */
  cosine_trail?: (number | null)[];
  l1_trail?: (number | null)[];
}

/** March and calibration with what can be chosen. */
export interface Settings {
  march: string;
  marches: string[];
  method: string;
  percentile: number;
  per_channel: boolean;
  methods: string[];
  searches: string[];
  samples: number;
  arithmetic?: Record<string, string | number>;
  arithmetics?: Record<string, (string | number)[]>;
}

/** A step of the journal beside the state in force. */
export interface Comparison {
  index: number;
  text: string;
  view: GraphView;
  /** By box, what differs. */
  nodes: Record<string, string>;
  outputs: OutputRow[];
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
  quant_class?: string;
  subgraph?: number | null;
  sensitivity?: number | null;
  reason: string;
}

export interface Traits {
  view: GraphView;
  selected: string;
  /** Ids of all selected nodes where there are several. */
  picked: string[];
  panel: Panel;
  colouring: string;
  settings: Partial<Settings>;
  code: string;
  comparison: Partial<Comparison>;
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
  | { kind: 'RemoveUnitConv'; node: string; where: 'before' | 'after'; slot?: number }
  | { kind: 'SetNodeCalibration'; node: string; method: string }
  | { kind: 'SetMarch'; march: string }
  | ({ kind: 'SetArithmetic' } & Record<string, string | number>)
  | { kind: 'FixScale'; node: string; scale: number }
  | { kind: 'ClearScale'; node: string }
  | ({ kind: 'SetDtype'; node: string } & Partial<Record<Role, string>>);

export type Message =
  | { type: 'edit'; edits: Edit[]; run?: boolean }
  | { type: 'undo' | 'redo' | 'run' | 'cancel' | 'reset' | 'sensitivity' }
  | { type: 'jump'; index: number }
  | { type: 'compare'; index: number | null }
  | { type: 'calibrate'; method: string; percentile?: number; per_channel: boolean }
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

/** Call `lost` when the kernel side of `model` is gone: the kernel restarted or died. Hosts that do not tell never call. */
export function watchLife(model: Model, lost: () => void, signal: AbortSignal): void {
  for (const event of ['comm_live_update', 'comm:close', 'destroy']) {
    model.on(event, lost);
    signal.addEventListener('abort', () => model.off(event, lost));
  }
}
