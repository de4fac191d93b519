/** The JupyterLab plugin: outputs that survive reopening, palette commands, settings. The widget works without it. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { VIEW_MIME } from '../core/types';
import { addCommands } from './commands';
import { WorkbenchOutput } from './output';

/** Before the renderer of ipywidgets, which has -10. */
const RANK = -20;

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'qworkbench:plugin',
  description:
    'Shows a workbench live or, without its kernel, as the stored picture; adds commands to the palette.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker, ICommandPalette, ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    tracker: INotebookTracker | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('qworkbench');
    let height = 420;
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [VIEW_MIME],
        createRenderer: () => new WorkbenchOutput({ tracker, trans, height: () => height })
      },
      RANK
    );
    if (tracker) {
      addCommands(app, tracker, palette, trans);
    }
    settings
      ?.load(plugin.id)
      .then(loaded => {
        const apply = () => {
          height = loaded.get('height').composite as number;
        };
        loaded.changed.connect(apply);
        apply();
      })
      .catch((error: unknown) => console.error('qworkbench: settings', error));
  }
};

export default plugin;
