/** The few building blocks that all parts of the widget share. */
import { h, type Attributes, type Child } from '../core/dom';
import { icon, type IconName } from './icons';

/** A push button with an icon, a text, or both; `title` is its name where there is no text. */
export function button(
  look: { icon?: IconName; text?: string; title?: string; class?: string; key?: string },
  pressed: () => void
): HTMLButtonElement {
  const element = h(
    'button',
    {
      type: 'button',
      class: `qwb-button ${look.class ?? ''}`,
      title: look.title,
      'aria-label': look.text ? null : look.title,
      'data-key': look.key
    },
    look.icon && icon(look.icon),
    look.text && h('span', {}, look.text)
  );
  element.addEventListener('click', pressed);
  return element;
}

/** A group of native radio buttons that looks like one bar. The browser brings the arrow keys. */
export function segmented<T extends string>(
  name: string,
  label: string,
  options: { value: T; text: string; title?: string; disabled?: boolean }[],
  current: T,
  chosen: (value: T) => void
): HTMLElement {
  const group = h('div', { class: 'qwb-segments', role: 'radiogroup', 'aria-label': label });
  for (const option of options) {
    const input = h('input', {
      type: 'radio',
      name,
      value: option.value,
      checked: option.value === current,
      disabled: option.disabled,
      'data-key': `${label} ${option.value}`
    });
    input.addEventListener('change', () => chosen(option.value));
    group.append(
      h('label', { title: option.title, 'data-value': option.value }, input, h('span', {}, option.text))
    );
  }
  return group;
}

/** A titled part of the panel. */
export function section(title: string, ...children: Child[]): HTMLElement {
  return h('section', { class: 'qwb-section' }, h('h4', {}, title), ...children);
}

/** Pairs of name and value. */
export function pairs(rows: [string, Child][], attributes: Attributes = {}): HTMLElement {
  return h(
    'dl',
    { class: 'qwb-pairs', ...attributes },
    ...rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])
  );
}
