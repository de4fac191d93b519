/** What each quantizer, switched on alone, does to the outputs: the table of the tuning guide, worst first. */
import { formatNumber } from '../../core/describe';
import { h } from '../../core/dom';
import type { Column } from '../columns';
import { DataTable } from '../dataTable';
import { figure, records, type FoundSensitivity, type Value } from '../found';
import type { Model } from '../state';
import { AskButton, METRICS, StaleNote, choice, type Asking, type Panel } from './ask';

interface Row {
  id: string;
  node: string;
  kind: string;
  output: string;
  dtype: string;
  share: number | null;
  figure: number | null;
  /** How bad, 0 to 1, against the worst row. */
  bad: number;
}

/** Rows of `found`, by its first metric. */
export function sensitivityRows(found: Partial<FoundSensitivity>): Row[] {
  const metric = found.metrics?.[0] ?? '';
  const text = (value: Value | undefined) => String(value ?? '');
  const rows = records(found).map(row => ({
    id: [row.op_name, row.sensitive_type, row.output].join('\n'),
    node: text(row.op_name),
    kind: text(row.sensitive_type),
    output: text(row.output),
    dtype: text(row.quant_dtype),
    share: figure(row.flops_share),
    figure: figure(row[metric]),
    bad: 0
  }));
  const badness = (value: number | null) =>
    value === null
      ? 0
      : metric === 'COSINE'
        ? 1 - value
        : metric === 'SQNR'
          ? 10 ** (-value / 20)
          : Math.abs(value);
  const worst = Math.max(...rows.map(row => badness(row.figure)).filter(Number.isFinite), 0);
  return rows.map(row => ({ ...row, bad: worst > 0 ? Math.min(1, badness(row.figure) / worst) : 0 }));
}

export class SensitivityPanel implements Panel {
  readonly element: HTMLElement;
  private readonly metric: HTMLSelectElement;
  private readonly kind: HTMLSelectElement;
  private readonly output: HTMLSelectElement;
  private readonly outputField: HTMLElement;
  private readonly measure: AskButton;
  private readonly estimate: AskButton;
  private readonly stale: StaleNote;
  private readonly says = h('p', { class: 'qwb-hint', role: 'status' });
  private readonly table: DataTable<Row>;
  private found: Partial<FoundSensitivity> | null = null;
  private rows: Row[] = [];
  private selected = '';

  constructor(private readonly asking: Asking) {
    const [metricField, metric] = choice('metric', METRICS, 'Distance of the outputs from float');
    const [kindField, kind] = choice('show', [
      ['', 'both kinds'],
      ['activation', 'activations'],
      ['weight', 'weights']
    ]);
    const [outputField, output] = choice('output', [['', 'every output']]);
    [this.metric, this.kind, this.output, this.outputField] = [metric, kind, output, outputField];
    metric.value = 'L1';
    this.measure = new AskButton(
      'Measure',
      'Switch each quantizer on alone and compare the outputs',
      () => this.ask(),
      asking.send
    );
    this.estimate = new AskButton(
      'Estimate',
      'The order at a glance, from gradients',
      () => this.ask('sensitivity_preview'),
      asking.send
    );
    this.stale = new StaleNote('sensitivity', '', () => this.ask());
    this.table = new DataTable<Row>({
      label: 'Sensitivity',
      columns: this.columns(''),
      id: row => row.id,
      select: row => asking.select(row.node),
      mark: (element, row) => {
        const current = row.node === this.selected;
        element.classList.toggle('qwb-current', current);
        element.setAttribute('aria-current', String(current));
      },
      empty: 'Nothing is measured yet.',
      rowHeight: 26
    });
    for (const select of [kind, output]) {
      select.addEventListener('change', () => this.fill());
    }
    this.element = h(
      'div',
      { class: 'qwb-tab-content qwb-with-table' },
      h(
        'div',
        { class: 'qwb-form' },
        asking.samples.field(),
        metricField,
        this.measure.element,
        this.estimate.element
      ),
      this.stale.element,
      h('div', { class: 'qwb-filter-row' }, this.says, kindField, outputField),
      this.table.element
    );
  }

  /** Start the exact measurement, or the estimate. */
  ask(analysis: 'sensitivity' | 'sensitivity_preview' = 'sensitivity'): void {
    const { samples, send } = this.asking;
    send({ type: 'analyse', analysis, options: { metric: this.metric.value }, ...samples.asked });
  }

  update(model: Model): void {
    const found = model.get('found_sensitivity') ?? {};
    const status = model.get('status') ?? {};
    const possible = (model.get('settings')?.samples ?? 0) > 0;
    this.measure.update(status, possible, true);
    this.estimate.update(status, possible, false);
    this.stale.update(model.get('standing') ?? {}, found.partial, status);
    this.element.toggleAttribute(
      'data-old',
      model.get('standing')?.sensitivity === 'stale' && !found.partial
    );
    const selected = model.get('selected') ?? '';
    if (found !== this.found) {
      this.found = found;
      this.rows = sensitivityRows(found);
      const outputs = [...new Set(this.rows.map(row => row.output))];
      this.outputField.hidden = outputs.length < 2;
      if (
        outputs.join('\n') !==
        [...this.output.options]
          .map(option => option.value)
          .slice(1)
          .join('\n')
      ) {
        this.output.replaceChildren(
          h('option', { value: '' }, 'every output'),
          ...outputs.map(value => h('option', { value }, value))
        );
      }
      this.selected = selected;
      this.fill();
    } else if (selected !== this.selected) {
      this.selected = selected;
      this.table.draw();
    } else {
      this.table.draw();
    }
  }

  private fill(): void {
    const found = this.found ?? {};
    const [kind, output] = [this.kind.value, this.output.value];
    const kept = this.rows.filter(row => (!kind || row.kind === kind) && (!output || row.output === output));
    const metric = found.metrics?.[0] ?? '';
    const name = METRICS.find(([value]) => value === metric)?.[1] ?? metric;
    this.says.textContent =
      this.rows.length === 0
        ? 'Each quantizer on alone, everything else float: which one moves the outputs most?'
        : `${kept.length} rows, worst first, by ${name}${found.estimate ? ', estimated from gradients' : ''}${
            found.partial ? '; more are coming' : ''
          }`;
    this.table.update(kept, this.columns(found.estimate ? `${name} \u2248` : name));
  }

  private columns(metric: string): Column<Row>[] {
    const several = this.output.options.length > 2;
    return [
      { key: 'node', title: 'node', value: row => row.node, widest: 26 },
      {
        key: 'kind',
        title: 'kind',
        value: row => row.kind,
        show: row => row.kind.replace('activation', 'act.')
      },
      ...(several ? [{ key: 'output', title: 'output', value: (row: Row) => row.output, widest: 12 }] : []),
      { key: 'figure', title: metric, value: row => row.figure, show: row => bar(row) },
      { key: 'dtype', title: 'dtype', value: row => row.dtype },
      {
        key: 'share',
        title: 'flops',
        hint: 'share of the operations of the model',
        value: row => row.share,
        show: row => (row.share ? shareText(row.share) : '')
      }
    ];
  }
}

function shareText(share: number): string {
  return share < 1e-4 ? '< 0.01 %' : `${Number((share * 100).toPrecision(2))} %`;
}

/** The figure over a bar as long as it is bad. */
function bar(row: Row): HTMLElement {
  const mark = h('span', { class: 'qwb-measure' }, formatNumber(row.figure));
  mark.style.setProperty('--share', String(row.bad));
  return mark;
}
