/** The strip of model outputs: cosine and L1 to the float model, and how the last edit moved them. */
import { formatCosine, formatDelta, formatNumber } from '../core/describe';
import { h, type Child } from '../core/dom';
import { sparkline } from './sparkline';
import type { OutputRow } from './state';

/** How a metric moved: arrow for the direction, word and colour for what that means. */
export function delta(change: number | null, moreIsBetter: boolean): HTMLElement | null {
  if (change === null || Number.isNaN(change)) {
    return null;
  }
  if (change === 0) {
    return h('span', { class: 'qwb-delta' }, 'unchanged');
  }
  const better = change > 0 === moreIsBetter;
  const text = `${change > 0 ? '\u25b2' : '\u25bc'} ${formatDelta(change)} ${better ? 'better' : 'worse'}`;
  return h('span', { class: `qwb-delta ${better ? 'qwb-better' : 'qwb-worse'}` }, text);
}

function metric(
  name: string,
  value: string,
  before: string | null,
  change: HTMLElement | null,
  trail: readonly (number | null)[]
): HTMLElement {
  return h(
    'div',
    { class: 'qwb-metric' },
    h('span', { class: 'qwb-metric-name' }, name),
    h('span', { class: 'qwb-metric-value', title: before && `before the last edit: ${before}` }, value),
    change,
    sparkline(name, trail)
  );
}

function card(row: OutputRow): HTMLElement {
  const before = (value: number | null, format: (value: number) => string) =>
    value === null ? null : format(value);
  return h(
    'li',
    { class: 'qwb-output', 'data-output': row.output },
    h('span', { class: 'qwb-output-name', title: row.output }, row.output),
    metric(
      'cosine',
      formatCosine(row.cosine),
      before(row.cosine_before, formatCosine),
      delta(row.delta_cosine, true),
      row.cosine_trail ?? []
    ),
    metric(
      'L1',
      formatNumber(row.l1),
      before(row.l1_before, formatNumber),
      delta(row.delta_l1, false),
      row.l1_trail ?? []
    )
  );
}

/** The content of the strip. */
export function outputStrip(rows: readonly OutputRow[]): Child[] {
  return rows.length > 0
    ? [h('ul', { class: 'qwb-outputs-list' }, ...rows.map(card))]
    : [
        h(
          'p',
          { class: 'qwb-hint' },
          'No run yet: press Run to compare the integer model with the float model.'
        )
      ];
}

/** The same in one sentence, for the live region. */
export function outputSentence(rows: readonly OutputRow[]): string {
  return rows
    .map(row => {
      const change = delta(row.delta_cosine, true)?.textContent;
      return `${row.output}: cosine ${formatCosine(row.cosine)}${change ? `, ${change}` : ''}, L1 ${formatNumber(row.l1)}`;
    })
    .join('; ');
}
