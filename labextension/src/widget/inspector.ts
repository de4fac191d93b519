/** The panel beside the graph: what the selected node is, where it runs and why, what would change that. */
import { focused, h, type Child } from '../core/dom';
import type { GraphView, ViewNode } from '../core/types';
import { arithmeticControls } from './arithmetic';
import { channelsPlot } from './channels';
import { controls, placementControl } from './controls';
import type { NodeDetails, Panel } from './details';
import type { FoundChannels } from './found';
import { histogramPlot } from './histogram';
import { icon } from './icons';
import { InputForm } from './inputForm';
import type { Edit } from './messages';
import { modulesAround, neighbours } from './neighbours';
import { metrics, tensors } from './nodeFigures';
import { button, section } from './parts';
import { severalNodes } from './several';
import type { InputRow, Settings } from './state';

type Details = Partial<NodeDetails>;

export interface InspectorActions {
  edit: (...edits: Edit[]) => void;
  collapse: (module: string, collapsed: boolean) => void;
  select: (id: string) => void;
  /** Measure the channels of node `id`. */
  channels: (id: string) => void;
}

/** What the panel knows beyond the node itself. */
export interface Around {
  settings: Partial<Settings>;
  inputs: readonly InputRow[];
  channels: Partial<FoundChannels>;
  /** How well the channels of this node are known: `fresh`, `stale`, or missing. */
  channelsStanding?: string;
}

export class Inspector {
  readonly element = h('aside', { class: 'qwb-inspector', 'aria-label': 'Selected node' });
  private readonly form: InputForm;
  private shown = '';

  constructor(private readonly actions: InspectorActions) {
    this.form = new InputForm(actions.edit);
  }

  /** Show node `selected` of `view`; `panel` is what the kernel says of it, and may still be that of another node. */
  update(view: GraphView, selected: string, panel: Panel, around: Around): void {
    const { settings, inputs, channels, channelsStanding } = around;
    const input = inputs.find(row => `input:${row.name}` === selected);
    if (input) {
      this.form.update(input);
    }
    const state = JSON.stringify([
      selected,
      panel,
      view.modules,
      settings.methods,
      settings.samples,
      input?.name,
      channels.node === selected && [channels, channelsStanding],
      selected === '' && settings.arithmetic,
      view.nodes.find(node => node.id === selected)
    ]);
    if (state !== this.shown) {
      this.shown = state;
      this.replace(this.content(view, selected, panel, around, input));
    }
  }

  /** Draw again even if nothing changed: a control that the kernel refused goes back to what holds. */
  reset(): void {
    this.shown = '';
  }

  /** Show why the kernel refused what the input form asked for. */
  refuse(error: string): void {
    this.form.answer(error);
  }

  private content(
    view: GraphView,
    selected: string,
    panel: Panel,
    around: Around,
    input: InputRow | undefined
  ): Child[] {
    if (panel.several) {
      return severalNodes(panel.several, this.actions.edit);
    }
    const node = view.nodes.find(candidate => candidate.id === selected);
    if (panel.name !== undefined && panel.name === selected) {
      return this.details(view, panel, node, around);
    }
    if (node && node.kind !== 'op') {
      return this.box(node, input);
    }
    return selected
      ? [h('p', { class: 'qwb-empty' }, `Reading ${selected} \u2026`)]
      : this.empty(view, around.settings);
  }

  private empty(view: GraphView, settings: Partial<Settings>): Child[] {
    return [
      h(
        'div',
        { class: 'qwb-empty' },
        icon('pointer'),
        h('strong', {}, 'Click a node'),
        h('p', {}, 'to see where it runs and why, and to change it.'),
        view.sentence && h('p', { class: 'qwb-sentence' }, view.sentence),
        h(
          'p',
          { class: 'qwb-keys' },
          ...[
            ['\u2190 \u2191 \u2193 \u2192', 'follow the edges'],
            ['Enter', 'select'],
            ['Shift+Enter', 'select one more'],
            ['/', 'search'],
            ['e', 'open or fold a module'],
            ['m', 'fold or open all'],
            ['w', 'fit the width'],
            ['0', 'show all']
          ].flatMap(([key, text]) => [h('kbd', {}, key), h('span', {}, text)])
        )
      ),
      arithmeticControls(settings, this.actions.edit)
    ];
  }

