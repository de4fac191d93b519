/** The last line: what the workbench is doing or did, a progress bar while it runs, and the error if there is one. */
import { h } from '../core/dom';
import { icon } from './icons';
import type { Flags, Status } from './state';

const WORDS: Record<Status['state'], string> = {
  idle: 'Ready',
  running: 'Running',
  done: 'Done',
  cancelled: 'Cancelled',
  error: 'Failed'
};

export class StatusLine {
  readonly element: HTMLElement;
  readonly bar = h('progress', {
    class: 'qwb-progress',
    'aria-label': 'Progress of the run',
    max: 1,
    hidden: true
  });
  private readonly text = h('span', { class: 'qwb-status-text' });
  private readonly error = h('p', { class: 'qwb-error', role: 'alert', hidden: true });

  constructor() {
    this.element = h('footer', { class: 'qwb-status' }, this.error, this.text);
  }

  update(status: Partial<Status>, flags: Partial<Flags>, error: string): void {
    const state = status.state ?? 'idle';
    const running = state === 'running';
    const total = status.total ?? 0;
    this.element.dataset.state = state;
    this.bar.hidden = !running;
    if (running && total > 0) {
      this.bar.max = total;
      this.bar.value = status.done ?? 0;
    } else {
      this.bar.removeAttribute('value'); // indeterminate
    }
    const counted = running && total > 0 ? ` ${status.done ?? 0} of ${total}` : '';
    const said = status.text ? `: ${status.text}` : '';
    const stale = flags.stale && !running ? ' \u2013 edits not run yet' : '';
    this.text.textContent = `${WORDS[state]}${counted}${said}${stale}`;
    this.error.hidden = error === '';
    this.error.replaceChildren(...(error === '' ? [] : [icon('alert'), h('span', {}, error)]));
  }
}
