/** Layer by layer against float: a figure over all layers as a curve, and the rows with what to do about them. */
import { formatCosine, formatNumber } from '../../core/describe';
import { h } from '../../core/dom';
import { Chart, type ChartData } from '../chart';
import { DataTable, type Column } from '../dataTable';
import { button } from '../parts';
import { figure, records, type FoundLayers, type Model, type Value } from '../state';
import { AskButton, StaleNote, choice, type Asking, type Panel } from './ask';

type Row = Record<string, Value>;

const FIGURES: readonly (readonly [string, string])[] = [
  ['Cosine', 'cosine per layer'],
  ['SQNR', 'SQNR per layer (dB)'],
  ['L1', 'L1 per layer'],
  ['MSE', 'MSE per layer'],
  ['KL', 'KL per layer'],
  ['Atol', 'max error per layer'],
  ['ranges', 'min, mean, max per layer'],
  ['accumulated', 'accumulated error']
];
/** Rmse in steps of the scale that rounding alone gives. */
const HEALTHY = 1 / Math.sqrt(12);
/** Those that span decades. */
const WIDE = new Set(['L1', 'MSE', 'KL', 'Atol']);

/** The layers that have figures; a fused one has none of its own. */
function measured(rows: readonly Row[]): Row[] {
  return rows.filter(row => figure(row.Cosine) !== null || figure(row.rmse_qscale) !== null);
}

/** What to draw of `found` for the figure called `kind`. */
export function layerChart(found: Partial<FoundLayers>, kind: string): ChartData {
  const rows = measured(records(found));
  const column = (name: string) => rows.map(row => figure(row[name]));
  const names = rows.map(row => String(row.mod_name));
  const first = names.indexOf(found.first_bad ?? '');
  const mark = first < 0 ? undefined : { index: first, text: 'first bad', tone: 'bad' as const };
  const write = (name: string, value: number | null) =>
    name.endsWith('Cosine') ? formatCosine(value, 6) : formatNumber(value);
  const told = (index: number, parts: readonly (readonly [string, string])[]) =>
    `${names[index]}: ${parts
      .map(([name, text]) => `${text} ${write(name, figure(rows[index][name]))}`)
      .join(', ')}`;
  if (kind === 'ranges') {
    const reach = column('reach');
    return {
      label: 'Minimum, mean and maximum per layer',
      names,
      series: [
        { name: 'mean', tone: 'b', values: column('base_model_mean') },
        { name: 'codes reach', tone: 'c', values: reach, ticks: true },
        {
          name: 'codes reach',
          tone: 'c',
          values: reach.map(value => (value === null ? null : -value)),
          ticks: true
        }
      ],
      band: [column('base_model_min'), column('base_model_max')],
      y: 'symlog',
      says: index =>
        told(index, [
          ['base_model_min', 'min'],
          ['base_model_mean', 'mean'],
          ['base_model_max', 'max'],
          ['reach', 'codes reach']
        ])
    };
  }
  if (kind === 'accumulated') {
    return {
      label: 'Error in steps of the scale, accumulated and of each layer alone',
      names,
      series: [
        { name: 'alone', tone: 'b', values: column('local_rmse_qscale') },
        { name: 'accumulated', tone: 'a', values: column('rmse_qscale') }
      ],
      levels: [{ value: HEALTHY, text: `healthy rounding ${HEALTHY.toFixed(2)}`, tone: 'good' }],
      mark,
      y: 'log',
      says: index =>
        told(index, [
          ['rmse_qscale', 'accumulated'],
          ['local_rmse_qscale', 'alone']
        ])
    };
  }
  const local = `local_${kind}`;
  const alone = found.columns?.includes(local) ?? false;
  return {
    label: `${kind} per layer`,
    names,
    series: [
      ...(alone ? [{ name: 'alone', tone: 'b' as const, values: column(local) }] : []),
      { name: 'through the network', tone: 'a', values: column(kind) }
    ],
    mark,
    y: WIDE.has(kind) ? 'log' : 'linear',
    says: index =>
      told(index, [[kind, 'through the network'], ...(alone ? [[local, 'this layer alone'] as const] : [])])
  };
}

const KEYS: Record<string, [string, string][]> = {
  ranges: [
    ['band', 'min to max'],
    ['b', 'mean'],
    ['c', 'codes reach']
  ],
  accumulated: [
    ['a', 'accumulated'],
    ['b', 'this layer alone']
  ],
  metric: [
    ['a', 'through the network'],
    ['b', 'this layer alone']
  ]
};

