/** Numbers and nodes in words: the same text for the eye, for the screen reader and for tests. */
import { TAGS } from './palette';
import type { Place, ViewEdge, ViewNode } from './types';

const MINUS = '\u2212';

/** Cosine similarity; more digits where it is close to one. */
export function formatCosine(value: number | null | undefined, digits?: number): string {
  if (value === null || value === undefined || Number.isNaN(value)) {
    return '\u2013';
  }
  return signed(value.toFixed(digits ?? (value > 0.9995 && value < 1 ? 6 : 4)));
}

/** Cosine in the four digits that a box has room for; what rounds to 1 but is not prints as 0.9999. */
export function scoreText(cosine: number | null): string {
  if (cosine === null || Number.isNaN(cosine)) {
    return '';
  }
  return signed((cosine < 1 ? Math.min(cosine, 0.9999) : 1).toFixed(4));
}

/** A number with three significant digits. */
export function formatNumber(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) {
    return '\u2013';
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? '\u221e' : `${MINUS}\u221e`;
  }
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-4 || size >= 1e5)
      ? value.toExponential(2)
      : String(Number(value.toPrecision(3)));
  return signed(text);
}

/** A change with its sign: `+0.0012`, `−3.1e−5`. */
export function formatDelta(value: number): string {
  const text = formatNumber(Number(value.toPrecision(2)));
  return value > 0 ? `+${text}` : text;
}

/** 16384 -> `16,384`. */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** 12,800 -> `12.8 kB`: decimal units, three significant digits. */
export function formatBytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  const power = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  return `${Number((value / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

function signed(text: string): string {
  return text.replace(/-/g, MINUS);
}

/** Where a node runs, in words. */
export function placeText(on: Place): string {
  return { BPU: 'on BPU', CPU: 'on CPU', NONE: 'removed at inference' }[on];
}

/** What a screen reader says of a node: `softmax, Softmax, on CPU, manual, float32, cosine 0.9931, edited`. */
export function nodeText(node: ViewNode): string {
  if (node.kind !== 'op') {
    return node.reason || `${node.kind} ${node.label}`;
  }
  const parts = [
    node.id,
    node.op,
    placeText(node.on),
    node.quant_class === 'none' ? '' : node.quant_class,
    node.dtype
  ];
  if (node.cosine !== null) {
    parts.push(`cosine ${formatCosine(node.cosine)}`);
  }
  parts.push(node.inserted ? 'inserted unit conv' : node.edited ? 'edited' : '');
  return parts.filter(Boolean).join(', ');
}

/** Tooltip of an edge. */
export function edgeText(edge: ViewEdge): string {
  const what = edge.boundary ? `${edge.boundary} (${TAGS[edge.boundary]}), ` : '';
  const elements = edge.elements > 0 ? `, ${formatCount(edge.elements)} elements` : '';
  const bytes = edge.cost ? `, ${formatBytes(edge.cost)} read and written` : '';
  return `${what}${edge.source} \u2192 ${edge.target}${elements}${bytes}`;
}
