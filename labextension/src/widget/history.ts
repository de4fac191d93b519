/** The list of edits, the newest at the bottom; edits that were undone stay in sight, dimmed, until they are overwritten. */
import { h } from '../core/dom';
import { button } from './parts';
import type { HistoryRow, Message } from './state';

/** Make the list. Rows after the current one were undone. */
export function historyList(rows: readonly HistoryRow[], send: (message: Message) => void): HTMLElement {
  const at = rows.findIndex(row => row.current);
  const items = rows.map((row, position) =>
    h(
      'li',
      {
        class: at >= 0 && position > at ? 'qwb-undone' : null,
        'aria-current': row.current ? 'step' : null,
        title: row.text
      },
      row.text
    )
  );
  const reset = button({ text: 'Reset', title: 'Drop all edits', class: 'qwb-plain', key: 'reset' }, () =>
    send({ type: 'reset' })
  );
  reset.hidden = rows.length < 2 && !rows.some(row => row.index > 0);
  return h(
    'section',
    { class: 'qwb-history', 'aria-label': 'Edits' },
    h('header', {}, h('h4', {}, 'Edits'), reset),
    rows.length > 0 ? h('ol', {}, ...items) : h('p', { class: 'qwb-hint' }, 'None yet.')
  );
}
