/**
 * What a search for the best calibration tried: a row per candidate, the winner, the one in force; and the choice of
 * each node.
 */
import { formatCosine, formatNumber } from '../../core/describe';
import { h, type Child } from '../../core/dom';
import { figure, records, type FoundSearch, type Standing } from '../found';
import { button } from '../parts';
import { heads, nodeLink, type Asking } from './ask';

type Row = ReturnType<typeof records>[number];

/** The part of a candidate's name that tells it from the others; what the tools always print is left to the title. */
export function shortName(name: string): string {
  return name.replace(/:num_bin=1024,max_num_bin=16384/, '');
}

/** The table of the candidates of `found`, with what it says of them; the press of a row asks for it. */
export function candidates(
  found: Partial<FoundSearch>,
  standing: Standing,
  running: boolean,
  asking: Asking
): Node[] {
  if (!found.columns) {
    return [];
  }
  const rows = records(found);
  const row = (each: Row) => {
    const name = String(each.candidate);
    const winner = String(each.chosen).includes('winner');
    const inForce = !found.partial && standing.candidate === name && each.judged_by === 'emulator';
    const use = button(
      { text: 'Apply', title: `Calibrate by ${name}`, class: 'qwb-plain', key: `use ${name}` },
      () => asking.send({ type: 'apply', what: 'candidate', name })
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
        heads(titles, ['cosine', 'L1']),
        h('tbody', {}, ...rows.map(row))
      )
    ),
    h(
      'p',
      { class: 'qwb-verdict', role: 'status' },
      found.partial ? `${rows.length} tried so far` : (found.why ?? '')
    ),
    ...(nodes.length > 0 ? [choices(nodes, found.nodes?.columns ?? [], asking)] : [])
  ];
}

/** What each sensitive node chose, after a mix search. */
function choices(rows: Row[], columns: readonly string[], asking: Asking): HTMLElement {
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
                nodeLink(String(row.node), id => asking.select(id))
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
