/** Finds nodes by words: `conv cpu` means every node with "conv" and "cpu" somewhere in its name, op, place, class or dtype. */
import type { ViewNode } from './types';

/** A row of the node table, as far as search needs it: also covers nodes that are hidden in collapsed modules. */
export interface Searchable {
  id: string;
  op: string;
  on: string;
  dtype: string;
}

function matches(words: string[], fields: string[]): boolean {
  const text = fields.join(' ').toLowerCase();
  return words.every(word => text.includes(word));
}

function split(query: string): string[] {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

/** Rows that match `query`; all of them for an empty one. */
export function findRows<T extends Searchable>(query: string, rows: readonly T[]): T[] {
  const words = split(query);
  return rows.filter(row => matches(words, [row.id, row.op, row.on, row.dtype]));
}

/**
 * Ids of drawn nodes that match, in drawing order; null for an empty query. A collapsed module matches when a node inside
 * of it (looked up in `rows`) does.
 */
export function find(
  query: string,
  nodes: readonly ViewNode[],
  rows: readonly Searchable[] = []
): string[] | null {
  const words = split(query);
  if (words.length === 0) {
    return null;
  }
  const hidden = findRows(query, rows);
  const found = nodes.filter(
    node =>
      matches(words, [node.id, node.label, node.op, node.on, node.quant_class, node.dtype]) ||
      (node.kind === 'module' && hidden.some(row => row.id.startsWith(`${node.id}.`)))
  );
  return found.sort((a, b) => a.y - b.y || a.x - b.x).map(node => node.id);
}
