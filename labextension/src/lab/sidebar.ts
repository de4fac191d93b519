/**
 * The side bar: the workbench of the notebook that is in front, live beside the cells.
 *
 * It shows what the newest output with a workbench shows, as one more view of the same model, so a change in either is
 * seen in both. Without one it says what to type.
 */
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { ICodeCellModel } from '@jupyterlab/cells';
import { MimeModel } from '@jupyterlab/rendermime';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';
import { h } from '../core/dom';
import { VIEW_MIME } from '../core/types';
import { WIDGET_MIME, WorkbenchOutput } from './output';
import { settings } from './settings';

interface Found {
  /** Changes when there is something else to show. */
  key: string;
  model: MimeModel;
}

export class Sidebar extends Panel {
  private shown = '';
  private readonly watched = new WeakSet<NotebookPanel>();

  constructor(
    private readonly tracker: INotebookTracker,
    private readonly trans: TranslationBundle,
    private readonly insert: () => void
  ) {
    super();
    this.id = 'qworkbench-sidebar';
    this.addClass('qwb-sidebar');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('qworkbench'));
    this.title.caption = trans.__('qworkbench: the workbench of this notebook');
    tracker.currentChanged.connect(() => this.follow());
    NotebookActions.executed.connect(() => this.follow());
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.follow();
  }

  /** Show the workbench of the notebook in front, unless it is there already or nobody looks. */
  follow(): void {
    const panel = this.tracker.currentWidget;
    if (panel && !this.watched.has(panel)) {
      this.watched.add(panel);
      panel.sessionContext.statusChanged.connect((_, status) => this.statusChanged(status), this);
      panel.sessionContext.ready.then(
        () => this.follow(),
        () => undefined
      );
    }
    if (!this.isVisible) {
      return;
    }
    const found = panel && newest(panel);
    const key = found?.key ?? '';
    if (key === this.shown && this.widgets.length > 0) {
      return;
    }
    this.shown = key;
    this.widgets.slice().forEach(widget => widget.dispose());
    if (found) {
      const output = new WorkbenchOutput({
        panelOf: () => panel,
        trans: this.trans,
        height: () => settings.height
      });
      this.addWidget(output);
      void output.renderModel(found.model);
    } else {
      this.addWidget(this.hint(panel !== null));
    }
  }

  /** When the kernel has gone, the next output is new whatever its id. */
  private statusChanged(status: string): void {
    if (status === 'restarting') {
      this.shown = '';
    }
  }

  private hint(inNotebook: boolean): Widget {
    const insert = h(
      'button',
      { type: 'button', class: 'jp-mod-styled' },
      this.trans.__('Insert a workbench cell')
    );
    insert.addEventListener('click', this.insert);
    const node = h(
      'div',
      { class: 'qwb-sidebar-hint' },
      h('strong', {}, this.trans.__('No workbench here yet')),
      h(
        'p',
        {},
        inNotebook
          ? this.trans.__('Run a cell that shows one, and it appears here:')
          : this.trans.__('Open a notebook; its workbench appears here.')
      ),
      inNotebook && h('pre', {}, '%load_ext qworkbench\n%qwb load model --example x\n%qwb workbench'),
      inNotebook && insert
    );
    return new Widget({ node });
  }
}

/** The last output of the notebook that holds a live workbench. */
function newest(panel: NotebookPanel): Found | null {
  const cells = panel.content.model?.cells;
  for (let at = (cells?.length ?? 0) - 1; cells && at >= 0; at--) {
    const cell = cells.get(at);
    const outputs = cell.type === 'code' ? (cell as ICodeCellModel).outputs : null;
    for (let i = (outputs?.length ?? 0) - 1; outputs && i >= 0; i--) {
      const { data, metadata, trusted } = outputs.get(i);
      const live = data[WIDGET_MIME] as { model_id?: string } | undefined;
      if (live && data[VIEW_MIME]) {
        const key = [panel.id, panel.sessionContext.session?.kernel?.id, live.model_id].join(' ');
        return { key, model: new MimeModel({ data, metadata, trusted }) };
      }
    }
  }
  return null;
}
