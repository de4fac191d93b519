/**
 * Palette commands: run, undo and redo on the live workbench of the active notebook.
 *
 * The widget listens for the event `qwb-command` on its root and sends the message itself, so nothing is executed in the
 * kernel that the user has not typed, and the magics need not be loaded.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification, type ICommandPalette } from '@jupyterlab/apputils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { COMMAND_EVENT } from '../core/types';

namespace CommandIDs {
  export const run = 'qworkbench:run';
  export const undo = 'qworkbench:undo';
  export const redo = 'qworkbench:redo';
}

/** The live workbench in the active cell, else the first one of the notebook. */
function workbenchOf(panel: NotebookPanel): Element | null {
  return panel.content.activeCell?.node.querySelector('.qwb-app') ?? panel.node.querySelector('.qwb-app');
}

export function addCommands(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  const table: [string, string, string][] = [
    [CommandIDs.run, 'run', trans.__('Run the integer model')],
    [CommandIDs.undo, 'undo', trans.__('Undo the last edit')],
    [CommandIDs.redo, 'redo', trans.__('Redo the last edit')]
  ];
  for (const [command, type, label] of table) {
    app.commands.addCommand(command, {
      label,
      describedBy: { args: { type: 'object', properties: {} } },
      isEnabled: () => tracker.currentWidget !== null,
      execute: () => {
        const workbench = tracker.currentWidget && workbenchOf(tracker.currentWidget);
        if (workbench) {
          workbench.dispatchEvent(new CustomEvent(COMMAND_EVENT, { detail: { type } }));
        } else {
          Notification.warning(
            trans.__('There is no live workbench in this notebook: run the cell that shows one.')
          );
        }
      }
    });
    palette?.addItem({ command, category: trans.__('qworkbench') });
  }
  tracker.currentChanged.connect(() =>
    table.forEach(([command]) => app.commands.notifyCommandChanged(command))
  );
}
