/** The widget on a page without a kernel, as every test of its parts needs it: opened, pressed, read, and taken away again. */
import { afterEach, beforeEach } from 'vitest';
import widget from '../widget/index';
import type { Traits } from '../widget/state';
import { click, fakeModel, type FakeModel } from './fixtures';

/** Traits of a workbench that can measure and search. */
export const CALIBRATED: Partial<Traits> = { settings: { samples: 8, searches: ['default', 'mix'] } };

/** Register the hooks that make and clear the page, and return what is found on it; every model has `base`. */
export function openPage(base: Partial<Traits> = {}) {
  const page = {
    model: undefined as unknown as FakeModel,
    el: undefined as unknown as HTMLElement,
    cleanup: (): void => undefined,

    /** Show the widget of a model with `state`. */
    open: (state: Partial<Traits> = {}): void => {
      page.model = fakeModel({ ...base, ...state });
      page.cleanup = widget.render({ model: page.model, el: page.el });
    },
    one: <T extends Element = HTMLElement>(selector: string) => page.el.querySelector<T>(selector)!,
    all: (selector: string) => [...page.el.querySelectorAll<HTMLElement>(selector)],
    text: (selector: string) => page.one(selector)?.textContent ?? '',
    labelled: <T extends HTMLElement>(name: string) => page.one<T>(`[aria-label="${name}"]`),
    /** A node of the graph in force. */
    node: (id: string) => page.one(`.qwb-graph-pane [data-node="${id}"]`),
    /** The button called `name`. */
    button: (name: string) =>
      [...page.el.querySelectorAll('button')].find(
        item => (item.getAttribute('aria-label') ?? item.textContent) === name
      )!,
    /** Check the box or radio button at `selector`. */
    choose: (selector: string): void => {
      const input = page.one<HTMLInputElement>(selector);
      input.checked = true;
      input.dispatchEvent(new Event('change', { bubbles: true }));
    },
    change: (element: HTMLSelectElement | HTMLInputElement, value: string): void => {
      element.value = value;
      element.dispatchEvent(new Event('change', { bubbles: true }));
    },

    /** Bring the tab `name` into sight. */
    tab: (name: string) => click(page.one(`[data-tab=${name}]`)),
    /** What the tab in sight holds. */
    pane: () => page.all('[role=tabpanel]').find(item => !item.hidden)!,
    inPane: <T extends Element = HTMLElement>(selector: string) => page.pane().querySelector<T>(selector)!,
    /** The button of the tab in sight that says `name`. */
    named: (name: string) =>
      [...page.pane().querySelectorAll('button')].find(item => item.textContent === name)!,
    type: (selector: string, value: string): void => {
      const input = page.inPane<HTMLInputElement>(selector);
      input.value = value;
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }
  };

  beforeEach(() => {
    page.el = document.createElement('div');
    document.body.append(page.el);
  });
  afterEach(() => {
    page.cleanup();
    document.body.replaceChildren();
    delete document.body.dataset.qwbSettings;
  });
  return page;
}
