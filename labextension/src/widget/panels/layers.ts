/** Layer by layer against float: a figure over all layers as a curve, and the rows with what to do about them. */
import { formatCosine, formatNumber } from '../../core/describe';
import { h } from '../../core/dom';
import { Chart } from '../chart';
import type { Column } from '../columns';
import { DataTable } from '../dataTable';
import { figure, records, type FoundLayers } from '../found';
import { button } from '../parts';
import type { Model } from '../state';
import { AskButton, StaleNote, choice, type Asking, type Panel } from './ask';
import { FIGURES, chartKeys, layerChart, measured, type Row } from './layerChart';

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
      ...chartKeys(kind, data).map(([tone, text]) =>
        h('span', { class: `qwb-chart-key qwb-series-${tone}` }, text)
      )
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
