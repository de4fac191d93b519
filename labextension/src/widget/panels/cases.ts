/** Bad cases: the samples of a stream on which the outputs are farthest from float, and the layers on one of them. */
import { formatCosine, formatNumber } from '../../core/describe';
import { h, type Child } from '../../core/dom';
import { figure, records, type FoundCases } from '../found';
import { button } from '../parts';
import type { Model } from '../state';
import { AskButton, StaleNote, entry, heads, part, type Asking, type Panel } from './ask';

const write = (metric: string, value: number | null) =>
  metric === 'COSINE' ? formatCosine(value, 6) : formatNumber(value);

export class CasesPanel implements Panel {
  readonly element: HTMLElement;
  private readonly start: AskButton;
  private readonly stale: StaleNote;
  private readonly result = h('div', { class: 'qwb-result' });
  private shown: unknown = null;
  private running = false;

  /** `layers` is called with the metric whose worst sample the layers shall be compared on. */
  constructor(
    asking: Asking,
    private readonly layers: (metric: string) => void
  ) {
    const [limitField, limit] = entry('at most', 'number', 'all', 'Look at this many samples');
    const field = asking.samples.field('a variable');
    const input = field.querySelector('input')!;
    const ask = () => {
      input.setCustomValidity(
        asking.samples.asked.samples ? '' : 'Name a notebook variable that holds samples, e.g. images.'
      );
      if (input.reportValidity()) {
        const most = Number(limit.value);
        asking.send({
          type: 'analyse',
          analysis: 'bad_cases',
          options: limit.value.trim() && Number.isFinite(most) ? { limit: most } : {},
          ...asking.samples.asked
        });
      }
    };
    input.addEventListener('input', () => input.setCustomValidity(''));
    this.start = new AskButton('Find bad cases', 'Compare every sample with float', ask, asking.send);
    this.stale = new StaleNote('bad_cases', '', ask);
    this.element = h(
      'div',
      { class: 'qwb-tab-content' },
      part(
        'On which samples is it worst?',
        '',
        h('div', { class: 'qwb-form' }, field, limitField, this.start.element),
        this.stale.element,
        this.result
      )
    );
  }

  update(model: Model): void {
    const [standing, status] = [model.get('standing') ?? {}, model.get('status') ?? {}];
    const found = model.get('found_bad_cases') ?? {};
    this.start.update(status, (model.get('settings')?.samples ?? 0) > 0, true);
    this.stale.update(standing, found.partial, status);
    const running = status.state === 'running';
    if (found !== this.shown || running !== this.running) {
      [this.shown, this.running] = [found, running];
      this.result.replaceChildren(...this.content(found));
    }
  }

  private content(found: Partial<FoundCases>): Node[] {
    if (found.seen === undefined) {
      return [];
    }
    const worst = (found.worst ?? []).map(([metric, sample, output, value]) =>
      h(
        'li',
        {},
        h('strong', {}, `sample ${sample}`),
        h('span', { class: 'qwb-hint' }, `worst by ${metric}: ${write(metric, figure(value))} at ${output}`),
        this.layersButton(metric, found.partial === true)
      )
    );
    const titles = ['output', 'metric', 'sample', 'distance'];
    const all: Child[] = [
      h(
        'p',
        { class: 'qwb-verdict', role: 'status' },
        `${found.seen} samples compared${found.partial ? ' so far' : found.finished ? '' : ', then stopped'}`
      ),
      h('ul', { class: 'qwb-members', 'aria-label': 'Worst over all outputs' }, ...worst),
      ...Object.entries(found.replaced ?? {}).map(([name, node]) =>
        h('p', { class: 'qwb-hint' }, `${name} holds a ranking; the input of ${node} was compared`)
      ),
      new Set(records(found as FoundCases).map(row => row.output)).size > 1 &&
        h(
          'div',
          { class: 'qwb-scroll' },
          h(
            'table',
            {},
            heads(titles, ['sample', 'distance']),
            h(
              'tbody',
              {},
              ...records(found as FoundCases).map(row =>
                h(
                  'tr',
                  {},
                  h('th', { scope: 'row' }, String(row.output)),
                  h('td', {}, String(row.metric)),
                  h('td', { class: 'qwb-number' }, String(row.sample)),
                  h('td', { class: 'qwb-number' }, write(String(row.metric), figure(row.distance)))
                )
              )
            )
          )
        )
    ];
    return all.filter(child => child instanceof Node);
  }

  private layersButton(metric: string, partial: boolean): HTMLElement {
    const made = button(
      {
        text: 'Layers on it',
        title: 'Compare every layer on this sample',
        class: 'qwb-plain',
        key: `on ${metric}`
      },
      () => this.layers(metric)
    );
    made.disabled = partial || this.running;
    return made;
  }
}
