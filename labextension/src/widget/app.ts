/** Puts the parts together: carries state from the model to them, and wishes from them to the model. */
import { GraphCanvas } from '../core/canvas';
import { asColouring, type Colouring } from '../core/colouring';
import { nodeText } from '../core/describe';
import { h, keepKeys } from '../core/dom';
import { legend } from '../core/legend';
import { find, findRows } from '../core/search';
import { followTheme } from '../core/theme';
import { COMMAND_EVENT, EMPTY_VIEW, asView, pageSettings } from '../core/types';
import { ComparePane } from './comparePane';
import { historyList } from './history';
import { Inspector } from './inspector';
import { NodeTable } from './nodeTable';
import { Panels } from './panels/panels';
import { outputSentence, outputStrip } from './outputs';
import { toggled } from './selection';
import { Setup } from './setup';
import { watch, watchLife, type Edit, type Message, type Model } from './state';
import { StatusLine } from './statusLine';
import { Toolbar, type Pane } from './toolbar';

/** What the tabs follow. */
const PANEL_KEYS = [
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
] as const;

export class App {
  readonly element = h('div', { class: 'qwb qwb-app' });
  private readonly canvas: GraphCanvas;
  private readonly toolbar: Toolbar;
  private readonly setup: Setup;
  private readonly compare: ComparePane;
  private readonly inspector: Inspector;
  private readonly table: NodeTable;
  private readonly status = new StatusLine();
  private readonly legend = h('div', { class: 'qwb-legend-slot' });
  private readonly outputs = h('section', { class: 'qwb-outputs', 'aria-label': 'Model outputs' });
  private readonly history = h('div', { class: 'qwb-history-slot' });
  private readonly panels: Panels;
  private readonly live = h('div', { class: 'qwb-live', role: 'status', 'aria-live': 'polite' });
  private readonly graphPane: HTMLElement;
  private readonly message = h(
    'p',
    { class: 'qwb-empty qwb-no-graph', hidden: true },
    'There is no graph to show yet.'
  );
  private readonly lost = h(
    'p',
    { class: 'qwb-lost', role: 'alert', hidden: true },
    'The kernel behind this workbench is gone. What you see is its last state: run the cell again to go on.'
  );
  private view = EMPTY_VIEW;
  private matches: string[] | null = null;
  private match = -1;
  private colouring: Colouring = 'placement';
  private following = false;
  private fitting = false;
  private shownOld = false;

  constructor(
    private readonly model: Model,
    signal: AbortSignal
  ) {
    const send = (message: Message) => this.send(message);
    this.canvas = new GraphCanvas(
      {
        select: (id, more) => this.select(id, more),
        toggleModule: (module, collapsed) => this.fold(module, collapsed),
        toggleAll: () => this.foldAll(),
        search: () => this.toolbar.search.focus(),
        undo: () => send({ type: 'undo' }),
        redo: () => send({ type: 'redo' }),
        leave: () => this.leave(),
        moved: () => this.together(this.canvas)
      },
      signal
    );
    this.compare = new ComparePane(
      id => this.select(id, false, true),
      () => this.together(this.compare.touched ? this.compare.canvas : this.canvas),
      signal
    );
    this.setup = new Setup(send, () => this.measure());
    this.toolbar = new Toolbar({
      send,
      query: text => this.query(text),
      next: step => this.next(step),
      leaveSearch: () => this.canvas.focus(),
      zoom: factor => this.canvas.zoom(factor),
      fit: () => this.canvas.fit(),
      fitWidth: () => this.canvas.fitWidth(),
      foldAll: () => this.foldAll(),
      colour: colouring => this.chooseColour(colouring),
      show: pane => this.show(pane)
    });
    this.inspector = new Inspector({
      edit: (...edits) => this.edit(edits),
      collapse: (module, collapsed) => this.fold(module, collapsed),
      select: id => this.select(id, false, true),
      channels: node =>
        send({ type: 'analyse', analysis: 'channels', options: { node }, ...this.panels.samples.asked })
    });
    this.panels = new Panels(
      this.inspector.element,
      { send, select: id => this.select(id, false, true) },
      () => this.updatePanels()
    );
    this.table = new NodeTable((id, more) => this.select(id, more, true));
    this.graphPane = h('div', { class: 'qwb-graph-pane' }, this.canvas.element, this.message);
    this.table.hidden = true;
    this.element.append(
      this.lost,
      this.toolbar.element,
      this.setup.element,
      this.status.bar,
      h(
        'div',
        { class: 'qwb-main' },
        h('div', { class: 'qwb-stage' }, this.compare.element, this.graphPane, this.table.element),
        h('div', { class: 'qwb-side' }, this.panels.element, this.history)
      ),
      this.legend,
      this.outputs,
      this.status.element,
      this.live
    );
    this.element.addEventListener(
      COMMAND_EVENT,
      event => {
        const { type } = (event as CustomEvent<{ type: 'run' | 'cancel' | 'undo' | 'redo' }>).detail;
        send({ type });
      },
      { signal }
    );
    this.observe(signal);
    keepKeys(this.element, signal);
    watchLife(model, () => this.lose(), signal);
    followTheme(this.element, signal, () => this.canvas.redraw());
  }

