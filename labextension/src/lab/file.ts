/** Opens `*.qwb.json` files: the graph where the file holds a view, and the list of edits of a saved workbench. */
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { nullTranslator } from '@jupyterlab/translation';
import { Panel, Widget } from '@lumino/widgets';
import { h } from '../core/dom';
import { asView } from '../core/types';
import { StoredView } from './storedView';

const FILE_MIME = 'application/vnd.qworkbench.file+json';

type SavedEdit = Record<string, string | number | boolean | null>;

interface SavedState {
  format?: string;
  model?: { name?: string };
  march?: string;
  edits?: SavedEdit[][];
  /** How many steps of `edits` are in force; the rest was undone. */
  cursor?: number;
  view?: unknown;
}

function editText(edit: SavedEdit): string {
  const { kind, node, ...rest } = edit;
  const values = Object.entries(rest).map(([name, value]) => `${name} = ${String(value)}`);
  return [String(kind), node === undefined ? '' : String(node), values.join(', ')].filter(Boolean).join('  ');
}

function summary(state: SavedState): HTMLElement {
  const steps = (state.edits ?? []).map((edits, index) => {
    const undone = index >= (state.cursor ?? Infinity);
    return h('li', { class: undone ? 'qwb-undone' : null }, edits.map(editText).join('; '));
  });
  return h(
    'div',
    { class: 'qwb-file' },
    h('strong', {}, `${state.model?.name ?? '?'} on ${state.march ?? '?'}`),
    steps.length > 0 ? h('ol', {}, ...steps) : h('p', {}, 'No edits.'),
    h('code', {}, 'qworkbench.Workbench.open("this file", model)')
  );
}

class FileView extends Panel implements IRenderMime.IRenderer {
  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data = model.data[FILE_MIME] as unknown;
    const state = (typeof data === 'object' && data !== null ? data : {}) as SavedState;
    const view = asView(data) ?? asView(state.view ?? null);
    this.widgets.slice().forEach(widget => widget.dispose());
    this.addClass('qwb-file-panel');
    if (state.format?.startsWith('qworkbench/')) {
      this.addWidget(new Widget({ node: summary(state) }));
    } else if (!view) {
      this.addWidget(
        new Widget({ node: h('p', { class: 'qwb-file' }, 'This file holds no workbench and no view.') })
      );
    }
    if (view) {
      this.addWidget(new StoredView(view, null, nullTranslator.load('qworkbench')));
    }
    return Promise.resolve();
  }
}

const extension: IRenderMime.IExtension = {
  id: 'qworkbench:file',
  rendererFactory: { safe: true, mimeTypes: [FILE_MIME], createRenderer: () => new FileView() },
  dataType: 'json',
  fileTypes: [
    {
      name: 'qworkbench-file',
      displayName: 'qworkbench file',
      mimeTypes: [FILE_MIME],
      extensions: ['.qwb.json'],
      fileFormat: 'text'
    }
  ],
  documentWidgetFactoryOptions: {
    name: 'qworkbench',
    primaryFileType: 'qworkbench-file',
    fileTypes: ['qworkbench-file', 'json'],
    defaultFor: ['qworkbench-file']
  }
};

export default extension;
