/** The bar above the graph: what the model is, undo and redo, run and cancel, search, zoom, colouring, graph or table. */
import { COLOURINGS, asColouring, type Colouring } from '../core/colouring';
import { h, setAttributes } from '../core/dom';
import { icon } from './icons';
import type { Message } from './messages';
import { button, segmented } from './parts';
import type { Flags, Status } from './state';

export type Pane = 'graph' | 'table';

export interface ToolbarActions {
  send: (message: Message) => void;
  query: (text: string) => void;
  /** Go to the next match (or the one before). */
  next: (step: 1 | -1) => void;
  leaveSearch: () => void;
  zoom: (factor: number) => void;
  fit: () => void;
  fitWidth: () => void;
  /** Fold the outer modules, or open all of them. */
  foldAll: () => void;
  colour: (colouring: Colouring) => void;
  show: (pane: Pane) => void;
}

const FOLD = 'Fold the modules (m)';
const OPEN = 'Open all modules (m)';

let count = 0;

export class Toolbar {
  readonly element: HTMLElement;
  readonly search = h('input', {
    class: 'qwb-search-input',
    type: 'search',
    placeholder: 'Search: conv cpu',
    'aria-label': 'Search nodes by name, op, place or dtype',
    spellcheck: 'false',
    autocomplete: 'off'
  });
  private readonly colouring = h(
    'select',
    { class: 'qwb-input', 'aria-label': 'Colour by', 'data-key': 'colour' },
    ...COLOURINGS.map(({ value, text, title }) => h('option', { value, title }, text))
  );
  private readonly found = h('span', { class: 'qwb-found', role: 'status' });
  private readonly title = h('strong', { class: 'qwb-title' });
  private readonly march = h('span', { class: 'qwb-march', title: 'march' });
  /** The buttons that need a kernel. */
  readonly edits: HTMLElement;
  private readonly undo: HTMLButtonElement;
  private readonly redo: HTMLButtonElement;
  private readonly run: HTMLButtonElement;
  private readonly cancel: HTMLButtonElement;
  private readonly folding: HTMLButtonElement;

  constructor(actions: ToolbarActions) {
    const id = `qwb-bar-${++count}`;
    this.undo = button({ icon: 'undo', title: 'Undo the last edit (Ctrl+Z)', key: 'undo' }, () =>
      actions.send({ type: 'undo' })
    );
    this.redo = button({ icon: 'redo', title: 'Redo (Ctrl+Shift+Z)', key: 'redo' }, () =>
      actions.send({ type: 'redo' })
    );
    this.run = button(
      {
        icon: 'run',
        text: 'Run',
        title: 'Run the integer model and compare',
        class: 'qwb-primary',
        key: 'run'
      },
      () => actions.send({ type: 'run' })
    );
    this.cancel = button(
      { icon: 'cancel', text: 'Cancel', title: 'Stop the run', class: 'qwb-stop', key: 'cancel' },
      () => actions.send({ type: 'cancel' })
    );
    this.folding = button({ icon: 'collapse', title: FOLD }, actions.foldAll);
    this.colouring.addEventListener('change', () => actions.colour(asColouring(this.colouring.value)));
    this.search.addEventListener('input', () => actions.query(this.search.value));
    this.search.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        event.preventDefault();
        actions.next(event.shiftKey ? -1 : 1);
      } else if (event.key === 'Escape') {
        event.preventDefault();
        this.search.value = '';
        actions.query('');
        actions.leaveSearch();
      }
    });
    const group = (label: string, ...children: Node[]) =>
      h('div', { class: 'qwb-group', role: 'group', 'aria-label': label }, ...children);
    this.edits = h(
      'div',
      { class: 'qwb-group' },
      group('Edits', this.undo, this.redo),
      group('Run', this.run, this.cancel)
    );
    this.element = h(
      'div',
      { class: 'qwb-toolbar', role: 'toolbar', 'aria-label': 'Workbench' },
      h('div', { class: 'qwb-heading' }, this.title, this.march),
      this.edits,
      h('label', { class: 'qwb-search' }, this.search, this.found),
      h('label', { class: 'qwb-choice', title: 'What the colour of a node says' }, 'Colour', this.colouring),
      group(
        'Zoom',
        button({ icon: 'minus', title: 'Zoom out (-)' }, () => actions.zoom(0.8)),
        button({ icon: 'plus', title: 'Zoom in (+)' }, () => actions.zoom(1.25)),
        button({ icon: 'width', title: 'Fit the width (w)' }, actions.fitWidth),
        button({ icon: 'fit', title: 'Show all (0)' }, actions.fit),
        this.folding
      ),
      segmented<Pane>(
        `${id}-pane`,
        'Show as',
        [
          { value: 'graph', text: 'Graph' },
          { value: 'table', text: 'Table' }
        ],
        'graph',
        actions.show
      )
    );
  }

  update(title: string, flags: Partial<Flags>, status: Partial<Status>): void {
    const running = status.state === 'running';
    this.title.textContent = title;
    this.march.textContent = flags.march ?? '';
    this.march.hidden = !flags.march || title.includes(flags.march);
    this.undo.disabled = !flags.can_undo;
    this.redo.disabled = !flags.can_redo;
    this.run.hidden = running;
    this.cancel.hidden = !running;
    this.run.classList.toggle('qwb-stale', flags.stale === true);
    setAttributes(this.run, {
      title: flags.stale ? 'Run: there are edits that no run has seen' : 'Run the integer model and compare'
    });
  }

  /** Say what the button for modules does in a view of `modules`, some of which are `folded`. */
  showFolded(modules: number, folded: boolean): void {
    this.folding.hidden = modules === 0;
    setAttributes(this.folding, { title: folded ? OPEN : FOLD, 'aria-label': folded ? OPEN : FOLD });
    this.folding.replaceChildren(icon(folded ? 'expand' : 'collapse'));
  }

  showColouring(colouring: Colouring): void {
    this.colouring.value = colouring;
  }

  /** Say how many nodes the query found; null says nothing. */
  showFound(text: string | null): void {
    this.found.textContent = text ?? '';
  }
}
