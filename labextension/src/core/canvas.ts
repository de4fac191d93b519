/**
 * The graph on the page: what of it is shown and marked, read by screen readers.
 *
 * Coordinates come from the view; nothing is laid out here. Exactly one node is a tab stop (roving tabindex). What pointer
 * and keys mean is known to `Interaction`, which tells the owner; the owner calls back with `setView` and `select`.
 */
import { anchorOf, outermost, sharedCentre } from './anchor';
import type { Colouring, Shading } from './colouring';
import { focused, h, s } from './dom';
import { Interaction, type Drawing, type GraphActions } from './interaction';
import { KEY_HELP } from './keyboard';
import { Minimap } from './minimap';
import { Painter, boxOf, noMarks, overlaps } from './painter';
import { EMPTY_VIEW, type GraphView, type ViewNode } from './types';
import { READABLE_SCALE, Viewport } from './viewport';

let count = 0;

export class GraphCanvas implements Drawing {
  readonly element: HTMLElement;
  readonly svg: SVGSVGElement;
  readonly viewport = new Viewport();
  private readonly painter = new Painter();
  private readonly minimap: Minimap;
  private readonly interaction: Interaction;
  private view = EMPTY_VIEW;
  private nodes = new Map<string, ViewNode>();
  private readonly marks = noMarks();
  private frame = 0;

  constructor(
    private readonly actions: GraphActions,
    signal: AbortSignal
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
    this.minimap = new Minimap(this.viewport, () => this.moved(), signal);
    const explain = h('span', { id: help, hidden: true }, KEY_HELP);
    this.element = h('div', { class: 'qwb-canvas' }, this.svg, explain, this.minimap.element);
    this.interaction = new Interaction(this, actions, signal);
    if (typeof ResizeObserver !== 'undefined') {
      const observer = new ResizeObserver(() => this.resize());
      observer.observe(this.svg);
      signal.addEventListener('abort', () => observer.disconnect());
    }
    signal.addEventListener('abort', () => cancelAnimationFrame(this.frame));
  }

  /** What is shown. */
  get shown(): GraphView {
    return this.view;
  }

  get current(): string {
    return this.marks.current;
  }

  set current(id: string) {
    this.marks.current = id;
  }

  /** Show `view`. The first one opens at its input; later ones keep what is in sight where it is. */
  setView(view: GraphView): void {
    const anchor = anchorOf(view, this.nodes, this.marks.selected, this.viewport);
    const before = anchor && this.nodes.get(anchor.id);
    this.view = view;
    this.nodes = new Map(view.nodes.map(node => [node.id, node]));
    this.interaction.setView(view);
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
        : (outermost(this.view, -1)?.id ?? '');
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
    const { scale, x, y } = other.viewport;
    const lower = other.svg.getBoundingClientRect().top - this.svg.getBoundingClientRect().top;
    const shared = sharedCentre(this.nodes, other.nodes, other.viewport);
    if (shared) {
      const [here, there] = shared;
      this.viewport.scale = scale;
      this.viewport.x = x + (there.x - here.x) * scale;
      this.viewport.y = y + (there.y - here.y) * scale + lower;
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
      this.moved();
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
    this.moved();
  }

  fitWidth(): void {
    this.viewport.covered = this.minimap.strip(this.view);
    this.viewport.fitWidth(outermost(this.view, -1)?.x);
    this.moved();
  }

  zoom(factor: number): void {
    this.viewport.zoomAt(factor);
    this.moved();
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

  /** Draw what the viewport was moved to, and tell the owner. */
  moved(): void {
    this.schedule();
    this.actions.moved?.();
  }

  private schedule(): void {
    this.frame ||= requestAnimationFrame(() => this.draw());
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

  hasFocus(): boolean {
    const element = focused(this.svg);
    return element !== null && this.svg.contains(element);
  }
}
