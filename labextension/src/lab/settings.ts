/** The settings of the extension, kept where each part of the page can read them. */
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { PageSettings } from '../core/types';

export interface LabSettings {
  march: string;
  colouring: string;
  autoRun: boolean;
  height: number;
  tutorial: string;
}

/** What holds until the registry has answered, or without one. */
export const settings: LabSettings = {
  march: 'bayes-e',
  colouring: 'placement',
  autoRun: true,
  height: 420,
  tutorial: 'tutorials/00_quickstart.ipynb'
};

/** Follow the settings of plugin `id`; the widget reads its share from the page's body. */
export async function followSettings(registry: ISettingRegistry, id: string): Promise<void> {
  const loaded = await registry.load(id);
  const apply = () => {
    Object.assign(settings, loaded.composite);
    const { colouring, autoRun } = settings;
    const shared: PageSettings = { colouring, autoRun };
    document.body.dataset.qwbSettings = JSON.stringify(shared);
  };
  loaded.changed.connect(apply);
  apply();
}
