/** A graph on a page of its own, without the widget around it: what is drawn, and what the owner is told. */
import { afterEach, beforeEach, vi, type Mock } from 'vitest';
import { GraphCanvas } from '../core/canvas';
import type { GraphActions } from '../core/interaction';
import { view } from './fixtures';

type Spies = { [K in keyof Omit<GraphActions, 'moved'>]: Mock<GraphActions[K]> };

/** Register the hooks that make and clear the page, and return what is found on it. */
export function openCanvas() {
  let life: AbortController;
  const graph = {
    canvas: undefined as unknown as GraphCanvas,
    actions: undefined as unknown as Spies,
    group: (id: string) => graph.canvas.svg.querySelector<SVGGElement>(`[data-node="${id}"]`)!,
    /** The tab stops. */
    current: () => graph.canvas.svg.querySelectorAll<SVGGElement>('[tabindex="0"]')
  };

  beforeEach(() => {
    life = new AbortController();
    graph.actions = {
      select: vi.fn(),
      toggleModule: vi.fn(),
      toggleAll: vi.fn(),
      search: vi.fn(),
      undo: vi.fn(),
      redo: vi.fn(),
      leave: vi.fn()
    };
    graph.canvas = new GraphCanvas(graph.actions, life.signal);
    document.body.append(graph.canvas.element);
    graph.canvas.viewport.pane = { width: 800, height: 1400 };
    graph.canvas.setView(view());
  });

  afterEach(() => {
    life.abort();
    document.body.replaceChildren();
  });
  return graph;
}
