/**
 * Where one can go from a node: to its neighbours along the edges, and up to the modules that hold it. Known from the
 * view alone.
 */
import { h, type Child } from '../core/dom';
import type { GraphView } from '../core/types';
import { button, section } from './parts';

/** Who writes what the node reads, and who reads what it writes; a press goes there. */
export function neighbours(view: GraphView, id: string, select: (id: string) => void): Child {
  const row = (title: string, ids: string[]) =>
    ids.length > 0 &&
    h(
      'div',
      { class: 'qwb-row qwb-neighbours' },
      h('span', { class: 'qwb-hint' }, title),
      ...ids.map(other =>
        button({ text: other, title: `Go to ${other}`, class: 'qwb-chiplike', key: `go ${other}` }, () =>
          select(other)
        )
      )
    );
  const before = view.edges.filter(edge => edge.target === id).map(edge => edge.source);
  const after = view.edges.filter(edge => edge.source === id).map(edge => edge.target);
  return (
    before.length + after.length > 0 &&
    section('Neighbours', row('reads from', before), row('read by', after))
  );
}

/** The modules around a node, outermost first, each of which can be collapsed. */
export function modulesAround(
  view: GraphView,
  module: string,
  collapse: (module: string, collapsed: boolean) => void
): Child {
  const parts = module.split('.');
  const paths = parts
    .map((_, i) => parts.slice(0, i + 1).join('.'))
    .filter(path => view.modules.includes(path));
  const close = (path: string) =>
    button({ icon: 'collapse', text: path, title: `Collapse module ${path}`, key: `collapse ${path}` }, () =>
      collapse(path, true)
    );
  return paths.length > 0 && section('Collapse', h('div', { class: 'qwb-row' }, ...paths.map(close)));
}
