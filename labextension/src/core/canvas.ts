/**
 * The graph on the page: moved by pointer, wheel and keys, read by screen readers.
 *
 * Coordinates come from the view; nothing is laid out here. Exactly one node is a tab stop (roving tabindex) and the arrow
 * keys move it along the edges. The owner is told what the user wants and calls back with `setView` and `select`.
 */
import type { Colouring, Shading } from './colouring';
import { focused, h, s } from './dom';
import { listenToGestures } from './gestures';
import { KEY_HELP, actionOf, type Action } from './keyboard';
import { Links } from './links';
import { Minimap } from './minimap';
import { Painter, boxOf, overlaps, type Marks } from './painter';
import { EMPTY_VIEW, type GraphView, type ViewNode } from './types';
import { READABLE_SCALE, Viewport } from './viewport';

export interface GraphActions {
  /** Select `id` (empty: nothing); `more` adds it to what is selected, or takes it out again. */
  select: (id: string, more: boolean) => void;
  /** Open or close module `path`. */
  toggleModule: (path: string, collapsed: boolean) => void;
  /** Fold the outer modules, or open all. */
  toggleAll: () => void;
  search: () => void;
  undo: () => void;
  redo: () => void;
  /** Escape. */
  leave: () => void;
  /** The drawing was moved or zoomed. */
  moved?: () => void;
}

let count = 0;

export class GraphCanvas {
  readonly element: HTMLElement;
  readonly svg: SVGSVGElement;
  readonly viewport = new Viewport();
  private readonly painter = new Painter();
  private readonly minimap: Minimap;
  private view = EMPTY_VIEW;
  private nodes = new Map<string, ViewNode>();
  private links = new Links(EMPTY_VIEW);
  private readonly marks: Marks = {
    current: '',
    selected: '',
    picked: new Set(),
    running: '',
    differing: new Map(),
    region: new Set(),
    matches: null
  };
  private frame = 0;

  constructor(
    private readonly actions: GraphActions,
    private readonly signal: AbortSignal
  ) {
    const help = `qwb-help-${++count}`;
    this.svg = s(
      'svg',
      {
        class: 'qwb-svg',
        role: 'graphics-document',
        'aria-roledescription': 'graph',
        'aria-describedby': help
      },
      this.painter.layer
    );
    this.minimap = new Minimap(
      this.viewport,
      () => {
        this.schedule();
        this.actions.moved?.();
      },
      signal
    );
    const explain = h('span', { id: help, hidden: true }, KEY_HELP);
    this.element = h('div', { class: 'qwb-canvas' }, this.svg, explain, this.minimap.element);
    this.listen();
  }

  /** Show `view`. The first one opens at its input; later ones keep what is in sight where it is. */
  setView(view: GraphView): void {
    const anchor = this.anchor(view);
    const before = anchor && this.nodes.get(anchor.id);
    this.view = view;
    this.nodes = new Map(view.nodes.map(node => [node.id, node]));
    this.links = new Links(view);
    this.viewport.content = { width: Math.max(1, view.width), height: Math.max(1, view.height) };
    this.svg.setAttribute('aria-label', view.sentence || view.title);
    this.painter.setView(view);
    if (before) {
      const { scale } = this.viewport;
      this.viewport.pan((before.x - anchor.x) * scale, (before.y - anchor.y) * scale);
    } else {
      this.fitWidth();
    }
    if (!this.nodes.has(this.marks.current)) {
      this.marks.current = this.nodes.has(this.marks.selected)
        ? this.marks.selected
        : (this.outermost(-1)?.id ?? '');
    }
    this.redraw();
  }

  /** Mark `id` as selected (empty: none) and bring it into sight. */
  select(id: string): void {
    this.marks.selected = id;
    this.reveal(id);
    this.schedule();
  }

  /** Mark several nodes as selected. */
  pick(ids: readonly string[]): void {
    this.marks.picked = new Set(ids);
    this.schedule();
  }

  /** Mark the node that is being measured; empty: none. */
  setRunning(id: string): void {
    if (this.marks.running !== id) {
      this.marks.running = id;
      this.schedule();
    }
  }

  /** Mark nodes that differ from another state. */
  setDiffering(differing: ReadonlyMap<string, string>): void {
    this.marks.differing = differing;
    this.schedule();
  }

  /** Outline the nodes of a region. */
  setRegion(ids: Iterable<string>): void {
    this.marks.region = new Set(ids);
    this.schedule();
  }

