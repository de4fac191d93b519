/** Tensors whose range is known: how a range is written, and the table of scales that follow from ranges. */
import { formatNumber } from '../../core/describe';
import { h } from '../../core/dom';
import { figure, records, type TableData } from '../found';
import { button } from '../parts';
import { heads, nodeLink, type Asking } from './ask';

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

/** The proposals of `found`, each with a press that fixes it, and one for all of them. */
export function proposals(found: Partial<TableData>, running: boolean, asking: Asking): Node[] {
  const rows = records(found);
  if (!found.columns) {
    return [];
  }
  if (rows.length === 0) {
    return [h('p', { class: 'qwb-hint' }, 'No tensor has a known range that is not fixed already.')];
  }
  const fix = (nodes: string[], text: string, look: string) => {
    const made = button({ text, class: look, title: 'As one step', key: `fix ${nodes.join(' ')}` }, () =>
      asking.send({ type: 'apply', what: 'range_proposals', nodes })
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
        heads(titles, ['scale now', 'proposed']),
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
                nodeLink(String(row.node), id => asking.select(id))
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
