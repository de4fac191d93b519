/**
 * Commands for palette, menu, notebook toolbar and launcher.
 *
 * Run, cancel, undo and redo go to the live workbench of the active notebook: the widget listens for the event
 * `qwb-command` on its root and sends the message itself, so the magics need not be loaded. Nothing is executed in a kernel
 * that the user cannot read: a cell is inserted, and the user runs it.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification, type ICommandPalette } from '@jupyterlab/apputils';
import type { ILauncher } from '@jupyterlab/launcher';
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { COMMAND_EVENT } from '../core/types';
import { workbenchIcon } from './icon';
import { settings } from './settings';

export namespace CommandIDs {
  export const run = 'qworkbench:run';
  export const cancel = 'qworkbench:cancel';
  export const undo = 'qworkbench:undo';
  export const redo = 'qworkbench:redo';
  export const showSidebar = 'qworkbench:show-sidebar';
  export const insertCell = 'qworkbench:insert-cell';
  export const openTutorial = 'qworkbench:open-tutorial';
}

const NO_ARGUMENTS = { args: { type: 'object' as const, properties: {} } };

/** The live workbench in the active cell, else the first one of the notebook. */
function workbenchOf(panel: NotebookPanel): Element | null {
  return panel.content.activeCell?.node.querySelector('.qwb-app') ?? panel.node.querySelector('.qwb-app');
}

/** The lines that open a workbench, with the march of the settings. */
function workbenchCell(march: string): string {
  return [
    '%load_ext qworkbench',
    `%qwb load model --example x --calibration images --march ${march}`,
    '%qwb workbench'
  ].join('\n');
}

export interface CommandOptions {
  app: JupyterFrontEnd;
  tracker: INotebookTracker | null;
  palette: ICommandPalette | null;
  launcher: ILauncher | null;
  trans: TranslationBundle;
  showSidebar: () => void;
}

export function addCommands({ app, tracker, palette, launcher, trans, showSidebar }: CommandOptions): void {
  const category = trans.__('qworkbench');
  const inNotebook: string[] = [];

  const onWorkbench = (command: string, type: string, label: string) => {
    inNotebook.push(command);
    app.commands.addCommand(command, {
      label,
      describedBy: NO_ARGUMENTS,
      isEnabled: () => tracker?.currentWidget !== null,
      execute: () => {
        const workbench = tracker?.currentWidget && workbenchOf(tracker.currentWidget);
        if (workbench) {
          workbench.dispatchEvent(new CustomEvent(COMMAND_EVENT, { detail: { type } }));
        } else {
          Notification.warning(
            trans.__('There is no live workbench in this notebook: run the cell that shows one.')
          );
        }
      }
    });
    palette?.addItem({ command, category });
  };

  if (tracker) {
    onWorkbench(CommandIDs.run, 'run', trans.__('Run the integer model'));
    onWorkbench(CommandIDs.cancel, 'cancel', trans.__('Cancel the run'));
    onWorkbench(CommandIDs.undo, 'undo', trans.__('Undo the last edit'));
    onWorkbench(CommandIDs.redo, 'redo', trans.__('Redo the last edit'));
    inNotebook.push(CommandIDs.insertCell);
    app.commands.addCommand(CommandIDs.insertCell, {
      label: trans.__('Insert a Workbench Cell'),
      describedBy: NO_ARGUMENTS,
      isEnabled: () => tracker.currentWidget !== null,
      execute: () => {
        const notebook = tracker.currentWidget?.content;
        if (notebook) {
          NotebookActions.insertBelow(notebook);
          notebook.activeCell?.model.sharedModel.setSource(workbenchCell(settings.march));
        }
      }
    });
    palette?.addItem({ command: CommandIDs.insertCell, category });
    tracker.currentChanged.connect(() =>
      inNotebook.forEach(command => app.commands.notifyCommandChanged(command))
    );
  }

  app.commands.addCommand(CommandIDs.showSidebar, {
    label: args => (args.toolbar ? '' : trans.__('Show the Workbench in the Side Bar')),
    caption: trans.__('Show the workbench of this notebook in the side bar'),
    icon: workbenchIcon,
    describedBy: { args: { type: 'object', properties: { toolbar: { type: 'boolean' } } } },
    execute: showSidebar
  });
  palette?.addItem({ command: CommandIDs.showSidebar, category });

  app.commands.addCommand(CommandIDs.openTutorial, {
    label: trans.__('qworkbench Tutorial'),
    caption: trans.__('Open the first lesson'),
    icon: workbenchIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => openTutorial(app, trans)
  });
  palette?.addItem({ command: CommandIDs.openTutorial, category });
  launcher?.add({ command: CommandIDs.openTutorial, category: trans.__('Other'), rank: 20 });
}

/** Open the lesson where the settings say, or beside it at the root of the server. */
async function openTutorial(app: JupyterFrontEnd, trans: TranslationBundle): Promise<void> {
  const name = settings.tutorial.split('/').pop() ?? '';
  for (const path of [settings.tutorial, name]) {
    const there = await app.serviceManager.contents.get(path, { content: false }).then(
      () => true,
      () => false
    );
    if (there) {
      await app.commands.execute('docmanager:open', { path });
      return;
    }
  }
  Notification.warning(
    trans.__(
      'No notebook at %1: set the path of the tutorials in the settings of qworkbench.',
      settings.tutorial
    )
  );
}
