/** The A side of the A/B view: a former state, read-only, that moves with the graph of the state in force. */
import { GraphCanvas } from '../core/canvas';
import type { Colouring } from '../core/colouring';
import { formatCosine, formatNumber } from '../core/describe';
import { h } from '../core/dom';
import type { GraphView } from '../core/types';
import type { Comparison, OutputRow } from './state';

export class ComparePane {
  readonly element: HTMLElement;
  readonly canvas: GraphCanvas;
  private readonly head = h('header', { class: 'qwb-side-head' });
  private readonly list = h('ul', { class: 'qwb-differences', 'aria-label': 'Nodes that differ' });
  private shown: GraphView | null = null;
  /** Whether the user has taken hold of this side; before that it goes where the other one is. */
  private touched = false;
  private following = false;

  /** `beside` is the graph of the state in force. */
  constructor(
    private readonly beside: GraphCanvas,
    private readonly select: (id: string) => void,
    signal: AbortSignal
  ) {
    const nothing = () => undefined;
    this.canvas = new GraphCanvas(
      {
        select,
        toggleModule: nothing,
        toggleAll: nothing,
        search: nothing,
        undo: nothing,
        redo: nothing,
        leave: nothing,
        moved: () => this.together(this.touched ? this.canvas : beside)
      },
      signal
    );
    for (const gesture of ['pointerdown', 'wheel', 'keydown']) {
      this.canvas.element.addEventListener(gesture, () => (this.touched = true), {
        capture: true,
        passive: true,
        signal
      });
    }
    this.element = h(
      'section',
      { class: 'qwb-compare', 'aria-label': 'Former state', hidden: true },
      this.head,
      this.canvas.element,
      this.list
    );
  }

  /** Move the other side to where `leader` is, while this one is shown. */
  together(leader: GraphCanvas): void {
    if (!this.following && !this.element.hidden) {
      this.following = true;
      (leader === this.beside ? this.canvas : this.beside).follow(leader);
      this.following = false;
    }
  }

  /** Show `comparison`, or nothing when it is empty. */
  update(comparison: Partial<Comparison>, now: readonly OutputRow[], colouring: Colouring): void {
    const { view, nodes = {}, outputs = [] } = comparison;
    this.element.hidden = !view;
    if (!view) {
      this.shown = null;
      this.touched = false;
      return;
    }
    const count = Object.keys(nodes).length;
    const figures = outputs.map(row => {
      const after = now.find(other => other.output === row.output);
      return h(
        'span',
        { class: 'qwb-hint' },
        `${row.output}: cosine ${formatCosine(row.cosine)} \u2192 ${formatCosine(after?.cosine)}, ` +
          `L1 ${formatNumber(row.l1)} \u2192 ${formatNumber(after?.l1)}`
      );
    });
    this.head.replaceChildren(
      h('strong', {}, `A: ${comparison.text ?? ''}`),
      h(
        'span',
        { class: 'qwb-hint' },
        count === 1 ? '1 node differs from now' : `${count} nodes differ from now`
      ),
      ...figures
    );
    this.list.replaceChildren(
      ...Object.entries(nodes).map(([id, text]) => {
        const press = h('button', { type: 'button', class: 'qwb-plain' }, h('strong', {}, id), ` ${text}`);
        press.addEventListener('click', () => this.select(id));
        return h('li', {}, press);
      })
    );
    this.list.hidden = count === 0;
    if (this.shown !== view) {
      this.shown = view;
      this.canvas.setView(view);
    }
    this.canvas.setColouring(colouring);
    this.canvas.setDiffering(new Map(Object.entries(nodes)));
  }
}
