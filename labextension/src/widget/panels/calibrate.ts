/** Calibration: the searches with every candidate they tried, what is declared about the inputs, scales that are known. */
import { formatCosine, formatNumber } from '../../core/describe';
import { h, type Child } from '../../core/dom';
import { button } from '../parts';
import {
  figure,
  records,
  type FoundSearch,
  type InputRow,
  type Model,
  type Standing,
  type TableData
} from '../state';
import { AskButton, StaleNote, entry, heads, nodeLink, part, type Asking, type Panel } from './ask';

/** The part of a candidate's name that tells it from the others; what the tools always print is left to the title. */
export function shortName(name: string): string {
  return name.replace(/:num_bin=1024,max_num_bin=16384/, '');
}

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
      this.found.replaceChildren(...this.candidates(found, standing, running));
      this.inputs.replaceChildren(...inputs.map(row => this.input(row)));
      this.ranges.replaceChildren(...this.proposals(ranges, running));
    }
  }

  private candidates(found: Partial<FoundSearch>, standing: Standing, running: boolean): Node[] {
    if (!found.columns) {
      return [];
    }
    const rows = records(found);
    const row = (each: (typeof rows)[number]) => {
      const name = String(each.candidate);
      const winner = String(each.chosen).includes('winner');
      const inForce = !found.partial && standing.candidate === name && each.judged_by === 'emulator';
      const use = button(
        { text: 'Apply', title: `Calibrate by ${name}`, class: 'qwb-plain', key: `use ${name}` },
        () => this.asking.send({ type: 'apply', what: 'candidate', name })
      );
      use.disabled = running;
      const state: Child = found.partial
        ? null
        : inForce
          ? h('span', { class: 'qwb-yes' }, 'in force')
          : each.judged_by === 'emulator'
            ? use
            : h('span', { class: 'qwb-hint', title: String(each.note) }, 'fake-quant only');
      return h(
        'tr',
        { class: inForce ? 'qwb-current' : null, 'data-row': name, title: String(each.note) },
        h(
          'th',
          { scope: 'row', title: name },
          winner && h('span', { class: 'qwb-winner', title: 'the winner' }, '\u2605 '),
          shortName(name)
        ),
        h('td', { class: 'qwb-number' }, formatCosine(figure(each.cosine), 6)),
        h('td', { class: 'qwb-number' }, formatNumber(figure(each.l1))),
        h('td', {}, state)
      );
    };
    const titles = ['candidate', 'cosine', 'L1', ''];
    const nodes = records(found.nodes);
    return [
      h(
        'div',
        { class: 'qwb-scroll' },
        h(
          'table',
          { class: 'qwb-candidates' },
          heads(titles, ['cosine', 'L1', 'scale now', 'proposed']),
          h('tbody', {}, ...rows.map(row))
        )
      ),
      h(
        'p',
        { class: 'qwb-verdict', role: 'status' },
        found.partial ? `${rows.length} tried so far` : (found.why ?? '')
      ),
      ...(nodes.length > 0 ? [this.choices(nodes, found.nodes?.columns ?? [])] : [])
    ];
  }

  /** What each sensitive node chose, after a mix search. */
  private choices(rows: ReturnType<typeof records>, columns: readonly string[]): HTMLElement {
    const methods = columns.filter(name => name !== 'node' && name !== 'choice');
    return h(
      'details',
      { class: 'qwb-choices' },
      h('summary', {}, `${rows.length} sensitive nodes and what each chose`),
      h(
        'div',
        { class: 'qwb-scroll' },
        h(
          'table',
          {},
          heads(['node', ...methods.map(shortName)], methods.map(shortName)),
          h(
            'tbody',
            {},
            ...rows.map(row =>
              h(
                'tr',
                {},
                h(
                  'th',
                  { scope: 'row' },
                  nodeLink(String(row.node), id => this.asking.select(id))
                ),
                ...methods.map(name =>
                  h(
                    'td',
                    { class: `qwb-number${row.choice === name ? ' qwb-yes' : ''}` },
                    formatCosine(figure(row[name]), 6)
                  )
                )
              )
            )
          )
        )
      )
    );
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

  private proposals(found: Partial<TableData>, running: boolean): Node[] {
    const rows = records(found);
    if (!found.columns) {
      return [];
    }
    if (rows.length === 0) {
      return [h('p', { class: 'qwb-hint' }, 'No tensor has a known range that is not fixed already.')];
    }
    const fix = (nodes: string[], text: string, look: string) => {
      const made = button({ text, class: look, title: 'As one step', key: `fix ${nodes.join(' ')}` }, () =>
        this.asking.send({ type: 'apply', what: 'range_proposals', nodes })
      );
      made.disabled = running;
      return made;
    };
    const titles = ['node', 'range', 'scale now', 'proposed', ''];
    return [
      h(
        'div',
        { class: 'qwb-scroll' },
        h(
          'table',
          { class: 'qwb-proposals' },
          heads(titles, ['cosine', 'L1', 'scale now', 'proposed']),
          h(
            'tbody',
            {},
            ...rows.map(row =>
              h(
                'tr',
                { title: String(row.why), 'data-row': String(row.node) },
                h(
                  'th',
                  { scope: 'row' },
                  nodeLink(String(row.node), id => this.asking.select(id))
                ),
                h('td', {}, `${formatNumber(figure(row.low))} to ${formatNumber(figure(row.high))}`),
                h('td', { class: 'qwb-number' }, formatNumber(figure(row.now))),
                h('td', { class: 'qwb-number' }, formatNumber(figure(row.scale))),
                h('td', {}, fix([String(row.node)], 'Fix', 'qwb-plain'))
              )
            )
          )
        )
      ),
      ...(rows.length > 1
        ? [
            fix(
              rows.map(row => String(row.node)),
              `Fix all ${rows.length}`,
              'qwb-way'
            )
          ]
        : [])
    ];
  }
}

/** `speed=0,200 angle=-3.2,3.2` by name, or null where it is not that. */
export function readRanges(text: string): Record<string, [number, number]> | null {
  const found: Record<string, [number, number]> = {};
  for (const word of text.trim().split(/\s+/).filter(Boolean)) {
    const [, name, low, high] = /^(.+)=([^,]+),([^,]+)$/.exec(word) ?? [];
    const ends: [number, number] = [Number(low), Number(high)];
    if (!name || !ends.every(Number.isFinite) || ends[0] >= ends[1]) {
      return null;
    }
    found[name] = ends;
  }
  return found;
}
