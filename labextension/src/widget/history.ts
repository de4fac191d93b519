/**
 * The journal: a button per step that goes there. What was undone stays in sight, dimmed, until it is overwritten. The
 * steps in force can be copied as Python.
 */
import { h } from '../core/dom';
import type { Message } from './messages';
import { button } from './parts';
import type { HistoryRow } from './state';

/** Make the list. Rows after the current one were undone; `code` is what makes the state in force. */
export function historyList(
  rows: readonly HistoryRow[],
  code: string,
  send: (message: Message) => void,
  say: (text: string) => void
): HTMLElement {
  const at = rows.findIndex(row => row.current);
  const items = rows.map((row, position) => {
    const go = h(
      'button',
      {
        type: 'button',
        class: 'qwb-plain qwb-step',
        'data-key': `step ${row.index}`,
        title: `Go to: ${row.text}`
      },
      row.text
    );
    go.addEventListener('click', () => send({ type: 'jump', index: row.index }));
    return h(
      'li',
      { class: at >= 0 && position > at ? 'qwb-undone' : null, 'aria-current': row.current ? 'step' : null },
      go
    );
  });
  const reset = button({ text: 'Reset', title: 'Drop all edits', class: 'qwb-plain', key: 'reset' }, () =>
    send({ type: 'reset' })
  );
  const copy = button(
    {
      text: 'Copy as code',
      title: 'Copy the Python calls that make this state',
      class: 'qwb-plain',
      key: 'copy'
    },
    () => copyText(code, say)
  );
  const none = rows.length < 2 && !rows.some(row => row.index > 0);
  reset.hidden = copy.hidden = none;
  return h(
    'section',
    { class: 'qwb-history', 'aria-label': 'Edits' },
    h('header', {}, h('h4', {}, 'Edits'), copy, reset),
    rows.length > 0 ? h('ol', {}, ...items) : h('p', { class: 'qwb-hint' }, 'None yet.')
  );
}

/** Copy `text`; where the page may not, say so and let `%qwb code` do it. */
function copyText(text: string, say: (text: string) => void): void {
  const refused = () => say('The page may not copy; %qwb code prints the same lines.');
  const { clipboard } = navigator as Partial<Navigator>;
  if (clipboard === undefined) {
    refused();
  } else {
    clipboard.writeText(text).then(() => say('Copied as Python.'), refused);
  }
}