  /** How the nodes are coloured now. */
  get shading(): Shading {
    return this.painter.shading;
  }

  /** Show the same place as `other`, so that a node that both have is at the same spot. */
  follow(other: GraphCanvas): void {
    const { scale, x, y, pane } = other.viewport;
    const lower = other.svg.getBoundingClientRect().top - this.svg.getBoundingClientRect().top;
    const middle = (node: ViewNode) =>
      Math.hypot(node.x * scale + x - pane.width / 2, node.y * scale + y - pane.height / 2);
    let best: ViewNode | null = null;
    for (const node of other.nodes.values()) {
      if (this.nodes.has(node.id) && (!best || middle(node) < middle(best))) {
        best = node;
      }
    }
    const twin = best && this.nodes.get(best.id);
    if (best && twin) {
      this.viewport.scale = scale;
      this.viewport.x = x + (best.x - twin.x) * scale;
      this.viewport.y = y + (best.y - twin.y) * scale + lower;
      this.schedule();
    }
  }

  /** Bring `id` into sight and make it the tab stop; `readable` also zooms in where no name can be read. */
  reveal(id: string, readable = false): void {
    const node = this.nodes.get(id);
    if (node) {
      this.marks.current = id;
      if (readable && this.viewport.magnify(node.x, node.y)) {
        this.viewport.covered = this.minimap.strip(this.view);
      }
      this.viewport.reveal(boxOf(node));
      this.schedule();
      this.actions.moved?.();
    }
  }

  /** Dim all nodes but `ids`; null shows all alike. */
  setMatches(ids: readonly string[] | null): void {
    this.marks.matches = ids && new Set(ids);
    this.schedule();
  }

  /** Colour by `colouring`; `old` says that its figures are from before the newest edits. */
  setColouring(colouring: Colouring, old = false): void {
    this.element.toggleAttribute('data-old', old);
    this.painter.setColouring(colouring, old);
    this.redraw();
  }

  fit(): void {
    this.viewport.covered = 0;
    this.viewport.fit();
    this.schedule();
    this.actions.moved?.();
  }

  fitWidth(): void {
    this.viewport.covered = this.minimap.strip(this.view);
    this.viewport.fitWidth(this.outermost(-1)?.x);
    this.schedule();
    this.actions.moved?.();
  }

  zoom(factor: number): void {
    this.viewport.zoomAt(factor);
    this.schedule();
    this.actions.moved?.();
  }

  /** Give the focus to the tab stop. */
  focus(): void {
    this.draw();
    this.painter.element(this.marks.current)?.focus({ preventScroll: true });
  }

  /** Make all elements anew. */
  redraw(): void {
    const refocus = this.hasFocus();
    this.painter.clear();
    this.draw();
    if (refocus) {
      this.focus();
    }
  }

