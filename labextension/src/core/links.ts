/** Who follows whom: what the arrow keys walk along. */
import type { GraphView, ViewNode } from './types';

export type Direction = 'down' | 'up' | 'left' | 'right';

export class Links {
  private readonly nodes = new Map<string, ViewNode>();
  private readonly after = new Map<string, string[]>();
  private readonly before = new Map<string, string[]>();

  constructor(view: GraphView) {
    for (const node of view.nodes) {
      this.nodes.set(node.id, node);
    }
    for (const { source, target } of view.edges) {
      push(this.after, source, target);
      push(this.before, target, source);
    }
    for (const ids of [...this.after.values(), ...this.before.values()]) {
      ids.sort((a, b) => this.column(a) - this.column(b));
    }
  }

  /** Nodes that read what `id` writes, left to right. */
  successors(id: string): readonly string[] {
    return this.after.get(id) ?? [];
  }

  /** Nodes whose output `id` reads, left to right. */
  predecessors(id: string): readonly string[] {
    return this.before.get(id) ?? [];
  }

  /** Nodes that share a predecessor or a successor with `id`, and `id` itself, left to right. */
  siblings(id: string): string[] {
    const found = new Set<string>([id]);
    for (const parent of this.predecessors(id)) {
      this.successors(parent).forEach(other => found.add(other));
    }
    for (const child of this.successors(id)) {
      this.predecessors(child).forEach(other => found.add(other));
    }
    return [...found].sort((a, b) => this.column(a) - this.column(b));
  }

  /** Where an arrow key leads from `id`, or null at the rim. */
  step(id: string, direction: Direction): string | null {
    if (direction === 'down') {
      return this.successors(id)[0] ?? null;
    }
    if (direction === 'up') {
      return this.predecessors(id)[0] ?? null;
    }
    const row = this.siblings(id);
    return row[row.indexOf(id) + (direction === 'left' ? -1 : 1)] ?? null;
  }

  private column(id: string): number {
    return this.nodes.get(id)?.x ?? 0;
  }
}

function push(lists: Map<string, string[]>, key: string, value: string): void {
  const list = lists.get(key);
  if (!list) {
    lists.set(key, [value]);
  } else if (!list.includes(value)) {
    list.push(value);
  }
}
