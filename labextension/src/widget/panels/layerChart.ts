/** What is drawn of a comparison layer by layer: which columns make which curves, and what the cursor says of a layer. */
import { formatCosine, formatNumber } from '../../core/describe';
import type { ChartData } from '../chartData';
import { figure, records, type FoundLayers, type Value } from '../found';

export type Row = Record<string, Value>;

/** The figures to choose from, as the kernel calls them and as they are shown. */
export const FIGURES: readonly (readonly [string, string])[] = [
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

/** What the colours of a chart stand for. */
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

/** The layers that have figures; a fused one has none of its own. */
export function measured(rows: readonly Row[]): Row[] {
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

/** The keys of the figure called `kind`, as tone and text; a chart of one series has no key of a second. */
export function chartKeys(kind: string, data: ChartData): [string, string][] {
  return (KEYS[kind] ?? KEYS.metric).filter(
    ([tone]) => tone !== 'b' || kind === 'ranges' || data.series.length > 1
  );
}
