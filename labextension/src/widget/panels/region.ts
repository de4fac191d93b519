/** Partial quantization: the smallest region that explains the loss, and what the outputs are with a region in float. */
import { formatCosine, formatNumber } from '../../core/describe';
import { h } from '../../core/dom';
import { figure, records, type FoundRegion, type TableData } from '../found';
import { button } from '../parts';
import type { Model } from '../state';
import {
  AskButton,
  METRICS,
  StaleNote,
  choice,
  entry,
  heads,
  nodeLink,
  part,
  type Asking,
  type Panel
} from './ask';

export class RegionPanel implements Panel {
  readonly element: HTMLElement;
  private readonly find: AskButton;
  private readonly off: AskButton;
  private readonly stale: StaleNote;
  private readonly metric: HTMLSelectElement;
  private readonly result = h('div', { class: 'qwb-result' });
  private readonly table = h('div', { class: 'qwb-scroll' });
  private shown: unknown = null;
  private without: unknown = null;

  constructor(private readonly asking: Asking) {
    const [metricField, metric] = choice('metric', METRICS, 'Of the worst output');
    const [shareField, share] = entry(
      'share to explain',
      'number',
      '0.9',
      'Part of the loss, above 0, at most 1'
    );
    this.metric = metric;
    const ask = () => {
      const part = Number(share.value || 0.9);
      share.setCustomValidity(part > 0 && part <= 1 ? '' : 'A share is above 0 and at most 1.');
      if (share.reportValidity()) {
        asking.send({
          type: 'analyse',
          analysis: 'bisect',
          options: { metric: metric.value, share: part },
          ...asking.samples.asked
        });
      }
    };
    this.find = new AskButton('Find region', 'Switch quantization off in halves of halves', ask, asking.send);
    this.stale = new StaleNote('bisect', '', ask);
    const [patternField, pattern] = entry(
      'nodes',
      'text',
      'head.*',
      'Names or patterns, with spaces between'
    );
    const switchOff = () => {
      pattern.setCustomValidity(pattern.value.trim() ? '' : 'Name the region, e.g. head.*');
      if (pattern.reportValidity()) {
        asking.send({
          type: 'analyse',
          analysis: 'partial',
          options: { patterns: pattern.value, metric: metric.value },
          ...asking.samples.asked
        });
      }
    };
    this.off = new AskButton('Switch off', 'Compare with quantization off there', switchOff, asking.send);
    this.element = h(
      'div',
      { class: 'qwb-tab-content' },
      part(
        'Which region explains the loss?',
        '',
        h('div', { class: 'qwb-form' }, asking.samples.field(), metricField, shareField, this.find.element),
        this.stale.element,
        this.result
      ),
      part(
        'Quantization off in a region',
        '',
        h('div', { class: 'qwb-form' }, patternField, this.off.element),
        this.table
      )
    );
  }

  update(model: Model): void {
    const [standing, status] = [model.get('standing') ?? {}, model.get('status') ?? {}];
    const found = model.get('found_bisect') ?? {};
    const possible = (model.get('settings')?.samples ?? 0) > 0;
    this.find.update(status, possible, true);
    this.off.update(status, possible, false);
    this.stale.update(standing, found.partial, status);
    if (found !== this.shown) {
      this.shown = found;
      this.result.replaceChildren(...this.region(found));
    }
    const without = model.get('found_partial') ?? {};
    if (without !== this.without) {
      this.without = without;
      this.table.replaceChildren(...this.outputs(without));
    }
  }

  private region(found: Partial<FoundRegion>): Node[] {
    const { ops = [], trials } = found;
    const rows = records(trials);
    if (found.partial) {
      const best = rows.at(-1);
      return [
        h(
          'p',
          { class: 'qwb-verdict' },
          `${rows.length} trials so far${best ? `, ${String(best.off)} switched off` : ''}`
        )
      ];
    }
    if (found.explained === undefined) {
      return [];
    }
    const write = (value: number | undefined) =>
      found.metric === 'COSINE' ? formatCosine(value, 6) : formatNumber(value);
    const kinds = new Map<string, string[]>();
    for (const [name, kind] of found.members ?? []) {
      kinds.set(name, [...(kinds.get(name) ?? []), kind]);
    }
    const apply = (how: 'int16' | 'cpu', text: string, title: string) =>
      button({ icon: 'apply', text, title, class: 'qwb-way', key: `repair ${how}` }, () =>
        this.asking.send({ type: 'apply', what: 'bisect', how })
      );
    return [
      h(
        'p',
        { class: 'qwb-verdict', 'data-reached': 'true' },
        `${ops.length === 1 ? 'One op explains' : `${ops.length} ops explain`} ${(found.explained * 100).toFixed(1)} % of the loss: ` +
          `${found.metric} ${write(found.quantized)} \u2192 ${write(found.repaired)} with ${ops.length === 1 ? 'it' : 'them'} in float.`
      ),
      h(
        'ul',
        { class: 'qwb-members', 'aria-label': 'Region' },
        ...ops.map(name =>
          h(
            'li',
            {},
            nodeLink(name, id => this.asking.select(id)),
            h('span', { class: 'qwb-hint' }, (kinds.get(name) ?? []).join(', '))
          )
        )
      ),
      apply('int16', 'Raise the region to int16', 'As one step'),
      apply('cpu', 'Leave the region in float32 on the CPU', 'As one step'),
      h(
        'p',
        { class: 'qwb-hint' },
        `${rows.length} trials. The region is outlined in the graph while this tab is open.`
      )
    ];
  }

  private outputs(found: Partial<TableData>): Node[] {
    if (!found.columns) {
      return [];
    }
    const metric = this.metric.value;
    const write = (value: number | null) =>
      metric === 'COSINE' ? formatCosine(value, 6) : formatNumber(value);
    const titles = ['output', 'all on', 'region off', 'only region'];
    return [
      h(
        'table',
        {},
        heads(titles, ['all on', 'region off', 'only region']),
        h(
          'tbody',
          {},
          ...records(found).map(row =>
            h(
              'tr',
              {},
              h('th', { scope: 'row' }, String(row.output)),
              ...['all_on', 'region_off', 'only_region'].map(name =>
                h('td', { class: 'qwb-number' }, write(figure(row[name])))
              )
            )
          )
        )
      )
    ];
  }
}
