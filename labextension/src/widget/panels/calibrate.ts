/** Calibration: the searches with every candidate they tried, what is declared about the inputs, scales that are known. */
import { h } from '../../core/dom';
import { button } from '../parts';
import type { InputRow, Model } from '../state';
import { AskButton, StaleNote, entry, part, type Asking, type Panel } from './ask';
import { candidates } from './candidates';
import { proposals, readRanges } from './ranges';

export class CalibratePanel implements Panel {
  readonly element: HTMLElement;
  private readonly searches: AskButton[];
  private readonly stale: StaleNote;
  private readonly found = h('div', { class: 'qwb-result' });
  private readonly inputs = h('ul', { class: 'qwb-members', 'aria-label': 'Model inputs' });
  private readonly look: AskButton;
  private readonly staleRanges: StaleNote;
  private readonly ranges = h('div', { class: 'qwb-result' });
  private shown: readonly unknown[] = [];

  constructor(private readonly asking: Asking) {
    const search = (method: string) => asking.send({ type: 'calibrate', method, per_channel: false });
    this.searches = [
      new AskButton(
        'Default search',
        'max, percentile, KL; then per channel; then asymmetric: until the output cosine reaches 0.995',
        () => search('default'),
        asking.send
      ),
      new AskButton(
        'Mix search',
        'the best method for each sensitive node, against each method for all of them',
        () => search('mix'),
        asking.send
      )
    ];
    this.stale = new StaleNote('search', '', () => search('default'));
    const [rangeField, range] = entry(
      'ranges that you know',
      'text',
      'speed=0,200',
      'NAME=LOW,HIGH, several with spaces between; empty: only those that follow from the ops and the data'
    );
    const ask = () => {
      const ranges = readRanges(range.value);
      range.setCustomValidity(ranges ? '' : 'Write NAME=LOW,HIGH with LOW below HIGH, e.g. speed=0,200');
      if (range.reportValidity()) {
        asking.send({ type: 'analyse', analysis: 'range_proposals', options: { ranges } });
      }
    };
    range.addEventListener('input', () => range.setCustomValidity(''));
    this.look = new AskButton(
      'Look',
      'Tensors whose range is known: sigmoid, softmax, images ...',
      ask,
      asking.send
    );
    this.staleRanges = new StaleNote('range_proposals', '', ask);
    this.element = h(
      'div',
      { class: 'qwb-tab-content' },
      part(
        'Search for the best calibration',
        '',
        h('div', { class: 'qwb-row' }, ...this.searches.map(item => item.element)),
        this.stale.element,
        this.found
      ),
      part('Image inputs', 'What the board hands over, and what the model was trained on.', this.inputs),
      part(
        'Scales that are known',
        'Where the range of a tensor is known, a fixed scale is better than one from samples.',
        h('div', { class: 'qwb-form' }, rangeField, this.look.element),
        this.staleRanges.element,
        this.ranges
      )
    );
  }

  update(model: Model): void {
    const [standing, status] = [model.get('standing') ?? {}, model.get('status') ?? {}];
    const found = model.get('found_search') ?? {};
    const settings = model.get('settings') ?? {};
    const possible = (settings.searches ?? []).length > 0;
    this.searches[0].update(status, possible, true);
    this.searches[1].update(status, possible, false);
    this.stale.update(standing, found.partial, status);
    this.look.update(status, (settings.samples ?? 0) > 0, false);
    this.staleRanges.update(standing, false, status);
    const inputs = model.get('inputs') ?? [];
    const ranges = model.get('found_range_proposals') ?? {};
    const now = [found, standing.candidate, status.state, inputs, ranges];
    if (now.some((item, index) => item !== this.shown[index])) {
      this.shown = now;
      const running = status.state === 'running';
      this.found.replaceChildren(...candidates(found, standing, running, this.asking));
      this.inputs.replaceChildren(...inputs.map(row => this.input(row)));
      this.ranges.replaceChildren(...proposals(ranges, running, this.asking));
    }
  }

  private input({ name, shape, declared }: InputRow): HTMLElement {
    const text = declared ? `${declared.rt} at runtime, trained on ${declared.train}` : 'nothing declared';
    return h(
      'li',
      {},
      h('code', {}, name),
      h('span', { class: 'qwb-hint' }, `${shape.join('\u00d7')}: ${text}`),
      button({ text: declared ? 'Change' : 'Declare', class: 'qwb-plain', key: `declare ${name}` }, () =>
        this.asking.select(`input:${name}`)
      )
    );
  }
}
