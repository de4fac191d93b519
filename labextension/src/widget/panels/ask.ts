/** What the tabs share: choices, the samples field, the button that starts an analysis, and the word that a result is old. */
import { h, type Child } from '../../core/dom';
import type { Analysis, Standing } from '../found';
import type { Message } from '../messages';
import { button } from '../parts';
import type { Model, Status } from '../state';

/** What a tab may do. */
export interface Asking {
  send: (message: Message) => void;
  /** Select node `id` and bring it into sight. */
  select: (id: string) => void;
  samples: Samples;
}

/** A tab of the panel: follows the model, and is only brought up to date while it is in sight. */
export interface Panel {
  readonly element: HTMLElement;
  update: (model: Model) => void;
}

/** A labelled choice. */
export function choice(
  label: string,
  options: readonly (readonly [string, string])[],
  title = ''
): [HTMLLabelElement, HTMLSelectElement] {
  const select = h(
    'select',
    { class: 'qwb-input', 'data-key': label, 'aria-label': label, title: title || null },
    ...options.map(([value, text]) => h('option', { value }, text))
  );
  return [h('label', { class: 'qwb-field' }, h('span', {}, label), select), select];
}

/** A labelled number or text; `example` stands in it while it is empty. */
export function entry(
  label: string,
  kind: 'number' | 'text',
  example: string,
  title = ''
): [HTMLLabelElement, HTMLInputElement] {
  const input = h('input', {
    class: 'qwb-input',
    type: kind,
    step: kind === 'number' ? 'any' : null,
    placeholder: example,
    title,
    'data-key': label,
    spellcheck: 'false',
    autocomplete: 'off'
  });
  return [h('label', { class: 'qwb-field' }, h('span', {}, label), input), input];
}

export const METRICS: readonly (readonly [string, string])[] = [
  ['COSINE', 'cosine'],
  ['L1', 'L1'],
  ['MSE', 'MSE'],
  ['SQNR', 'SQNR (dB)'],
  ['ATOL', 'max error'],
  ['KL', 'KL']
];

let lists = 0;

/** The samples that analyses run on: one choice for all tabs. */
export class Samples {
  readonly list = h('datalist', { id: `qwb-samples-${++lists}` });
  private readonly fields: HTMLInputElement[] = [];

  /** A field for the choice; all of them say the same. */
  field(example = 'the example'): HTMLLabelElement {
    const [label, input] = entry(
      'samples',
      'text',
      example,
      'A notebook variable with samples, e.g. images; without one, what Run takes'
    );
    input.setAttribute('list', this.list.id);
    input.addEventListener('input', () => {
      for (const other of this.fields) {
        other.value = input.value;
      }
    });
    this.fields.push(input);
    return label;
  }

  /** What is chosen, as a part of a message. */
  get asked(): { samples?: string } {
    const name = this.fields[0]?.value.trim();
    return name ? { samples: name } : {};
  }

  offer(variables: readonly string[]): void {
    this.list.replaceChildren(...variables.map(value => h('option', { value })));
  }
}

/** The button that starts an analysis; while something runs, one that stops it. */
export class AskButton {
  readonly element: HTMLElement;
  private readonly start: HTMLButtonElement;
  private readonly stop: HTMLButtonElement;

  constructor(text: string, title: string, ask: () => void, send: Asking['send']) {
    this.start = button({ text, title, class: 'qwb-ask', key: text }, ask);
    this.stop = button({ icon: 'cancel', text: 'Cancel', class: 'qwb-stop', key: `cancel ${text}` }, () =>
      send({ type: 'cancel' })
    );
    this.stop.hidden = true;
    this.element = h('div', { class: 'qwb-ask-bar' }, this.start, this.stop);
  }

  /** `cancels` says whether this is the button that what runs now was started by. */
  update(status: Partial<Status>, possible: boolean, cancels: boolean): void {
    const running = status.state === 'running';
    this.start.disabled = running || !possible;
    this.start.hidden = running && cancels;
    this.stop.hidden = !(running && cancels);
  }

  set text(text: string) {
    this.start.lastElementChild!.textContent = text;
  }
}

/** Says that `analysis` was measured before the newest edits, and offers to do it again. */
export class StaleNote {
  readonly element = h('p', { class: 'qwb-note qwb-stale-note', hidden: true });
  private readonly again: HTMLButtonElement;
  private readonly text = h('span');

  constructor(
    private readonly analysis: Analysis | 'search',
    private readonly applied: string,
    again: () => void
  ) {
    this.again = button({ text: 'Measure again', class: 'qwb-plain', key: `again ${analysis}` }, again);
    this.element.append(this.text, ' ', this.again);
  }

  update(standing: Standing, partial: boolean | undefined, status: Partial<Status>): void {
    const state = partial ? 'fresh' : (standing[this.analysis] ?? 'fresh');
    this.element.hidden = state === 'fresh';
    this.element.dataset.state = state;
    this.text.textContent =
      state === 'applied' && this.applied ? this.applied : 'Measured before the newest edits.';
    this.again.disabled = status.state === 'running';
    this.again.hidden = state === 'applied';
  }
}

/** The heads of a short table; those of figures stand over their digits. */
export function heads(titles: readonly string[], figures: readonly string[]): HTMLElement {
  return h(
    'thead',
    {},
    h(
      'tr',
      {},
      ...titles.map(title =>
        h(
          'th',
          {
            scope: 'col',
            class: figures.includes(title) ? 'qwb-number' : null,
            'aria-label': title || 'action'
          },
          title
        )
      )
    )
  );
}

/** A part of a tab with a title. */
export function part(title: string, hint: string, ...children: Child[]): HTMLElement {
  return h(
    'section',
    { class: 'qwb-section qwb-part' },
    h('h4', {}, title),
    hint !== '' && h('p', { class: 'qwb-hint' }, hint),
    ...children
  );
}

/** A long name that keeps its end, which tells it from its neighbours. */
export function nodeLink(id: string, select: (id: string) => void): HTMLButtonElement {
  return button({ text: id, title: `Go to ${id}`, class: 'qwb-chiplike', key: `go ${id}` }, () => select(id));
}
