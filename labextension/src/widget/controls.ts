/** What the user can change on one node: where it runs, unit convs around it, a fixed scale, dtypes. Each change is one edit. */
import { formatNumber } from '../core/describe';
import { h } from '../core/dom';
import { button, section, segmented } from './parts';
import type { Choice, Edit, NodeDetails, Role } from './state';

const ROLES: readonly Role[] = ['input', 'weight', 'output'];
const CHOICES: { value: Choice; text: string }[] = [
  { value: 'auto', text: 'Auto' },
  { value: 'bpu', text: 'BPU' },
  { value: 'cpu', text: 'CPU' }
];

type Details = Partial<NodeDetails>;
type Send = (...edits: Edit[]) => void;

let count = 0;

/** Where the node shall run: the control used most, so it stands apart. */
export function placementControl(details: Details, send: Send): HTMLElement | null {
  const node = details.name ?? '';
  const allowed = details.allowed?.on ?? [];
  if (allowed.length === 0) {
    return null;
  }
  const asked = details.requested?.on?.toLowerCase();
  const current: Choice = asked === 'bpu' || asked === 'cpu' ? asked : 'auto';
  const options = CHOICES.map(choice => ({ ...choice, disabled: !allowed.includes(choice.value) }));
  const bar = segmented(`qwb-on-${++count}`, 'Runs on', options, current, on =>
    send({ kind: 'SetPlacement', node, on })
  );
  return h(
    'div',
    { class: 'qwb-place' },
    h('span', { class: 'qwb-hint', 'aria-hidden': 'true' }, 'Run on'),
    bar
  );
}

function unitConv(node: string, details: Details, send: Send): HTMLElement | null {
  if (!details.allowed?.unitconv) {
    return null;
  }
  const insert = (where: 'before' | 'after') =>
    button(
      {
        icon: where,
        text: where === 'before' ? 'Before' : 'After',
        title: `Insert a depthwise 1x1 identity convolution ${where} this node: an active neighbour that gives it a threshold`,
        key: `unit ${where}`
      },
      () => send({ kind: 'InsertUnitConv', node, where })
    );
  return section('Insert a unit conv', h('div', { class: 'qwb-row' }, insert('before'), insert('after')));
}

function fixedScale(node: string, details: Details, send: Send): HTMLElement | null {
  if (details.scale === undefined) {
    return null;
  }
  const scale = details.requested?.scale ?? details.scale;
  const input = h('input', {
    class: 'qwb-input',
    type: 'number',
    step: 'any',
    min: '0',
    value: scale === null ? '' : String(scale),
    placeholder: 'scale > 0',
    'aria-label': 'Fixed scale of the output',
    'data-key': 'scale'
  });
  const set = () => {
    const value = Number(input.value);
    const valid = input.value.trim() !== '' && Number.isFinite(value) && value > 0;
    input.setCustomValidity(valid ? '' : 'A scale is a number greater than 0, for example 0.0078125.');
    if (input.reportValidity()) {
      send({ kind: 'FixScale', node, scale: value });
    }
  };
  input.addEventListener('input', () => input.setCustomValidity(''));
  input.addEventListener('keydown', event => {
    if (event.key === 'Enter') {
      event.preventDefault();
      set();
    }
  });
  const clear = button(
    { text: 'Clear', title: 'Take the scale from calibration again', key: 'clear scale' },
    () => send({ kind: 'ClearScale', node })
  );
  clear.disabled = !details.fixed_scale;
  const threshold =
    typeof details.threshold === 'number' ? `threshold ${formatNumber(details.threshold)}` : 'no threshold';
  return section(
    details.fixed_scale ? 'Scale (fixed)' : 'Scale (calibrated)',
    h(
      'div',
      { class: 'qwb-row' },
      input,
      button({ text: 'Fix', title: 'Fix this scale', key: 'fix scale' }, set),
      clear
    ),
    h('p', { class: 'qwb-hint' }, threshold)
  );
}

function dtype(role: Role, node: string, details: Details, send: Send): HTMLElement | null {
  const allowed = (details.allowed?.[role] ?? []).filter(name => name !== 'auto');
  if (allowed.length === 0) {
    return null;
  }
  const asked = details.requested?.[role] ?? 'auto';
  const effective = details.dtype?.[role];
  const select = h('select', {
    class: 'qwb-input',
    'data-key': `dtype ${role}`,
    'aria-label': `dtype of the ${role}`
  });
  for (const name of ['auto', ...allowed]) {
    const text = name === 'auto' && effective && asked === 'auto' ? `auto (${effective})` : name;
    select.append(h('option', { value: name, selected: name === asked }, text));
  }
  select.addEventListener('change', () => send({ kind: 'SetDtype', node, [role]: select.value }));
  return h('label', { class: 'qwb-field' }, h('span', {}, role), select);
}

function dtypes(node: string, details: Details, send: Send): HTMLElement | null {
  const fields = ROLES.map(role => dtype(role, node, details, send)).filter(field => field !== null);
  return fields.length === 0 ? null : section('dtype', h('div', { class: 'qwb-row qwb-fields' }, ...fields));
}

/** The other controls of the node that `details` describes. */
export function controls(details: Details, send: Send): HTMLElement {
  const node = details.name ?? '';
  const parts = [unitConv, fixedScale, dtypes].map(part => part(node, details, send));
  return h('div', { class: 'qwb-controls' }, ...parts);
}