  private observe(signal: AbortSignal): void {
    const { model } = this;
    const always: [Parameters<typeof watch>[1], () => void][] = [
      [['view'], () => this.updateView()],
      [['colouring'], () => this.colour(asColouring(model.get('colouring') || pageSettings().colouring))],
      [['selected', 'picked', 'panel'], () => this.updateSelection()],
      [['comparison', 'outputs'], () => this.updateComparison()],
      [['outputs'], () => this.updateOutputs()],
      [
        ['history', 'code'],
        () =>
          this.history.replaceChildren(
            historyList(model.get('history') ?? [], model.get('code') ?? '', this.send.bind(this), text =>
              this.announce(text)
            )
          )
      ],
      [['settings', 'history', 'comparison', 'status', 'flags'], () => this.updateSetup()],
      [['flags'], () => this.updateFlags()],
      [['inputs', 'found_channels', 'settings'], () => this.updateSelection()],
      [PANEL_KEYS, () => this.updatePanels()],
      [['table'], () => this.updateTable()],
      [['view', 'flags', 'status', 'error'], () => this.updateStatus()]
    ];
    for (const [keys, update] of always) {
      watch(model, keys, update, signal);
      update();
    }
    watch(model, ['found_bisect'], () => this.revealRegion(), signal);
    watch(model, ['outputs'], () => this.announce(outputSentence(model.get('outputs') ?? [])), signal);
    watch(
      model,
      ['error'],
      () => {
        this.inspector.refuse(model.get('error') ?? '');
        this.inspector.reset();
        this.updateSelection();
      },
      signal
    );
    watch(model, ['selected'], () => this.canvas.select(model.get('selected') ?? ''), signal);
    this.canvas.select(model.get('selected') ?? '');
  }

  private send(message: Message): void {
    this.model.send(message);
  }

  /** Make `edits` one step; JupyterLab's settings say whether that runs the model. */
  private edit(edits: Edit[]): void {
    const { autoRun } = pageSettings();
    this.send({ type: 'edit', edits, ...(autoRun === false ? { run: false } : {}) });
  }

  private select(id: string, more: boolean, reveal = false): void {
    const { model } = this;
    const before = { selected: model.get('selected') ?? '', picked: model.get('picked') ?? [] };
    const { selected, picked } = more && id ? toggled(before, id) : { selected: id, picked: [] };
    if (selected !== before.selected || picked.join('\n') !== before.picked.join('\n')) {
      model.set('picked', picked);
      model.set('selected', selected);
      model.save_changes();
    }
    if (reveal) {
      this.canvas.reveal(id, true);
    }
    if (picked.length > 1) {
      this.announce(`${picked.length} nodes selected`);
      return;
    }
    const node = this.view.nodes.find(candidate => candidate.id === id);
    this.announce(node ? `${nodeText(node)}. ${node.reason}` : '');
  }

