/** The side of the workbench: a bar of tabs, one per question, of which only the one in sight is kept up to date. */
import { h } from '../../core/dom';
import type { Message } from '../messages';
import type { Model, Traits } from '../state';
import { Tabs } from '../tabs';
import { Samples, type Asking, type Panel } from './ask';
import { CalibratePanel } from './calibrate';
import { CasesPanel } from './cases';
import { LayersPanel } from './layers';
import { MixedPanel } from './mixed';
import { RegionPanel } from './region';
import { SensitivityPanel } from './sensitivity';

/** Analyses whose age is told at a tab. */
const AGES: Record<string, readonly string[]> = {
  calibrate: ['search'],
  sensitivity: ['sensitivity'],
  mixed: ['mixed_precision', 'recipe'],
  layers: ['compare_layers'],
  region: ['bisect'],
  cases: ['bad_cases']
};

/** What the tabs follow. */
export const FOLLOWED: readonly (keyof Traits)[] = [
  'found_search',
  'found_sensitivity',
  'found_mixed_precision',
  'found_recipe',
  'found_compare_layers',
  'found_bisect',
  'found_partial',
  'found_bad_cases',
  'found_range_proposals',
  'standing',
  'inputs',
  'variables',
  'settings',
  'selected',
  'status'
];

export class Panels {
  readonly element: HTMLElement;
  readonly samples = new Samples();
  readonly sensitivity: SensitivityPanel;
  private readonly tabs: Tabs;
  private readonly byName: Record<string, Panel>;

  /** `node` is the panel of the selected node; `changed` is called when another tab came into sight. */
  constructor(
    node: HTMLElement,
    actions: { send: (message: Message) => void; select: (id: string) => void },
    changed: () => void
  ) {
    const asking: Asking = {
      ...actions,
      select: id => {
        actions.select(id);
        if (id.startsWith('input:')) {
          this.tabs.show('node'); // what is declared about an input is declared there
        }
      },
      samples: this.samples
    };
    this.sensitivity = new SensitivityPanel(asking);
    const layers = new LayersPanel(asking);
    this.byName = {
      calibrate: new CalibratePanel(asking),
      sensitivity: this.sensitivity,
      mixed: new MixedPanel(asking),
      layers,
      region: new RegionPanel(asking),
      cases: new CasesPanel(asking, worst => {
        this.tabs.show('layers');
        layers.ask({ worst });
      })
    };
    const pane = (...children: Node[]) => h('div', { class: 'qwb-pane' }, ...children);
    const tab = (name: string, text: string, title: string) => ({
      name,
      text,
      title,
      pane: pane(this.byName[name].element)
    });
    const all = [
      { name: 'node', text: 'Node', title: 'The selected node', pane: pane(node) },
      tab('calibrate', 'Calibrate', 'Calibration searches, image inputs, known scales'),
      tab('sensitivity', 'Sensitivity', 'What each quantizer does to the outputs'),
      tab('mixed', 'Mixed', 'Mixed precision and recipes'),
      tab('layers', 'Layers', 'Layer by layer against float'),
      tab('region', 'Region', 'The region that explains the loss'),
      tab('cases', 'Cases', 'The worst samples')
    ];
    this.tabs = new Tabs(all, () => {
      this.element.parentElement?.parentElement?.toggleAttribute('data-wide', this.tabs.current !== 'node');
      changed();
    });
    this.element = h(
      'div',
      { class: 'qwb-panels' },
      this.tabs.bar,
      this.samples.list,
      ...all.map(item => item.pane)
    );
  }

  /** Name of the tab in sight. */
  get current(): string {
    return this.tabs.current;
  }

  show(name: string): void {
    this.tabs.show(name);
  }

  update(model: Model): void {
    this.samples.offer(model.get('variables') ?? []);
    const standing: Record<string, string | undefined> = model.get('standing') ?? {};
    for (const [name, analyses] of Object.entries(AGES)) {
      this.tabs.mark(
        name,
        analyses.some(analysis => standing[analysis] === 'stale')
      );
    }
    this.byName[this.current]?.update(model);
  }
}
