/** A graph from a saved notebook or file, without a kernel: pan, zoom, read reasons; nothing can be changed. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import { GraphCanvas } from '../core/canvas';
import { asColouring } from '../core/colouring';
import { nodeText } from '../core/describe';
import { h, keepKeys } from '../core/dom';
import { legend } from '../core/legend';
import { followTheme } from '../core/theme';
import type { GraphView } from '../core/types';

export class StoredView extends Widget {
  private readonly life = new AbortController();
  private readonly reason = h('p', { class: 'qwb-stored-reason', role: 'status' });

  /** `height` in CSS pixels; null fills the parent. */
  constructor(
    private readonly view: GraphView,
    height: number | null,
    private readonly trans: TranslationBundle
  ) {
    super({ node: h('div', { class: 'qwb qwb-stored' }) });
    const colouring = asColouring(view.color_by);
    const canvas = new GraphCanvas(
      {
        select: id => {
          canvas.select(id);
          this.explain(id);
        },
        toggleModule: () => this.say(trans.__('Modules open and close in the live workbench: run the cell.')),
        toggleAll: () => this.say(trans.__('Modules open and close in the live workbench: run the cell.')),
        search: () => undefined,
        undo: () => undefined,
        redo: () => undefined,
        leave: () => {
          canvas.select('');
          this.explain('');
        }
      },
      this.life.signal
    );
    canvas.element.style.height = height === null ? '' : `${height}px`;
    this.node.append(
      h('header', { class: 'qwb-stored-head' }, h('strong', {}, view.title), h('p', {}, view.sentence)),
      canvas.element,
      this.reason,
      legend(view, colouring)
    );
    keepKeys(this.node, this.life.signal);
    followTheme(this.node, this.life.signal, () => canvas.redraw());
    canvas.setColouring(colouring);
    canvas.setView(view);
    this.explain('');
  }

  override dispose(): void {
    this.life.abort();
    super.dispose();
  }

  private explain(id: string): void {
    const node = this.view.nodes.find(candidate => candidate.id === id);
    const hint = this.trans.__(
      'Stored picture. Click a node for its reason; run the cell for the live workbench.'
    );
    this.say(node ? (node.kind === 'op' ? `${nodeText(node)}. ${node.reason}` : nodeText(node)) : hint);
  }

  private say(text: string): void {
    this.reason.textContent = text;
  }
}
