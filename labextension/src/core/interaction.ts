/**
 * What the user does to the graph by pointer and keys, and what it means: walk, select, open, fold, zoom.
 *
 * Moves the drawing by itself; everything else is told to the owner through `GraphActions`. Draws nothing, and knows the
 * canvas only as a `Drawing`.
 */
import { outermost } from './anchor';
import { listenToGestures } from './gestures';
import { actionOf, type Action } from './keyboard';
import { Links } from './links';
import { EMPTY_VIEW, type GraphView, type ViewNode } from './types';
import type { Viewport } from './viewport';

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

/** The graph on the page, as far as hands reach. */
export interface Drawing {
  readonly svg: SVGSVGElement;
  readonly viewport: Viewport;
  /** Id of the tab stop. */
  current: string;
  hasFocus(): boolean;
  /** Give the focus to the tab stop. */
  focus(): void;
  /** Bring `id` into sight and make it the tab stop. */
  reveal(id: string): void;
  zoom(factor: number): void;
  fit(): void;
  fitWidth(): void;
  /** Draw what the viewport was moved to. */
  moved(): void;
}

export class Interaction {
  private view = EMPTY_VIEW;
  private links = new Links(EMPTY_VIEW);

  constructor(
    private readonly drawing: Drawing,
    private readonly actions: GraphActions,
    signal: AbortSignal
  ) {
    const { svg, viewport } = drawing;
    const moved = (move: () => void) => {
      move();
      drawing.moved();
    };
    listenToGestures(
      svg,
      {
        pan: (dx, dy) => moved(() => viewport.pan(dx, dy)),
        zoom: (factor, x, y) => moved(() => viewport.zoomAt(factor, x, y)),
        hasFocus: () => drawing.hasFocus()
      },
      signal
    );
    svg.addEventListener(
      'mousedown',
      event => {
        event.preventDefault(); // the browser would take the focus away, and with it the wheel and the keys
        drawing.focus();
      },
      { signal }
    );
    svg.addEventListener('click', event => this.clicked(event), { signal });
    svg.addEventListener('dblclick', event => this.doubleClicked(event.target as Element), { signal });
    svg.addEventListener('keydown', event => this.pressed(event), { signal });
  }

  /** Walk along the edges of `view` from now on. */
  setView(view: GraphView): void {
    this.view = view;
    this.links = new Links(view);
  }

  private clicked(event: MouseEvent): void {
    const target = event.target as Element;
    const module = target.closest<SVGGElement>('.qwb-caption')?.parentElement?.dataset.module;
    if (module) {
      this.actions.toggleModule(module, true);
      return;
    }
    const id = idAt(target);
    this.drawing.current = id || this.drawing.current;
    this.drawing.focus();
    this.actions.select(id, event.shiftKey || event.ctrlKey || event.metaKey);
  }

  /** Open the folded module, or fold the one whose frame it is. */
  private doubleClicked(target: Element): void {
    const framed = target.closest<SVGGElement>('.qwb-frame')?.dataset.module;
    if (framed) {
      this.actions.toggleModule(framed, true);
    } else {
      this.open(this.node(idAt(target)));
    }
  }

  private node(id: string): ViewNode | undefined {
    return this.view.nodes.find(node => node.id === id);
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
    const { drawing, actions } = this;
    switch (action.do) {
      case 'walk':
        return this.walk(this.links.step(drawing.current, action.direction));
      case 'first':
        return this.walk(outermost(this.view, -1)?.id ?? null);
      case 'last':
        return this.walk(outermost(this.view, 1)?.id ?? null);
      case 'select':
        return actions.select(drawing.current, false);
      case 'add':
        return actions.select(drawing.current, true);
      case 'toggle':
        return this.toggle();
      case 'zoomIn':
        return drawing.zoom(1.25);
      case 'zoomOut':
        return drawing.zoom(0.8);
      case 'fit':
        return drawing.fit();
      case 'fitWidth':
        return drawing.fitWidth();
      default:
        return actions[action.do]();
    }
  }

  private walk(id: string | null): void {
    if (id !== null) {
      this.drawing.reveal(id);
      this.drawing.focus();
    }
  }

  /** Open the module that is the tab stop, or fold the one that holds it. */
  private toggle(): void {
    const node = this.node(this.drawing.current);
    if (node?.kind === 'module') {
      this.open(node);
    } else if (node && this.view.modules.includes(node.module)) {
      this.actions.toggleModule(node.module, true);
    }
  }
}

/** Id of the node that `target` belongs to, or nothing. */
function idAt(target: Element): string {
  return target.closest<SVGGElement>('[data-node]')?.dataset.node ?? '';
}
