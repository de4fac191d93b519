/**
 * Shows a workbench in a notebook's output: the live widget where its model exists, the stored picture otherwise.
 *
 * JupyterLab prefers the widget renderer and does not fall back when the model is gone ("model not found" is all that a
 * reopened notebook shows). So this renderer stands before it (rank -20, the widget's is -10), asks it, and takes over
 * when it has nothing to show.
 */
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';
import { VIEW_MIME, asView } from '../core/types';
import { StoredView } from './storedView';

export const WIDGET_MIME = 'application/vnd.jupyter.widget-view+json';
/**
 * How long to wait for the widget renderer, per attempt. One that is made before ipywidgets has given this notebook its
 * manager waits for ever ("Loading widget..."), so the first attempts are short and a new one is made each time.
 */
const PATIENCE = [500, 1500, 4000];
/** The stored picture appears when the live one is not there by then. */
const GRACE = 350;

export interface OutputOptions {
  /** The notebook whose kernel holds the model of an output that is drawn in `node`. */
  panelOf: (node: HTMLElement) => NotebookPanel | null;
  trans: TranslationBundle;
  /** Height of a stored picture in CSS pixels. */
  height: () => number;
}

export class WorkbenchOutput extends Panel implements IRenderMime.IRenderer {
  private model: IRenderMime.IMimeModel | null = null;

  constructor(private readonly options: OutputOptions) {
    super();
    this.addClass('qwb-output-area');
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    if (model.trusted && model.data[WIDGET_MIME]) {
      this.model = model;
      if (this.isAttached) {
        await this.showLive();
      }
    } else {
      this.showStored(model);
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    void this.showLive();
  }

  /** Ask the widget renderer of the notebook that this output is in. */
  private async showLive(): Promise<void> {
    const { model } = this;
    if (!model) {
      return;
    }
    this.model = null;
    const timer = setTimeout(() => this.showStored(model), GRACE);
    const live = await this.makeLive(model).catch((error: unknown) => {
      console.warn('qworkbench: no live widget', error);
      return false;
    });
    clearTimeout(timer);
    if (live) {
      this.widgets.filter(widget => widget instanceof StoredView).forEach(widget => widget.dispose());
    } else {
      this.showStored(model);
    }
  }

  /** Make the live widget; false when its model does not exist any more. */
  private async makeLive(model: IRenderMime.IMimeModel): Promise<boolean> {
    const panel = this.options.panelOf(this.node);
    if (!panel) {
      return false;
    }
    await panel.sessionContext.ready;
    for (const patience of PATIENCE) {
      if (this.isDisposed) {
        return false;
      }
      const answer = await this.attempt(panel, model, patience);
      if (answer !== 'waiting') {
        return answer === 'live';
      }
    }
    return false;
  }

  private async attempt(
    panel: NotebookPanel,
    model: IRenderMime.IMimeModel,
    patience: number
  ): Promise<Answer> {
    const inner = panel.content.rendermime.createRenderer(WIDGET_MIME);
    this.addWidget(inner);
    inner.hide();
    const failed = new Promise<Answer>(resolve => {
      inner.renderModel(model).catch(() => resolve('gone')); // it succeeds whether or not there is a model
    });
    const answer = await Promise.race([settled(inner.node, patience), failed]);
    if (answer === 'live') {
      inner.show();
    } else {
      inner.dispose();
    }
    return answer;
  }

  private showStored(model: IRenderMime.IMimeModel): void {
    if (this.isDisposed || this.widgets.some(widget => widget instanceof StoredView)) {
      return;
    }
    const view = asView(model.data[VIEW_MIME]);
    if (view) {
      this.addWidget(new StoredView(view, this.options.height(), this.options.trans));
    } else {
      this.node.textContent = this.options.trans.__(
        'A workbench of another version of qworkbench: run the cell again.'
      );
    }
  }
}

/** What became of a widget renderer: it shows a workbench, it says that there is no model, or neither yet. */
type Answer = 'live' | 'gone' | 'waiting';

function answerOf(node: HTMLElement): Answer {
  if (node.querySelector('.qwb-app')) {
    return 'live';
  }
  return /model not found|error displaying/i.test(node.textContent ?? '') ? 'gone' : 'waiting';
}

/** The answer as soon as there is one, or `waiting` after `patience` milliseconds. */
function settled(node: HTMLElement, patience: number): Promise<Answer> {
  return new Promise(resolve => {
    const finish = () => {
      observer.disconnect();
      clearTimeout(timer);
      resolve(answerOf(node));
    };
    const observer = new MutationObserver(() => answerOf(node) === 'waiting' || finish());
    const timer = setTimeout(finish, patience);
    observer.observe(node, { childList: true, subtree: true, characterData: true });
  });
}
