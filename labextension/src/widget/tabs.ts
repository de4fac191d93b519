/** A slim bar of tabs and their panes: arrow keys, Home and End move along the bar; a pane is made when first shown. */
import { h } from '../core/dom';

export interface Tab {
  name: string;
  text: string;
  title: string;
  pane: HTMLElement;
  /** Called when the pane comes into sight. */
  shown?: () => void;
}

let count = 0;

export class Tabs {
  readonly bar = h('div', { class: 'qwb-tabs', role: 'tablist', 'aria-label': 'Panel' });
  private readonly buttons = new Map<string, HTMLButtonElement>();
  private at: string;

  /** `changed` is called with the name of the tab that came into sight. */
  constructor(
    private readonly tabs: readonly Tab[],
    private readonly changed: (name: string) => void
  ) {
    const id = `qwb-tab-${++count}`;
    this.at = tabs[0].name;
    for (const { name, text, title, pane } of tabs) {
      pane.id = `${id}-${name}`;
      pane.setAttribute('role', 'tabpanel');
      const button = h(
        'button',
        { type: 'button', role: 'tab', class: 'qwb-tab', title, 'data-tab': name, 'aria-controls': pane.id },
        text
      );
      button.addEventListener('click', () => this.show(name));
      this.buttons.set(name, button);
      this.bar.append(button);
    }
    this.bar.addEventListener('keydown', event => this.pressed(event));
    this.draw();
  }

  /** Name of the tab in sight. */
  get current(): string {
    return this.at;
  }

  show(name: string): void {
    if (name !== this.at) {
      this.at = name;
      this.draw();
      this.changed(name);
      this.tabs.find(tab => tab.name === name)?.shown?.();
    }
  }

  /** Put a dot at tab `name`: its figures are older than the newest edit. */
  mark(name: string, stale: boolean): void {
    const button = this.buttons.get(name);
    button?.classList.toggle('qwb-tab-stale', stale);
    button?.setAttribute('aria-description', stale ? 'figures from before the newest edits' : '');
  }

  private draw(): void {
    for (const { name, pane } of this.tabs) {
      const on = name === this.at;
      pane.hidden = !on;
      const button = this.buttons.get(name)!;
      button.setAttribute('aria-selected', String(on));
      button.setAttribute('tabindex', on ? '0' : '-1');
    }
  }

  private pressed(event: KeyboardEvent): void {
    const names = this.tabs.map(tab => tab.name);
    const at = names.indexOf(this.at);
    const to = {
      ArrowRight: (at + 1) % names.length,
      ArrowLeft: (at + names.length - 1) % names.length,
      Home: 0,
      End: names.length - 1
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.show(names[to]);
      this.buttons.get(names[to])?.focus();
    }
  }
}
