/**
 * Which node stands for a place: the outermost, the most central, the one that stays put when the view changes.
 *
 * Pure arithmetic on views and viewports; knows no elements.
 */
import type { GraphView, ViewNode } from './types';
import type { Viewport } from './viewport';

type Nodes = ReadonlyMap<string, ViewNode>;

/** How far `node` is from the centre of the pane, in CSS pixels. */
function offCentre({ scale, x, y, pane }: Viewport, node: ViewNode): number {
  return Math.hypot(node.x * scale + x - pane.width / 2, node.y * scale + y - pane.height / 2);
}

/** The topmost (-1) or lowest (1) node. */
export function outermost({ nodes }: GraphView, side: -1 | 1): ViewNode | undefined {
  return nodes.reduce<ViewNode | undefined>(
    (best, node) => (best && (node.y - best.y) * side <= 0 ? best : node),
    undefined
  );
}

/** The node of the `next` view that has to stay where its namesake is `now`: the selected one, or the most central. */
export function anchorOf(next: GraphView, now: Nodes, selected: string, viewport: Viewport): ViewNode | null {
  const distance = (id: string) => {
    const node = now.get(id);
    return node ? offCentre(viewport, node) : Infinity;
  };
  const kept = next.nodes.filter(node => now.has(node.id));
  return (
    kept.find(node => node.id === selected) ??
    kept.reduce<ViewNode | null>(
      (best, node) => (best && distance(best.id) <= distance(node.id) ? best : node),
      null
    )
  );
}

/** The node that both drawings have and that is nearest to the centre of the `leader`, as it is here and there. */
export function sharedCentre(here: Nodes, there: Nodes, leader: Viewport): [ViewNode, ViewNode] | null {
  let best: ViewNode | null = null;
  for (const node of there.values()) {
    if (here.has(node.id) && (!best || offCentre(leader, node) < offCentre(leader, best))) {
      best = node;
    }
  }
  const twin = best && here.get(best.id);
  return best && twin ? [twin, best] : null;
}
