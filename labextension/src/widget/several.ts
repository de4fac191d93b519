/** The panel of several nodes at once: what they have in common; each control changes all of them in one step. */
import { h, type Child } from '../core/dom';
import { dtypeControl, segmentedPlacement } from './controls';
import type { CommonDetails } from './details';
import type { Edit, Role } from './messages';
import { button, section } from './parts';

const ROLES: readonly Role[] = ['input', 'weight', 'output'];

const counted = (counts: Record<string, number>) =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name === 'NONE' ? 'removed' : name}`)
    .join(', ');

/** The content for `common`; `edit` makes one step of its edits. */
export function severalNodes(common: CommonDetails, edit: (...edits: Edit[]) => void): Child[] {
  const { names, allowed, requested, fixed } = common;
  const all = (make: (node: string) => Edit) => edit(...names.map(make));
  const place = segmentedPlacement(allowed.on, requested.on, on =>
    all(node => ({ kind: 'SetPlacement', node, on }))
  );
  const dtypes = ROLES.map(role =>
    dtypeControl(role, allowed[role], requested[role], common.dtype[role], value =>
      all(node => ({ kind: 'SetDtype', node, [role]: value }))
    )
  ).filter(field => field !== null);
  const unit = (where: 'before' | 'after') =>
    button(
      { icon: where, text: where === 'before' ? 'Before each' : 'After each', key: `unit ${where}` },
      () => all(node => ({ kind: 'InsertUnitConv', node, where }))
    );
  return [
    h(
      'header',
      { class: 'qwb-node-head' },
      h('h3', {}, `${names.length} nodes`),
      h('p', { class: 'qwb-meta' }, `${counted(common.on)}; ${counted(common.ops)}`)
    ),
    h('p', { class: 'qwb-hint' }, 'A change here is made on all of them and undone as one step.'),
    place,
    h(
      'div',
      { class: 'qwb-controls' },
      dtypes.length > 0 && section('dtype', h('div', { class: 'qwb-row qwb-fields' }, ...dtypes)),
      allowed.unitconv &&
        section('Insert a unit conv', h('div', { class: 'qwb-row' }, unit('before'), unit('after'))),
      fixed.length > 0 &&
        button(
          { text: `Clear ${fixed.length} fixed scale${fixed.length > 1 ? 's' : ''}`, key: 'clear scale' },
          () => edit(...fixed.map((node): Edit => ({ kind: 'ClearScale', node })))
        )
    ),
    h('ul', { class: 'qwb-names' }, ...names.map(name => h('li', {}, name)))
  ];
}
