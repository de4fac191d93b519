/** The traits that the kernel keeps up to date on the page, the model that holds them, and how to follow them. */
import type { GraphView } from '../core/types';
import type { Panel } from './details';
import type {
  FoundCases,
  FoundChannels,
  FoundLayers,
  FoundRegion,
  FoundSearch,
  FoundSensitivity,
  FoundTrials,
  Standing,
  TableData
} from './found';
import type { Message } from './messages';

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