  /** Fold or open a module; one that is opened is no box any more, so nothing stays selected of it. */
  private fold(module: string, collapsed: boolean): void {
    if (!collapsed && this.model.get('selected') === module) {
      this.select('', false);
    }
    this.send({ type: 'collapse', module, collapsed });
  }

  /** Fold the outer modules, or open all where any is folded; the whole picture is looked at then. */
  private foldAll(): void {
    this.select('', false);
    this.fitting = true;
    this.send({ type: 'collapse', module: '', collapsed: this.view.collapsed.length === 0 });
  }

  private leave(): void {
    if (this.model.get('selected')) {
      this.select('', false);
    } else {
      const page = this.element.parentElement?.closest<HTMLElement>('[tabindex]');
      (this.element.ownerDocument.activeElement as HTMLElement | null)?.blur();
      page?.focus({ preventScroll: true });
    }
  }

  private updateView(): void {
    const view = asView(this.model.get('view'));
    this.view = view ?? EMPTY_VIEW;
    this.message.hidden = this.view.nodes.length > 0;
    this.canvas.setView(this.view);
    if (this.fitting) {
      this.fitting = false;
      this.canvas.fitWidth();
    }
    this.toolbar.showFolded(this.view.modules.length, this.view.collapsed.length > 0);
    this.drawLegend();
    this.canvas.setDiffering(new Map(Object.entries(this.model.get('comparison')?.nodes ?? {})));
    this.query(this.toolbar.search.value, true);
    this.updateSelection();
  }

  private updateSelection(): void {
    const { model } = this;
    this.canvas.pick(model.get('picked') ?? []);
    this.inspector.update(this.view, model.get('selected') ?? '', model.get('panel') ?? {}, {
      settings: model.get('settings') ?? {},
      inputs: model.get('inputs') ?? [],
      channels: model.get('found_channels') ?? {},
      channelsStanding: model.get('standing')?.channels
    });
    this.updateTable();
  }

  private updateOutputs(): void {
    this.outputs.replaceChildren(
      ...outputStrip(this.model.get('outputs') ?? []).filter(child => child instanceof Node)
    );
  }

  private updateTable(): void {
    const rows = this.model.get('table') ?? [];
    const { model } = this;
    this.table.update(
      findRows(this.toolbar.search.value, rows),
      model.get('selected') ?? '',
      model.get('picked') ?? []
    );
  }

  private updateStatus(): void {
    const flags = this.model.get('flags') ?? {};
    const status = this.model.get('status') ?? {};
    this.toolbar.update(this.view.title, flags, status);
    this.status.update(status, flags, this.model.get('error') ?? '');
    this.element.toggleAttribute('data-running', status.state === 'running');
    this.canvas.setRunning(status.state === 'running' ? (status.text ?? '') : '');
  }

  private updateSetup(): void {
    const { model } = this;
    const comparison = model.get('comparison') ?? {};
    this.setup.update(
      model.get('settings') ?? {},
      model.get('history') ?? [],
      comparison.index ?? null,
      model.get('status') ?? {},
      model.get('flags')?.sensitivity_stale === true
    );
  }

  /** Mark sensitivities that were measured before the newest edits, wherever they are. */
  private updateFlags(): void {
    this.table.staleSensitivity = this.model.get('flags')?.sensitivity_stale === true;
    if (this.old !== this.shownOld) {
      this.colour(this.colouring);
    }
  }

  private updatePanels(): void {
    this.panels.update(this.model);
    const found = this.model.get('found_bisect') ?? {};
    const region = this.panels.current === 'region' ? (found.ops ?? []) : [];
    this.canvas.setRegion(region.flatMap(name => [name, `input:${name}`, ...this.foldedAround(name)]));
  }

  /** Bring the region that was just found into sight. */
  private revealRegion(): void {
    const { ops = [], partial } = this.model.get('found_bisect') ?? {};
    if (!partial && ops.length > 0 && this.panels.current === 'region') {
      this.canvas.reveal(this.foldedAround(ops[0])[0] ?? ops[0]);
    }
  }

