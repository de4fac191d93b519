import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'qworkbench:plugin',
  autoStart: true,
  activate: () => undefined
};
export default plugin;
