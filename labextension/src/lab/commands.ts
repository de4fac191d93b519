/** Palette commands: run, undo and redo on the workbench of the active notebook, by the same magics that a user types. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification, type ICommandPalette } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

namespace CommandIDs {
  export const run = 'qworkbench:run';
  export const undo = 'qworkbench:undo';
  export const redo = 'qworkbench:redo';
}

/** Execute `code` in the kernel of the active notebook without leaving a trace in it; say what went wrong. */
async function execute(tracker: INotebookTracker, code: string, trans: TranslationBundle): Promise<void> {
  const kernel = tracker.currentWidget?.sessionContext.session?.kernel;
  if (!kernel) {
    Notification.warning(trans.__('This notebook has no kernel: start one and load a workbench.'));
    return;
  }
  const reply = await kernel.requestExecute({
    code,
    silent: true,
    store_history: false,
    stop_on_error: false
  }).done;
  if (reply.content.status === 'error') {
    Notification.error(`${code}: ${reply.content.evalue}`);
  }
}

export function addCommands(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  const table: [string, string, string][] = [
    [CommandIDs.run, trans.__('Run the integer model'), '%qwb run'],
    [CommandIDs.undo, trans.__('Undo the last edit'), '%qwb undo'],
    [CommandIDs.redo, trans.__('Redo the last edit'), '%qwb redo']
  ];
  for (const [command, label, code] of table) {
    app.commands.addCommand(command, {
      label,
      describedBy: { args: { type: 'object', properties: {} } },
      isEnabled: () => tracker.currentWidget !== null,
      execute: () => execute(tracker, code, trans)
    });
    palette?.addItem({ command, category: trans.__('qworkbench') });
  }
  tracker.currentChanged.connect(() =>
    table.forEach(([command]) => app.commands.notifyCommandChanged(command))
  );
}
