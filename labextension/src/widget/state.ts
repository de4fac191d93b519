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
  /** Edits came after the sensitivities were measured. */
  sensitivity_stale?: boolean;
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

/** A model input, what is declared about it, and what can be. */
export interface InputRow {
  name: string;
  shape: string[];
  declared: Record<'rt' | 'train' | 'layout' | 'space' | 'fit' | 'mean' | 'scale', string> | null;
  choices?: {
    /** Runtime types by training type. */
    rt: Record<string, string[]>;
    layout: string[];
    space: string[];
    fit: string[];
  };
  /** By training type. */
  channels?: Record<string, number>;
}

export interface Traits {
  found_search: Partial<FoundSearch>;
  found_sensitivity: Partial<FoundSensitivity>;
  found_mixed_precision: Partial<FoundTrials>;
  found_recipe: Partial<FoundTrials>;
  found_compare_layers: Partial<FoundLayers>;
  found_bisect: Partial<FoundRegion>;
  found_partial: Partial<TableData>;
  found_bad_cases: Partial<FoundCases>;
  found_range_proposals: Partial<TableData>;
  found_channels: Partial<FoundChannels>;
  standing: Standing;
  inputs: InputRow[];
  variables: string[];
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
  | ({ kind: 'SetPreprocess'; node: string; rt: string } & Record<string, string>)
  | { kind: 'SetMarch'; march: string }
  | ({ kind: 'SetArithmetic' } & Record<string, string | number>)
  | { kind: 'FixScale'; node: string; scale: number }
  | { kind: 'ClearScale'; node: string }
  | ({ kind: 'SetDtype'; node: string } & Partial<Record<Role, string>>);

export type Message =
  | { type: 'edit'; edits: Edit[]; run?: boolean }
  | { type: 'undo' | 'redo' | 'run' | 'cancel' | 'reset' }
  | {
      type: 'analyse';
      analysis: Analysis;
      options?: Record<string, unknown>;
      /** A notebook variable. */
      samples?: string;
      /** The worst sample of the bad cases by this metric. */
      worst?: string;
    }
  | { type: 'apply'; what: 'candidate'; name: string }
  | { type: 'apply'; what: 'mixed_precision'; top_k?: number }
  | { type: 'apply'; what: 'recipe' }
  | { type: 'apply'; what: 'bisect'; how: 'int16' | 'cpu' }
  | { type: 'apply'; what: 'range_proposals'; nodes: string[] }
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
