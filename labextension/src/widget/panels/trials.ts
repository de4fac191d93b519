/** Trials of a search for mixed precision: accuracy over cost as a curve, and every trial as a row that can be applied. */
import { formatCosine, formatNumber } from '../../core/describe';
import { h } from '../../core/dom';
import { Chart } from '../chart';
import { figure, records, type FoundTrials, type Value } from '../found';
import { button } from '../parts';

type Row = Record<string, Value>;

const write = (metric: string, value: number | null) =>
  metric === 'COSINE' ? formatCosine(value, 6) : formatNumber(value);

/** The points of the curve, by cost; trials of one cost stay in their order. */
export function curve(found: Partial<FoundTrials>): { row: Row; cost: number; value: number }[] {
  const metric = found.metric ?? '';
  return records(found)
    .map(row => ({ row, cost: figure(row.cost), value: figure(row[metric]) }))
    .filter((point): point is { row: Row; cost: number; value: number } => {
      return point.cost !== null && point.value !== null && Number.isFinite(point.value);
    })
    .sort((a, b) => a.cost - b.cost);
}

function nameOf(row: Row): string {
  return row.stage === undefined
    ? `top ${row.top_k}`
    : row.top_k === '' || row.top_k === null
      ? String(row.stage)
      : `${row.stage}, top ${row.top_k}`;
}

export class TrialsView {
  readonly element: HTMLElement;
  private readonly says = h('p', { class: 'qwb-verdict' });
  private readonly notes = h('ul', { class: 'qwb-facts' });
  private readonly chart: Chart;
  private readonly rows = h('tbody');
  private readonly head = h('tr');
  private readonly table: HTMLElement;
  private shown: Partial<FoundTrials> | null = null;
  private points: { row: Row }[] = [];

  /** `apply` is called with the trial that shall be applied; undefined for the one that was chosen. */
  constructor(
    private readonly apply: (top: number | undefined) => void,
    use: HTMLElement
  ) {
    this.chart = new Chart(index => {
      const at = this.points[index]?.row;
      this.rows
        .querySelectorAll('tr')
        .forEach(row => row.classList.toggle('qwb-current', row.dataset.row === key(at)));
      this.rows.querySelector('.qwb-current')?.scrollIntoView?.({ block: 'nearest' });
    });
    this.table = h(
      'div',
      { class: 'qwb-scroll qwb-trials' },
      h('table', {}, h('thead', {}, this.head), this.rows)
    );
    this.element = h(
      'div',
      { class: 'qwb-result', hidden: true },
      this.says,
      this.notes,
      use,
      this.chart.element,
      this.table
    );
  }

  /** Show `found`; `applies` says whether its rows can be applied one by one. */
  update(found: Partial<FoundTrials>, applies: boolean): void {
    if (found === this.shown) {
      return;
    }
    this.shown = found;
    this.element.hidden = found.columns === undefined;
    const metric = found.metric ?? '';
    const points = curve(found);
    this.points = points;
    this.says.textContent = found.partial ? `${found.rows?.length ?? 0} trials so far` : (found.text ?? '');
    this.says.dataset.reached = String(found.reached ?? '');
    this.notes.replaceChildren(...(found.notes ?? []).map(note => h('li', {}, note)));
    this.notes.hidden = (found.notes ?? []).length === 0;
    const target = found.target ?? null;
    const chosen = found.chosen;
    const at = chosen ? points.findIndex(point => point.cost === chosen[0] && point.value === chosen[1]) : -1;
    this.chart.update({
      label: `${metric} over cost`,
      names: points.map(({ row }) => nameOf(row)),
      xs: points.map(point => point.cost),
      series: [{ name: metric, tone: 'a', values: points.map(point => point.value) }],
      levels:
        target === null
          ? []
          : [{ value: target, text: `target ${Number(target.toPrecision(8))}`, tone: 'good' }],
      mark: at < 0 ? undefined : { index: at, text: 'chosen', tone: 'good' },
      hint: 'Point at a trial to read it; click to find its row.',
      xText: `cost (${found.unit || '1: all int8'})`,
      says: index =>
        `${nameOf(points[index].row)}: ${metric} ${write(metric, points[index].value)}, cost ${formatNumber(points[index].cost)}`
    });
    this.fill(found, metric, applies && !found.partial);
  }

  private fill(found: Partial<FoundTrials>, metric: string, applies: boolean): void {
    const rows = records(found);
    const raised = (found.columns ?? []).filter(name => name === 'int16' || name === 'float16');
    const staged = (found.columns ?? []).includes('stage');
    const titles = [staged ? 'stage' : 'raised', ...(staged ? ['top'] : []), ...raised, metric, 'cost'];
    this.head.replaceChildren(
      ...titles.map((title, index) =>
        h('th', { scope: 'col', class: index > 0 ? 'qwb-number' : null }, title)
      ),
      h('th', { scope: 'col' }, 'meets'),
      ...(applies ? [h('th', { scope: 'col', 'aria-label': 'apply' })] : [])
    );
    this.rows.replaceChildren(
      ...rows.map(row =>
        h(
          'tr',
          { 'data-row': key(row) },
          h('th', { scope: 'row', title: nameOf(row) }, staged ? String(row.stage) : `top ${row.top_k}`),
          staged && h('td', { class: 'qwb-number' }, row.top_k as string),
          ...raised.map(name => h('td', { class: 'qwb-number' }, String(row[name] ?? ''))),
          h('td', { class: 'qwb-number' }, write(metric, figure(row[metric]))),
          h('td', { class: 'qwb-number' }, formatNumber(figure(row.cost))),
          h('td', {}, row.meets === true ? h('span', { class: 'qwb-yes' }, '\u2713 yes') : 'no'),
          applies &&
            h(
              'td',
              {},
              row.ops !== 0 &&
                button(
                  {
                    text: 'Apply',
                    title: `Raise the worst ${row.top_k} as one step`,
                    class: 'qwb-plain',
                    key: `apply ${row.top_k}`
                  },
                  () => this.apply(Number(row.top_k))
                )
            )
        )
      )
    );
  }
}

function key(row: Row | undefined): string {
  return row === undefined ? '' : [row.stage, row.top_k, row.cost].join('\n');
}