  /** Bring the SVG up to date now; changes otherwise wait for the next frame. */
  draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { scale } = this.viewport;
    const held = this.hasFocus() ? (focused(this.svg) as SVGElement | null)?.dataset.node : undefined;
    this.svg.dataset.detail = scale >= 0.62 ? 'full' : scale >= READABLE_SCALE ? 'labels' : 'shapes';
    this.painter.draw(this.viewport, this.marks, held ?? '');
    this.minimap.draw(this.view, this.painter.shading);
  }

  private schedule(): void {
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  private listen(): void {
    const { signal, svg, viewport } = this;
    const moved = (move: () => void) => {
      move();
      this.schedule();
      this.actions.moved?.();
    };
    listenToGestures(
      svg,
      {
        pan: (dx, dy) => moved(() => viewport.pan(dx, dy)),
        zoom: (factor, x, y) => moved(() => viewport.zoomAt(factor, x, y)),
        hasFocus: () => this.hasFocus()
      },
      signal
    );
    svg.addEventListener(
      'mousedown',
      event => {
        event.preventDefault(); // the browser would take the focus away, and with it the wheel and the keys
        this.focus();
      },
      { signal }
    );
    svg.addEventListener('click', event => this.clicked(event), { signal });
    svg.addEventListener('dblclick', event => this.doubleClicked(event.target as Element), { signal });
    svg.addEventListener('keydown', event => this.pressed(event), { signal });
    if (typeof ResizeObserver !== 'undefined') {
      const observer = new ResizeObserver(() => this.resize());
      observer.observe(svg);
      signal.addEventListener('abort', () => observer.disconnect());
    }
    signal.addEventListener('abort', () => cancelAnimationFrame(this.frame));
  }

  private clicked(event: MouseEvent): void {
    const target = event.target as Element;
    const module = target.closest<SVGGElement>('.qwb-caption')?.parentElement?.dataset.module;
    if (module) {
      this.actions.toggleModule(module, true);
      return;
    }
    const id = idAt(target);
    this.marks.current = id || this.marks.current;
    this.focus();
    this.actions.select(id, event.shiftKey || event.ctrlKey || event.metaKey);
  }

  /** Open the folded module, or fold the one whose frame it is. */
  private doubleClicked(target: Element): void {
    const framed = target.closest<SVGGElement>('.qwb-frame')?.dataset.module;
    if (framed) {
      this.actions.toggleModule(framed, true);
    } else {
      this.open(this.nodes.get(idAt(target)));
    }
  }

  private open(node: ViewNode | undefined): void {
    if (node?.kind === 'module') {
      this.actions.toggleModule(node.id, false);
    }
  }

  private pressed(event: KeyboardEvent): void {
    const action = actionOf(event);
    if (action) {
      event.preventDefault();
      this.perform(action);
    }
  }

  private perform(action: Action): void {
    switch (action.do) {
      case 'walk':
        return this.walk(this.links.step(this.marks.current, action.direction));
      case 'first':
        return this.walk(this.outermost(-1)?.id ?? null);
      case 'last':
        return this.walk(this.outermost(1)?.id ?? null);
      case 'select':
        return this.actions.select(this.marks.current, false);
      case 'add':
        return this.actions.select(this.marks.current, true);
      case 'toggle':
        return this.toggle();
      case 'zoomIn':
        return this.zoom(1.25);
      case 'zoomOut':
        return this.zoom(0.8);
      case 'fit':
        return this.fit();
      case 'fitWidth':
        return this.fitWidth();
      default:
        return this.actions[action.do]();
    }
  }

  private walk(id: string | null): void {
    if (id !== null) {
      this.reveal(id);
      this.focus();
    }
  }

  private toggle(): void {
    const node = this.nodes.get(this.marks.current);
    if (node?.kind === 'module') {
      this.open(node);
    } else if (node && this.view.modules.includes(node.module)) {
      this.actions.toggleModule(node.module, true);
    }
  }

  private resize(): void {
    const { width, height } = this.svg.getBoundingClientRect();
    if (width > 0 && height > 0) {
      const opening = !this.svg.dataset.sized;
      this.svg.dataset.sized = 'true';
      const wider = width - this.viewport.pane.width;
      const held = this.nodes.get(this.marks.selected);
      const seen = held && overlaps(boxOf(held), this.viewport.visible());
      this.viewport.pane = { width, height };
      if (!opening) {
        this.viewport.pan(wider / 2, 0);
      }
      if (held && seen) {
        this.viewport.reveal(boxOf(held));
      }
      if (opening) {
        this.fitWidth();
        this.reveal(this.marks.selected);
      }
      this.schedule();
    }
  }

  private hasFocus(): boolean {
    const element = focused(this.svg);
    return element !== null && this.svg.contains(element);
  }

  /** The topmost (-1) or lowest (1) node. */
  private outermost(side: -1 | 1): ViewNode | undefined {
    return this.view.nodes.reduce<ViewNode | undefined>(
      (best, node) => (best && (node.y - best.y) * side <= 0 ? best : node),
      undefined
    );
  }

  /** The node of the next view that has to stay where its namesake is now: the selected one, or the most central. */
  private anchor(next: GraphView): ViewNode | null {
    const { scale, x, y, pane } = this.viewport;
    const distance = (id: string) => {
      const node = this.nodes.get(id);
      return node
        ? Math.hypot(node.x * scale + x - pane.width / 2, node.y * scale + y - pane.height / 2)
        : Infinity;
    };
    const kept = next.nodes.filter(node => this.nodes.has(node.id));
    return (
      kept.find(node => node.id === this.marks.selected) ??
      kept.reduce<ViewNode | null>(
        (best, node) => (best && distance(best.id) <= distance(node.id) ? best : node),
        null
      )
    );
  }
}

/** Id of the node that `target` belongs to, or nothing. */
function idAt(target: Element): string {
  return target.closest<SVGGElement>('[data-node]')?.dataset.node ?? '';
}
