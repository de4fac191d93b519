/**
 * The view model that the kernel sends: what to draw and what to say about it.
 *
 * Coordinates are in drawing units (1 unit = 1 CSS pixel at zoom 1), computed once in Python. Nothing here knows Jupyter.
 */

/** Where a node runs; NONE stands for nodes that are removed at inference (Dropout, Identity) and for model inputs and outputs. */
export type Place = 'BPU' | 'CPU' | 'NONE';
export type NodeKind = 'op' | 'input' | 'output' | 'module';
export type QuantClass = 'active' | 'passive' | 'manual' | 'none';
export type Boundary = 'quantize' | 'dequantize' | 'requantize';

export interface ViewNode {
  id: string;
  label: string;
  op: string;
  kind: NodeKind;
  on: Place;
  /** Centre and size. */
  x: number;
  y: number;
  w: number;
  h: number;
  quant_class: QuantClass;
  dtype: string;
  subgraph: number | null;
  /** Name of the fused unit, empty when the node stands alone. */
  group: string;
  module: string;
  edited: boolean;
  /** A unit convolution that the user inserted. */
  inserted: boolean;
  cosine: number | null;
  l1: number | null;
  /** How much the output moves when only this node is quantized; missing before that was measured. */
  sensitivity?: number | null;
  /** Module boxes: ops inside, and the share of them on the BPU in 0..1. */
  count?: number;
  bpu_share?: number | null;
  reason: string;
}

export interface ViewEdge {
  source: string;
  target: string;
  value: string;
  /** Polyline including both ends, routed around nodes. */
  points: [number, number][];
  boundary: Boundary | null;
  elements: number;
  /** Bytes that its Quantize, Dequantize or Requantize ops read and write. */
  cost?: number;
}

/** An open module whose boxes stand together: centre and size. */
export interface ViewFrame {
  module: string;
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface GraphView {
  schema: number;
  title: string;
  sentence: string;
  width: number;
  height: number;
  direction: string;
  /** What the fill of a node says, where the kernel chose it. */
  color_by?: string;
  nodes: ViewNode[];
  edges: ViewEdge[];
  frames?: ViewFrame[];
  collapsed: string[];
  /** Paths that can be collapsed. */
  modules: string[];
}

const SCHEMA = 1;

/** What is shown before there is anything to show. */
export const EMPTY_VIEW: GraphView = {
  schema: SCHEMA,
  title: '',
  sentence: '',
  width: 1,
  height: 1,
  direction: 'TB',
  nodes: [],
  edges: [],
  collapsed: [],
  modules: []
};
/** DOM event by which JupyterLab's commands reach a live widget; its detail is `{type: 'run' | 'cancel' | 'undo' | 'redo'}`. */
export const COMMAND_EVENT = 'qwb-command';
/** What JupyterLab's settings say; they reach the widget as JSON in `data-qwb-settings` of the page's body. */
export interface PageSettings {
  colouring?: string;
  /** Whether an edit runs the model at once; missing means yes. */
  autoRun?: boolean;
}

export function pageSettings(): PageSettings {
  try {
    return (JSON.parse(document.body.dataset.qwbSettings ?? '{}') ?? {}) as PageSettings;
  } catch {
    return {};
  }
}

export const VIEW_MIME = 'application/vnd.qworkbench.view+json';

/** Return `data` as a view, or null when it is not one that this code can draw. */
export function asView(data: unknown): GraphView | null {
  const view = data as Partial<GraphView> | null;
  const whole =
    typeof view === 'object' &&
    view !== null &&
    view.schema === SCHEMA &&
    Array.isArray(view.nodes) &&
    Array.isArray(view.edges);
  return whole ? (view as GraphView) : null;
}
