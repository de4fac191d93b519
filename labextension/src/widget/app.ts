/**
 * Makes the parts of the widget and lays them out. State reaches them through `follow`, their wishes leave through
 * `Wishes`.
 */
import { GraphCanvas } from '../core/canvas';
import { h, keepKeys } from '../core/dom';
import { followTheme } from '../core/theme';
import { COMMAND_EVENT } from '../core/types';
import { Colours } from './colours';
import { ComparePane } from './comparePane';
import { Finder } from './finder';
import { follow, updatePanels, updateTable, type Parts } from './following';
import { Inspector } from './inspector';
import type { Message } from './messages';
import { NodeTable } from './nodeTable';
import { Panels } from './panels/panels';
import { Setup } from './setup';
import { watchLife, type Model } from './state';
import { StatusLine } from './statusLine';
import { Toolbar, type Pane } from './toolbar';
import { Wishes } from './wishes';

export class App implements Parts {
  readonly element = h('div', { class: 'qwb qwb-app' });
  readonly canvas: GraphCanvas;
  readonly compare: ComparePane;
  readonly colours: Colours;
  readonly finder: Finder;
  readonly toolbar: Toolbar;
  readonly setup: Setup;
  readonly inspector: Inspector;
  readonly panels: Panels;
  readonly table: NodeTable;
  readonly status = new StatusLine();
  readonly history = h('div', { class: 'qwb-history-slot' });
  readonly outputs = h('section', { class: 'qwb-outputs', 'aria-label': 'Model outputs' });
  readonly message = h(
    'p',
    { class: 'qwb-empty qwb-no-graph', hidden: true },
    'There is no graph to show yet.'
  );
  readonly wishes: Wishes;
  private readonly live = h('div', { class: 'qwb-live', role: 'status', 'aria-live': 'polite' });
  private readonly graphPane: HTMLElement;
  private readonly lost = h(
    'p',
    { class: 'qwb-lost', role: 'alert', hidden: true },
    'The kernel behind this workbench is gone. What you see is its last state: run the cell again to go on.'
  );

  constructor(model: Model, signal: AbortSignal) {
    const send = (message: Message) => this.wishes.send(message);
    const goTo = (id: string) => this.wishes.select(id, false, true);
    this.canvas = new GraphCanvas(
      {
        select: (id, more) => this.wishes.select(id, more),
        toggleModule: (module, collapsed) => this.wishes.fold(module, collapsed),
        toggleAll: () => this.wishes.foldAll(),
        search: () => this.toolbar.search.focus(),
        undo: () => send({ type: 'undo' }),
        redo: () => send({ type: 'redo' }),
        leave: () => this.wishes.leave(this.element),
        moved: () => this.compare.together(this.canvas)
      },
      signal
    );
    this.wishes = new Wishes(model, this.canvas, text => this.announce(text));
    this.compare = new ComparePane(this.canvas, goTo, signal);
    this.setup = new Setup(send, () => this.measure());
    this.toolbar = new Toolbar({
      send,
      query: text => this.finder.query(text),
      next: step => this.finder.next(step),
      leaveSearch: () => this.canvas.focus(),
      zoom: factor => this.canvas.zoom(factor),
      fit: () => this.canvas.fit(),
      fitWidth: () => this.canvas.fitWidth(),
      foldAll: () => this.wishes.foldAll(),
      colour: colouring => this.colours.choose(colouring),
      show: pane => this.show(pane)
    });
    this.colours = new Colours(model, this.canvas, this.compare.canvas, {
      tell: colouring => this.toolbar.showColouring(colouring),
      measure: () => this.measure()
    });
    this.finder = new Finder(this.canvas, this.toolbar, () => model.get('table') ?? [], {
      select: goTo,
      narrowed: () => updateTable(model, this)
    });
    this.inspector = new Inspector({
      edit: (...edits) => this.wishes.edit(edits),
      collapse: (module, collapsed) => this.wishes.fold(module, collapsed),
      select: goTo,
      channels: node =>
        send({ type: 'analyse', analysis: 'channels', options: { node }, ...this.panels.samples.asked })
    });
    this.panels = new Panels(this.inspector.element, { send, select: goTo }, () => updatePanels(model, this));
    this.table = new NodeTable((id, more) => this.wishes.select(id, more, true));
    this.graphPane = h('div', { class: 'qwb-graph-pane' }, this.canvas.element, this.message);
    this.table.hidden = true;
    this.layOut();
    this.element.addEventListener(
      COMMAND_EVENT,
      event => {
        const { type } = (event as CustomEvent<{ type: 'run' | 'cancel' | 'undo' | 'redo' }>).detail;
        send({ type });
      },
      { signal }
    );
    follow(model, this, signal);
    keepKeys(this.element, signal);
    watchLife(model, () => this.lose(), signal);
    followTheme(this.element, signal, () => this.canvas.redraw());
  }

  announce(text: string): void {
    this.live.textContent = text;
  }

  private layOut(): void {
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
      this.colours.element,
      this.outputs,
      this.status.element,
      this.live
    );
  }

  /** Measure the sensitivities, with the table in sight. */
  private measure(): void {
    this.panels.show('sensitivity');
    this.panels.sensitivity.ask();
  }

  private show(pane: Pane): void {
    this.graphPane.hidden = pane !== 'graph';
    this.colours.element.hidden = pane !== 'graph';
    this.table.hidden = pane !== 'table';
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
}
