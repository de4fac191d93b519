/**
 * What the colours of the nodes say, in the graph and in the former state beside it, with the legend that explains them.
 *
 * Sensitivities that were measured before the newest edits are shown as old, and can be measured again from here.
 */
import type { GraphCanvas } from '../core/canvas';
import { asColouring, type Colouring } from '../core/colouring';
import { h } from '../core/dom';
import { legend } from '../core/legend';
import { pageSettings } from '../core/types';
import type { Model } from './state';

export class Colours {
  readonly element = h('div', { class: 'qwb-legend-slot' });
  private colouring: Colouring = 'placement';
  private shownOld = false;

  constructor(
    private readonly model: Model,
    private readonly canvas: GraphCanvas,
    private readonly beside: GraphCanvas,
    private readonly actions: { tell: (colouring: Colouring) => void; measure: () => void }
  ) {}

  get current(): Colouring {
    return this.colouring;
  }

  /** The user's choice: kept in the model, so that other views and a saved file have it, too. */
  choose(colouring: Colouring): void {
    this.model.set('colouring', colouring);
    this.model.save_changes();
    this.show(colouring);
  }

  /** Colour as the model says; where it says nothing, as JupyterLab's settings do. */
  update(): void {
    this.show(asColouring(this.model.get('colouring') || pageSettings().colouring));
  }

  /** Colour anew where figures have become old, or new again. */
  updateAge(): void {
    if (this.old !== this.shownOld) {
      this.show(this.colouring);
    }
  }

  drawLegend(): void {
    const again = () => {
      const press = h('button', { type: 'button', class: 'qwb-button qwb-plain' }, 'Measure again');
      press.addEventListener('click', () => this.actions.measure());
      return h('span', { class: 'qwb-old-note' }, 'from before the newest edits ', press);
    };
    this.element.replaceChildren(legend(this.canvas.shown, this.colouring, this.old ? again() : undefined));
  }

  /** Whether the colours are of figures from before the newest edits. */
  private get old(): boolean {
    return this.colouring === 'sensitivity' && this.model.get('flags')?.sensitivity_stale === true;
  }

  private show(colouring: Colouring): void {
    this.colouring = colouring;
    this.shownOld = this.old;
    this.canvas.setColouring(colouring, this.old);
    this.beside.setColouring(colouring);
    this.actions.tell(colouring);
    this.drawLegend();
  }
}