function columns(kind: string): Column<Row>[] {
  const shown = kind === 'ranges' ? 'reach' : kind === 'accumulated' ? 'rmse_qscale' : kind;
  const text = (name: string) => (row: Row) => {
    const value = row[name];
    return typeof value === 'string' && figure(value) === null ? value : figure(value);
  };
  const number = (name: string, title: string, hint = ''): Column<Row> => ({
    key: name,
    title,
    hint,
    value: text(name),
    show: row =>
      name.endsWith('Cosine') ? formatCosine(figure(row[name]), 6) : formatNumber(figure(row[name]))
  });
  const known = new Set(['Cosine', 'rmse_qscale']);
  return [
    { key: 'node', title: 'layer', value: row => String(row.mod_name), widest: 26 },
    { key: 'dtype', title: 'dtype', value: text('quant_dtype') },
    number('Cosine', 'cosine', 'through the network'),

    number('rmse_qscale', 'rmse / scale', 'accumulated; rounding alone gives 0.29'),
    ...(known.has(shown) ? [] : [number(shown, shown === 'reach' ? 'codes reach' : shown)]),
    { key: 'advice', title: 'advice', value: text('advice'), class: 'qwb-why', widest: 90 }
  ];
}

export class LayersPanel implements Panel {
  readonly element: HTMLElement;
  private readonly kind: HTMLSelectElement;
  private readonly start: AskButton;
  private readonly stale: StaleNote;
  private readonly says = h('p', { class: 'qwb-verdict', role: 'status' });
  private readonly keys = h('p', { class: 'qwb-chart-keys' });
  private readonly chart: Chart;
  private readonly table: DataTable<Row>;
  private readonly advised = h('input', { type: 'checkbox' });
  private readonly result: HTMLElement;
  private found: Partial<FoundLayers> | null = null;
  private drawn = '';
  private names: readonly string[] = [];
  private selected = '';

  constructor(private readonly asking: Asking) {
    const [kindField, kind] = choice('figure', FIGURES);
    this.kind = kind;
    const ask = () => this.ask({});
    this.start = new AskButton('Compare layers', 'Every layer against float', ask, asking.send);
    this.stale = new StaleNote('compare_layers', '', ask);
    this.chart = new Chart(index => asking.select(this.names[index]));
    this.table = new DataTable<Row>({
      label: 'Layers',
      columns: columns('Cosine'),
      id: row => String(row.mod_name),
      select: row => asking.select(String(row.mod_name)),
      mark: (element, row) => {
        const current = row.mod_name === this.selected;
        element.classList.toggle('qwb-current', current);
        element.setAttribute('aria-current', String(current));
      },
      current: () => this.selected,
      empty: 'No layer has advice.',
      rowHeight: 26
    });
    kind.addEventListener('change', () => this.draw());
    this.advised.addEventListener('change', () => this.fill());
    this.result = h(
      'div',
      { class: 'qwb-result qwb-with-table', hidden: true },
      this.chart.element,
      this.keys,
      h(
        'div',
        { class: 'qwb-filter-row' },
        this.says,
        h('label', { class: 'qwb-check' }, this.advised, 'only with advice')
      ),
      this.table.element
    );
    this.element = h(
      'div',
      { class: 'qwb-tab-content qwb-with-table' },
      h('div', { class: 'qwb-form' }, asking.samples.field(), kindField, this.start.element),
      this.stale.element,
      this.result
    );
  }

  /** Compare the layers, also on the worst sample by a metric. */
  ask(on: { worst?: string }): void {
    const { samples, send } = this.asking;
    send({ type: 'analyse', analysis: 'compare_layers', ...(on.worst ? on : samples.asked) });
  }

  update(model: Model): void {
    const found = model.get('found_compare_layers') ?? {};
    const status = model.get('status') ?? {};
    this.start.update(status, (model.get('settings')?.samples ?? 0) > 0, true);
    this.stale.update(model.get('standing') ?? {}, found.partial, status);
    const selected = model.get('selected') ?? '';
    const moved = selected !== this.selected;
    this.selected = selected;
    this.result.hidden = found.columns === undefined;
    if (found !== this.found) {
      this.found = found;
      this.drawn = '';
    }
    if (this.drawn !== this.kind.value && found.columns) {
      this.draw();
    } else {
      this.chart.selected = selected;
      this.table.draw();
      this.table.mark(moved);
    }
  }

  private draw(): void {
    const kind = this.kind.value;
    const found = this.found ?? {};
    this.drawn = kind;
    const data = layerChart(found, kind);
    this.names = data.names;
    this.chart.update(data, this.selected);
    this.keys.replaceChildren(
      ...(KEYS[kind] ?? KEYS.metric)
        .filter(([tone]) => tone !== 'b' || kind === 'ranges' || data.series.length > 1)
        .map(([tone, text]) => h('span', { class: `qwb-chart-key qwb-series-${tone}` }, text))
    );
    const bad = found.first_bad ?? '';
    this.says.replaceChildren(
      ...(bad
        ? [
            'First bad layer: ',
            button({ text: bad, class: 'qwb-chiplike', title: `Go to ${bad}`, key: 'first bad' }, () =>
              this.asking.select(bad)
            )
          ]
        : ['No layer is bad by itself.'])
    );
    this.says.dataset.reached = String(bad === '');
    this.fill();
  }

  private fill(): void {
    const rows = measured(records(this.found)).filter(row => !this.advised.checked || row.advice !== '');
    this.table.update(rows, columns(this.kind.value));
    this.table.mark(true);
  }
}
