/** Puts the parts together and carries state from the model to them and wishes from them to the model. */
import { GraphCanvas } from '../core/canvas';
import { nodeText } from '../core/describe';
import { h } from '../core/dom';
import { legend } from '../core/legend';
import type { Colouring } from '../core/nodeElement';
import { find, findRows } from '../core/search';
import { followTheme } from '../core/theme';
import { COMMAND_EVENT, EMPTY_VIEW, asView } from '../core/types';
import { historyList } from './history';
import { Inspector } from './inspector';
import { NodeTable } from './nodeTable';
import { outputSentence, outputStrip } from './outputs';
import { watch, type Message, type Model } from './state';
import { StatusLine } from './statusLine';
import { Toolbar, type Pane } from './toolbar';

export class App {
  readonly element = h('div', { class: 'qwb qwb-app', 'data-lm-suppress-shortcuts': 'true' });
  private readonly canvas: GraphCanvas;
  private readonly toolbar: Toolbar;
  private readonly inspector: Inspector;
  private readonly table: NodeTable;
  private readonly status = new StatusLine();
  private readonly legend = h('div', { class: 'qwb-legend-slot' });
  private readonly outputs = h('section', { class: 'qwb-outputs', 'aria-label': 'Model outputs' });
  private readonly history = h('div', { class: 'qwb-history-slot' });
  private readonly live = h('div', { class: 'qwb-live', role: 'status', 'aria-live': 'polite' });
  private readonly graphPane: HTMLElement;
  private readonly message = h(
    'p',
    { class: 'qwb-empty qwb-no-graph', hidden: true },
    'There is no graph to show yet.'
  );
  private view = EMPTY_VIEW;
  private matches: string[] | null = null;
  private match = -1;
  private colouring: Colouring = 'placement';

  constructor(
    private readonly model: Model,
    signal: AbortSignal
  ) {
    const send = (message: Message) => this.send(message);
    this.canvas = new GraphCanvas(
      {
        select: id => this.select(id),
        toggleModule: (module, collapsed) => send({ type: 'collapse', module, collapsed }),
        search: () => this.toolbar.search.focus(),
        undo: () => send({ type: 'undo' }),
        redo: () => send({ type: 'redo' }),
        leave: () => this.leave()
      },
      signal
    );
    this.toolbar = new Toolbar({
      send,
      query: text => this.query(text),
      next: step => this.next(step),
      leaveSearch: () => this.canvas.focus(),
      zoom: factor => this.canvas.zoom(factor),
      fit: () => this.canvas.fit(),
      fitWidth: () => this.canvas.fitWidth(),
      colour: colouring => this.colour(colouring),
      show: pane => this.show(pane)
    });
    this.inspector = new Inspector(send);
    this.table = new NodeTable(id => this.select(id));
    this.graphPane = h('div', { class: 'qwb-graph-pane' }, this.canvas.element, this.message);
    this.table.element.hidden = true;
    this.element.append(
      this.toolbar.element,
      this.status.bar,
      h(
        'div',
        { class: 'qwb-main' },
        h('div', { class: 'qwb-stage' }, this.graphPane, this.table.element),
        h('div', { class: 'qwb-side' }, this.inspector.element, this.history)
      ),
      this.legend,
      this.outputs,
      this.status.element,
      this.live
    );
    this.element.addEventListener(
      COMMAND_EVENT,
      event => {
        const { type } = (event as CustomEvent<{ type: 'run' | 'undo' | 'redo' }>).detail;
        send({ type });
      },
      { signal }
    );
    this.observe(signal);
    followTheme(this.element, signal, () => this.canvas.redraw());
  }

  private observe(signal: AbortSignal): void {
    const { model } = this;
    const always: [Parameters<typeof watch>[1], () => void][] = [
      [['view'], () => this.updateView()],
      [['selected', 'panel'], () => this.updateSelection()],
      [['outputs'], () => this.updateOutputs()],
      [
        ['history'],
        () => this.history.replaceChildren(historyList(model.get('history') ?? [], this.send.bind(this)))
      ],
      [['table'], () => this.updateTable()],
      [['view', 'flags', 'status', 'error'], () => this.updateStatus()]
    ];
    for (const [keys, update] of always) {
      watch(model, keys, update, signal);
      update();
    }
    watch(model, ['outputs'], () => this.announce(outputSentence(model.get('outputs') ?? [])), signal);
    watch(
      model,
      ['error'],
      () => {
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

  private select(id: string): void {
    if (this.model.get('selected') !== id) {
      this.model.set('selected', id);
      this.model.save_changes();
    }
    const node = this.view.nodes.find(candidate => candidate.id === id);
    this.announce(node ? `${nodeText(node)}. ${node.reason}` : '');
  }

  private leave(): void {
    if (this.model.get('selected')) {
      this.select('');
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
    this.legend.replaceChildren(legend(this.view, this.colouring));
    this.query(this.toolbar.search.value, true);
    this.updateSelection();
  }

  private updateSelection(): void {
    this.inspector.update(this.view, this.model.get('selected') ?? '', this.model.get('panel') ?? {});
    this.updateTable();
  }

  private updateOutputs(): void {
    this.outputs.replaceChildren(
      ...outputStrip(this.model.get('outputs') ?? []).filter(child => child instanceof Node)
    );
  }

  private updateTable(): void {
    const rows = this.model.get('table') ?? [];
    this.table.update(findRows(this.toolbar.search.value, rows), this.model.get('selected') ?? '');
  }

  private updateStatus(): void {
    const flags = this.model.get('flags') ?? {};
    const status = this.model.get('status') ?? {};
    this.toolbar.update(this.view.title, flags, status);
    this.status.update(status, flags, this.model.get('error') ?? '');
    this.element.toggleAttribute('data-running', status.state === 'running');
  }

  private colour(colouring: Colouring): void {
    this.colouring = colouring;
    this.canvas.setColouring(colouring);
    this.legend.replaceChildren(legend(this.view, colouring));
  }

  private show(pane: Pane): void {
    this.graphPane.hidden = pane !== 'graph';
    this.legend.hidden = pane !== 'graph';
    this.table.element.hidden = pane !== 'table';
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
    this.select(id);
    this.canvas.reveal(id);
  }

  private announce(text: string): void {
    this.live.textContent = text;
  }
}
