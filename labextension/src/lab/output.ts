/**
 * Shows a workbench in a notebook's output: the live widget where its model exists, the stored picture otherwise.
 *
 * JupyterLab prefers the widget renderer and does not fall back when the model is gone ("model not found" is all that a
 * reopened notebook shows). So this renderer stands before it (rank -20, the widget's is -10), asks it, and takes over
 * when it has nothing to show.
 */
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';
import { VIEW_MIME, asView } from '../core/types';
import { StoredView } from './storedView';

const WIDGET_MIME = 'application/vnd.jupyter.widget-view+json';
const PATIENCE = 5000;
/** The stored picture appears when the live one is not there by then. */
const GRACE = 350;

export interface OutputOptions {
  tracker: INotebookTracker | null;
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
    const panel: NotebookPanel | undefined = this.options.tracker?.find(candidate =>
      candidate.node.contains(this.node)
    );
    if (!panel) {
      return false;
    }
    await panel.sessionContext.ready;
    const inner = panel.content.rendermime.createRenderer(WIDGET_MIME);
    this.addWidget(inner);
    inner.hide();
    const failed = inner.renderModel(model).then(
      () => new Promise<false>(() => undefined), // it resolves whether or not there was a model
      () => false as const
    );
    const live = await Promise.race([settled(inner.node, PATIENCE), failed]);
    if (live) {
      inner.show();
    } else {
      inner.dispose();
    }
    return live;
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

/** Whether a widget renderer comes to show something: true once there is an element of ours, false on its error text. */
function settled(node: HTMLElement, patience: number): Promise<boolean> {
  const state = () =>
    node.querySelector('.qwb-app')
      ? true
      : /model not found|error displaying/i.test(node.textContent)
        ? false
        : null;
  return new Promise(resolve => {
    const finish = (live: boolean) => {
      observer.disconnect();
      clearTimeout(timer);
      resolve(live);
    };
    const check = () => {
      const live = state();
      if (live !== null) {
        finish(live);
      }
    };
    const observer = new MutationObserver(check);
    const timer = setTimeout(() => finish(false), patience);
    observer.observe(node, { childList: true, subtree: true, characterData: true });
    check();
  });
}
