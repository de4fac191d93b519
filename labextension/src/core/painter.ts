/**
 * Keeps in the SVG exactly those frames, edges and nodes that are in sight.
 *
 * Two thousand nodes pan at 60 Hz because only some dozens of them exist at a time; see `Viewport.visible`.
 */
import { Shading, type Colouring } from './colouring';
import { s } from './dom';
import { edgeBox, edgeElement, edgeKey } from './edgeElement';
import { nodeElement, toneOf } from './nodeElement';
import { outline } from './shapes';
import { EMPTY_VIEW, type GraphView, type ViewEdge, type ViewFrame, type ViewNode } from './types';
import type { Box, Viewport } from './viewport';

const NEAR = 120;

/** What is marked on the drawing. */
export interface Marks {
  /** The tab stop. */
  current: string;
  selected: string;
  /** All selected nodes where there are several. */
  picked: ReadonlySet<string>;
  /** The node that is being measured. */
  running: string;
  /** Nodes that differ from the state that is compared with, and how. */
  differing: ReadonlyMap<string, string>;
  /** Nodes of the region that is to blame. */
  region: ReadonlySet<string>;
  /** Everything else is dimmed; null dims nothing. */
  matches: ReadonlySet<string> | null;
}

export function noMarks(): Marks {
  return {
    current: '',
    selected: '',
    picked: new Set(),
    running: '',
    differing: new Map(),
    region: new Set(),
    matches: null
  };
}

/** Extent of a node or frame, which give their centre and size. */
export function boxOf({ x, y, w, h }: { x: number; y: number; w: number; h: number }): Box {
  return { x0: x - w / 2, y0: y - h / 2, x1: x + w / 2, y1: y + h / 2 };
}

export function overlaps(a: Box, b: Box): boolean {
  return a.x0 <= b.x1 && a.x1 >= b.x0 && a.y0 <= b.y1 && a.y1 >= b.y0;
}

/** One kind of drawn things: makes elements when they come into sight and drops them when they leave. */
class Shelf<T> {
  readonly layer: SVGGElement;
  readonly drawn = new Map<string, SVGGElement>();

  constructor(
    name: string,
    private readonly key: (item: T) => string,
    private readonly make: (item: T) => SVGGElement
  ) {
    this.layer = s('g', { class: name });
  }

  sync(items: readonly T[], wanted: (item: T) => boolean): void {
    for (const item of items) {
      const id = this.key(item);
      const present = this.drawn.get(id);
      if (!wanted(item)) {
        present?.remove();
        this.drawn.delete(id);
      } else if (!present) {
        const element = this.make(item);
        this.drawn.set(id, element);
        this.layer.append(element);
      }
    }
  }

  clear(): void {
    this.layer.replaceChildren();
    this.drawn.clear();
  }
}

/** The end of a module path, which says more than its beginning. */
function short(path: string): string {
  return path.length > LONGEST_CAPTION ? `\u2026${path.slice(1 - LONGEST_CAPTION)}` : path;
}

function frameElement(frame: ViewFrame): SVGGElement {
  const { x0, y0 } = boxOf(frame);
  const caption = { class: 'qwb-caption', x: x0 - 8, y: y0 + 11, dy: '0.36em', 'text-anchor': 'end' };
  return s(
    'g',
    { class: 'qwb-frame', 'data-module': frame.module },
    s('path', { d: outline('rounded', frame.w, frame.h), transform: `translate(${frame.x} ${frame.y})` }),
    s('text', caption, short(frame.module), s('title', {}, frame.module))
  );
}

const LONGEST_CAPTION = 24;

export class Painter {
  readonly layer = s('g', { class: 'qwb-layer' });
  shading = new Shading(EMPTY_VIEW, 'placement');
  private view = EMPTY_VIEW;
  private byId = new Map<string, ViewNode>();
  private changed = new Set<string>();
  private readonly frames = new Shelf<ViewFrame>('qwb-frames', frame => frame.module, frameElement);
  private readonly edges = new Shelf('qwb-edges', edgeKey, edge => edgeElement(edge, this.bondOf(edge)));
  private readonly nodes = new Shelf<ViewNode>(
    'qwb-nodes',
    node => node.id,
    node => {
      const element = nodeElement(node, this.shading);
      element.classList.toggle('qwb-changed', this.changed.delete(node.id));
      return element;
    }
  );

  constructor() {
    this.layer.append(this.frames.layer, this.edges.layer, this.nodes.layer);
  }

  /** Take another view, to be drawn after a `clear`; nodes that moved between BPU and CPU will flash once. */
  setView(view: GraphView): void {
    const before = new Map(this.view.nodes.map(node => [node.id, node.on]));
    this.changed = new Set(
      view.nodes.filter(node => (before.get(node.id) ?? node.on) !== node.on).map(node => node.id)
    );
    this.view = view;
    this.byId = new Map(view.nodes.map(node => [node.id, node]));
    this.shading = new Shading(view, this.shading.colouring, this.shading.old);
  }

  setColouring(colouring: Colouring, old = false): void {
    this.shading = new Shading(this.view, colouring, old);
  }

  /** The tone of the fused unit that holds both ends of `edge`, or empty. */
  private bondOf(edge: ViewEdge): string {
    const [source, target] = [this.byId.get(edge.source), this.byId.get(edge.target)];
    const fused =
      source && target && source.group && source.group === target.group && source.on === target.on;
    return fused ? toneOf(source) : '';
  }

  clear(): void {
    this.frames.clear();
    this.edges.clear();
    this.nodes.clear();
  }

  /** The element of node `id`, if it is drawn. */
  element(id: string): SVGGElement | undefined {
    return this.nodes.drawn.get(id);
  }

  /** Draw what `viewport` sees, and node `held` wherever it is, since it has the focus. */
  draw(viewport: Viewport, marks: Marks, held: string): void {
    const { scale, x, y } = viewport;
    this.layer.setAttribute('transform', `translate(${x} ${y}) scale(${scale})`);
    const seen = viewport.visible(NEAR);
    this.frames.sync(this.view.frames ?? [], frame => overlaps(boxOf(frame), seen));
    this.edges.sync(this.view.edges, edge => overlaps(edgeBox(edge), seen));
    this.nodes.sync(
      this.view.nodes,
      node => node.id === marks.current || node.id === held || overlaps(boxOf(node), seen)
    );
    this.mark(marks);
  }

  private mark({ current, selected, picked, running, differing, region, matches }: Marks): void {
    for (const [id, element] of this.nodes.drawn) {
      const match = matches?.has(id) ?? false;
      element.setAttribute('tabindex', id === current ? '0' : '-1');
      element.setAttribute('aria-current', String(id === selected));
      element.classList.toggle('qwb-selected', id === selected || picked.has(id));
      element.classList.toggle('qwb-running', id === running);
      element.classList.toggle('qwb-differs', differing.has(id));
      element.classList.toggle('qwb-region', region.has(id));
      element.classList.toggle('qwb-match', match);
      element.classList.toggle('qwb-dim', matches !== null && !match);
    }
    for (const element of this.edges.drawn.values()) {
      const { source, target } = element.dataset;
      const near = selected !== '' && (source === selected || target === selected);
      element.classList.toggle('qwb-near', near);
      element.classList.toggle('qwb-dim', matches !== null && !near);
    }
  }
}
