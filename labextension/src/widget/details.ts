/**
 * What the kernel says of one node, or of several: what the panel of the selected node is made from. Says nothing of how
 * it looks.
 */
import type { Edit, Role } from './messages';

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
