/** A box per channel of what a node puts out: a channel far from the others decides the scale of all of them. */
import { formatNumber } from '../core/describe';
import { Chart } from './chart';
import { figure, records, type FoundChannels } from './found';
import { button, section } from './parts';

/** The plot of node `name`, or the button that measures it. */
export function channelsPlot(
  name: string,
  found: Partial<FoundChannels>,
  standing: string | undefined,
  measure: (name: string) => void
): HTMLElement {
  const known = found.node === name && found.rows !== undefined && standing !== 'stale';
  if (!known) {
    return section(
      'Values by channel',
      button(
        {
          text: 'Measure the channels',
          title: 'On the example: minimum, quartiles and maximum of each',
          class: 'qwb-way',
          key: 'channels'
        },
        () => measure(name)
      )
    );
  }
  const rows = records(found);
  const column = (key: string) => rows.map(row => figure(row[key]) ?? 0);
  const [min, low, median, high, max] = ['min', 'low', 'median', 'high', 'max'].map(column);
  const limit = found.limit ?? 0;
  const chart = new Chart(() => undefined);
  chart.update({
    label: `Channels of ${name}`,
    names: rows.map(row => String(row.channel)),
    series: [],
    boxes: { min, low, median, high, max },
    levels: [
      { value: limit, text: `codes reach ${formatNumber(limit)}`, tone: 'bad' },
      ...(Math.min(...min) < 0 ? [{ value: -limit, text: '', tone: 'bad' as const }] : [])
    ],
    xText: 'channel',
    hint: 'Point at a channel to read it.',
    says: index =>
      `channel ${String(rows[index].channel)}: ${formatNumber(min[index])} to ${formatNumber(max[index])}, ` +
      `half of it from ${formatNumber(low[index])} to ${formatNumber(high[index])}`
  });
  return section('Values by channel', chart.element);
}
