/** Makes HTML and SVG elements from names, attributes and text. Text goes in as text nodes only: nothing is parsed. */

const SVG = 'http://www.w3.org/2000/svg';

type Value = string | number | boolean | null | undefined;
export type Attributes = Record<string, Value>;
export type Child = Node | string | number | null | undefined | false;

/** Set `attributes` on `element`: true sets an empty one, null, undefined and false remove it. */
export function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) {
      element.removeAttribute(name);
    } else {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  setAttributes(element, attributes);
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

/** Make an HTML element. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** The element that has the focus in the tree that holds `inside` (document or shadow root). */
export function focused(inside: Node): Element | null {
  const root = inside.getRootNode();
  return 'activeElement' in root ? (root as Document | ShadowRoot).activeElement : null;
}

/**
 * Keep the keys of everything inside `root` from JupyterLab's shortcuts ("d d" deletes a cell), until `signal` aborts.
 *
 * Lab looks for the mark from the focused element outwards and stops at the first one that a shortcut's selector matches;
 * `:focus` matches the focused element itself, so a mark on the root alone is too late.
 */
export function keepKeys(root: HTMLElement, signal: AbortSignal): void {
  const mark = 'data-lm-suppress-shortcuts';
  root.setAttribute(mark, 'true');
  root.addEventListener('focusin', event => (event.target as Element).setAttribute(mark, 'true'), { signal });
}
