/**
 * The JupyterLab plugin: outputs that survive reopening, a side bar, commands, settings. The widget works without it, and
 * every token but the MIME registry is optional, so Notebook 7 has what it can show.
 */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { VIEW_MIME } from '../core/types';
import { CommandIDs, addCommands } from './commands';
import { workbenchIcon } from './icon';
import { WorkbenchOutput } from './output';
import { followSettings, settings } from './settings';
import { Sidebar } from './sidebar';

/** Before the renderer of ipywidgets, which has -10. */
const RANK = -20;

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'qworkbench:plugin',
  description:
    'Shows a workbench live or, without its kernel, as the stored picture; adds a side bar, commands and settings.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker, ICommandPalette, ILauncher, ILayoutRestorer, ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    rendermime: IRenderMimeRegistry,
    tracker: INotebookTracker | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    restorer: ILayoutRestorer | null,
    registry: ISettingRegistry | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('qworkbench');
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [VIEW_MIME],
        createRenderer: () =>
          new WorkbenchOutput({
            panelOf: node => tracker?.find(panel => panel.node.contains(node)) ?? null,
            trans,
            height: () => settings.height
          })
      },
      RANK
    );
    let sidebar: Sidebar | null = null;
    if (tracker) {
      sidebar = new Sidebar(tracker, trans, () => void app.commands.execute(CommandIDs.insertCell));
      sidebar.title.icon = workbenchIcon;
      app.shell.add(sidebar, 'right', { rank: 900 });
      restorer?.add(sidebar, 'qworkbench-sidebar');
    }
    addCommands({
      app,
      tracker,
      palette,
      launcher,
      trans,
      showSidebar: () => sidebar && app.shell.activateById(sidebar.id)
    });
    if (registry) {
      followSettings(registry, plugin.id).catch((error: unknown) =>
        console.error('qworkbench: settings', error)
      );
    }
  }
};

export default plugin;