  /** A graph input, a graph output or a collapsed module: known to the view, not to the workbench. */
  private box(node: ViewNode, input: InputRow | undefined): Child[] {
    return [
      h('header', { class: 'qwb-node-head' }, h('h3', {}, node.kind === 'module' ? node.id : node.label)),
      node.reason && h('p', { class: 'qwb-reason' }, node.reason),
      node.kind === 'module' &&
        button({ icon: 'expand', text: 'Open this module', class: 'qwb-way', key: 'expand' }, () =>
          this.actions.collapse(node.id, false)
        ),
      input && this.form.element
    ];
  }

  private details(
    view: GraphView,
    panel: Details,
    node: ViewNode | undefined,
    { settings, channels, channelsStanding }: Around
  ): Child[] {
    const { edit } = this.actions;
    const methods = settings.methods ?? [];
    const on = panel.on ?? 'NONE';
    return [
      h(
        'header',
        { class: 'qwb-node-head' },
        h('h3', {}, panel.name),
        h(
          'div',
          { class: 'qwb-badges' },
          h(
            'span',
            { class: `qwb-badge-on qwb-tone-${on.toLowerCase()}` },
            on === 'NONE' ? 'not on the device' : on
          ),
          panel.op && h('span', { class: 'qwb-tagged' }, panel.op),
          panel.quant_class &&
            panel.quant_class !== 'none' &&
            h('span', { class: 'qwb-tagged' }, panel.quant_class),
          typeof panel.subgraph === 'number' &&
            h('span', { class: 'qwb-tagged' }, `subgraph ${panel.subgraph}`),
          node?.edited &&
            h('span', { class: 'qwb-tagged qwb-is-edited' }, node.inserted ? 'inserted' : 'edited')
        ),
        panel.source &&
          h(
            'p',
            { class: 'qwb-meta', title: panel.source },
            h('code', {}, panel.source.split(/[\\/]/).pop())
          ),
        panel.unit &&
          panel.unit !== panel.name &&
          h('p', { class: 'qwb-meta' }, 'fused into ', h('code', {}, panel.unit))
      ),
      placementControl(panel, edit),
      panel.reason &&
        h('p', { class: `qwb-reason qwb-tone-${on.toLowerCase()}`, 'data-code': panel.code }, panel.reason),
      ...(panel.notes ?? []).map(note => h('p', { class: 'qwb-note' }, note)),
      (panel.facts?.length ?? 0) > 0 &&
        h('ul', { class: 'qwb-facts' }, ...(panel.facts ?? []).map(fact => h('li', {}, fact))),
      panel.rule && h('p', { class: 'qwb-hint' }, panel.rule),
      this.ways(panel, edit),
      controls(panel, edit, methods),
      panel.histogram &&
        section('Values in calibration', histogramPlot(panel.histogram, panel.threshold ?? null)),
      (settings.samples ?? 0) > 0 &&
        on === 'BPU' &&
        channelsPlot(panel.name ?? '', channels, channelsStanding, this.actions.channels),
      metrics(panel),
      neighbours(view, panel.name ?? '', this.actions.select),
      tensors(panel),
      modulesAround(view, panel.module ?? '', this.actions.collapse)
    ];
  }

  private ways(panel: Details, edit: (...edits: Edit[]) => void): Child {
    const ways = panel.ways ?? [];
    return (
      ways.length > 0 &&
      section(
        'Ways to change this',
        ...ways.map((way, index) =>
          way.edits.length > 0
            ? button(
                {
                  icon: 'apply',
                  text: way.text,
                  class: 'qwb-way',
                  title: 'Apply and run',
                  key: `way ${index}`
                },
                () => edit(...way.edits)
              )
            : h('p', { class: 'qwb-hint' }, way.text)
        )
      )
    );
  }

  /** Put in `children`; the focus goes to the control with the same key, the scroll position stays. */
  private replace(children: Child[]): void {
    const active = focused(this.element);
    const key = active && this.element.contains(active) ? active.getAttribute('data-key') : null;
    const top = this.element.scrollTop;
    this.element.replaceChildren();
    this.element.append(...children.filter((child): child is Node => child instanceof Node));
    this.element.scrollTop = top;
    if (key !== null) {
      const next = [...this.element.querySelectorAll<HTMLElement>('[data-key]')].find(
        item => item.dataset.key === key
      );
      next?.focus({ preventScroll: true });
    }
  }
}