  /** The folded module that node `name` is drawn in, if it is. */
  private foldedAround(name: string): string[] {
    return this.view.collapsed.filter(path => name.startsWith(`${path}.`));
  }

  /** Measure the sensitivities, with the table in sight. */
  private measure(): void {
    this.panels.show('sensitivity');
    this.panels.sensitivity.ask();
  }

  /** Whether the colours are of figures from before the newest edits. */
  private get old(): boolean {
    return this.colouring === 'sensitivity' && this.model.get('flags')?.sensitivity_stale === true;
  }

  private drawLegend(): void {
    const again = () => {
      const press = h('button', { type: 'button', class: 'qwb-button qwb-plain' }, 'Measure again');
      press.addEventListener('click', () => this.measure());
      return h('span', { class: 'qwb-old-note' }, 'from before the newest edits ', press);
    };
    this.legend.replaceChildren(legend(this.view, this.colouring, this.old ? again() : undefined));
  }

  /** Show or end the A/B view. */
  private updateComparison(): void {
    const comparison = this.model.get('comparison') ?? {};
    const opening = this.compare.element.hidden && comparison.view !== undefined;
    const differing = new Map(Object.entries(comparison.nodes ?? {}));
    this.compare.update(comparison, this.model.get('outputs') ?? [], this.colouring);
    this.element.toggleAttribute('data-comparing', comparison.view !== undefined);
    this.canvas.setDiffering(differing);
    this.table.setDiffering(differing);
    if (opening) {
      requestAnimationFrame(() => this.together(this.canvas));
    }
  }

  /** Move the other side of the A/B view to where `leader` is. */
  private together(leader: GraphCanvas): void {
    if (!this.following && !this.compare.element.hidden) {
      this.following = true;
      (leader === this.canvas ? this.compare.canvas : this.canvas).follow(leader);
      this.following = false;
    }
  }

  /** The user's choice: kept in the model, so that other views and a saved file have it, too. */
  private chooseColour(colouring: Colouring): void {
    this.model.set('colouring', colouring);
    this.model.save_changes();
    this.colour(colouring);
  }

  private colour(colouring: Colouring): void {
    this.colouring = colouring;
    this.shownOld = this.old;
    this.canvas.setColouring(colouring, this.old);
    this.compare.canvas.setColouring(colouring);
    this.toolbar.showColouring(colouring);
    this.drawLegend();
  }

  private show(pane: Pane): void {
    this.graphPane.hidden = pane !== 'graph';
    this.legend.hidden = pane !== 'graph';
    this.table.hidden = pane !== 'table';
  }

  /** Look for `text`; the first match comes into sight unless the view only changed under a query (`silent`). */
  private query(text: string, silent = false): void {
    this.matches = find(text, this.view.nodes, this.model.get('table') ?? []);
    this.canvas.setMatches(this.matches);
    this.match = -1;
    this.toolbar.showFound(this.matches && String(this.matches.length));
    this.updateTable();
    if (!silent && this.matches && this.matches.length > 0) {
      this.canvas.reveal(this.matches[0]);
    }
  }

  private next(step: 1 | -1): void {
    const { matches } = this;
    if (!matches || matches.length === 0) {
      return;
    }
    this.match =
      this.match < 0
        ? step > 0
          ? 0
          : matches.length - 1
        : (this.match + step + matches.length) % matches.length;
    const id = matches[this.match];
    this.toolbar.showFound(`${this.match + 1}/${matches.length}`);
    this.select(id, false, true);
  }

  /** Nothing that is pressed from here on would be heard: say so, and leave looking around possible. */
  private lose(): void {
    this.lost.hidden = false;
    this.element.toggleAttribute('data-lost', true);
    for (const part of [this.toolbar.edits, this.setup.element, this.panels.element, this.history]) {
      part.toggleAttribute('inert', true);
    }
    this.status.update({ state: 'idle', text: '' }, {}, '');
  }

  private announce(text: string): void {
    this.live.textContent = text;
  }
}
