/** What the user can change on one node: where it runs, unit convs around it, a fixed scale, its calibration, dtypes. Each change is one edit. */
import { formatNumber } from '../core/describe';
import { h } from '../core/dom';
import type { NodeDetails } from './details';
import type { Choice, Edit, Role } from './messages';
import { button, section, segmented } from './parts';

const ROLES: readonly Role[] = ['input', 'weight', 'output'];
const CHOICES: { value: Choice; text: string }[] = [
  { value: 'auto', text: 'Auto' },
  { value: 'bpu', text: 'BPU' },
  { value: 'cpu', text: 'CPU' }
];

type Details = Partial<NodeDetails>;
type Send = (...edits: Edit[]) => void;

let count = 0;

/** Auto, BPU or CPU as one bar; null where nothing is allowed. */
export function segmentedPlacement(
  allowed: readonly string[],
  asked: string | null | undefined,
  changed: (on: Choice) => void
): HTMLElement | null {
  if (allowed.length === 0) {
    return null;
  }
  const wish = asked?.toLowerCase();
  const current: Choice = wish === 'bpu' || wish === 'cpu' ? wish : 'auto';
  const options = CHOICES.map(choice => ({ ...choice, disabled: !allowed.includes(choice.value) }));
  return h(
    'div',
    { class: 'qwb-place' },
    h('span', { class: 'qwb-hint', 'aria-hidden': 'true' }, 'Run on'),
    segmented(`qwb-on-${++count}`, 'Runs on', options, current, changed)
  );
}

/** Where the node shall run: the control used most, so it stands apart. */
export function placementControl(details: Details, send: Send): HTMLElement | null {
  const node = details.name ?? '';
  return segmentedPlacement(details.allowed?.on ?? [], details.requested?.on, on =>
    send({ kind: 'SetPlacement', node, on })
  );
}

function takeOut(details: Details, send: Send): HTMLElement | null {
  const units = details.removable ?? [];
  if (units.length === 0) {
    return null;
  }
  const remove = units.map(({ node, where, slot }) =>
    button(
      {
        icon: 'minus',
        text: `Remove the unit conv ${where} ${node}${slot === null ? '' : ` (input ${slot})`}`,
        class: 'qwb-way',
        key: `remove ${where} ${node} ${slot}`
      },
      () => send({ kind: 'RemoveUnitConv', node, where, ...(slot === null ? {} : { slot }) })
    )
  );
  return section('Inserted', ...remove);
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

/** A choice of dtypes for one role, or null where there is none. */
export function dtypeControl(
  role: Role,
  allowed: readonly string[],
  asked: string | null | undefined,
  effective: string | null | undefined,
  changed: (value: string) => void
): HTMLElement | null {
  const names = allowed.filter(name => name !== 'auto');
  if (names.length === 0) {
    return null;
  }
  const wish = asked ?? 'auto';
  const select = h('select', {
    class: 'qwb-input',
    'data-key': `dtype ${role}`,
    'aria-label': `dtype of the ${role}`
  });
  for (const name of ['auto', ...names]) {
    const text = name === 'auto' && effective && wish === 'auto' ? `auto (${effective})` : name;
    select.append(h('option', { value: name, selected: name === wish }, text));
  }
  select.addEventListener('change', () => changed(select.value));
  return h('label', { class: 'qwb-field' }, h('span', {}, role), select);
}

function dtypes(node: string, details: Details, send: Send): HTMLElement | null {
  const fields = ROLES.map(role =>
    dtypeControl(
      role,
      details.allowed?.[role] ?? [],
      details.requested?.[role],
      details.dtype?.[role],
      value => send({ kind: 'SetDtype', node, [role]: value })
    )
  ).filter(field => field !== null);
  return fields.length === 0 ? null : section('dtype', h('div', { class: 'qwb-row qwb-fields' }, ...fields));
}

/** The calibration method of this node alone. */
function method(node: string, details: Details, send: Send, methods: readonly string[]): HTMLElement | null {
  if (typeof details.threshold !== 'number' || methods.length === 0) {
    return null;
  }
  const asked = details.requested?.method ?? 'auto';
  const select = h('select', {
    class: 'qwb-input',
    'data-key': 'method',
    'aria-label': 'Calibration method of this node'
  });
  for (const name of ['auto', ...methods]) {
    select.append(
      h('option', { value: name, selected: name === asked }, name === 'auto' ? 'as all others' : name)
    );
  }
  select.addEventListener('change', () => send({ kind: 'SetNodeCalibration', node, method: select.value }));
  return section('Calibration of this node', select);
}

/** The other controls of the node that `details` describes. */
export function controls(details: Details, send: Send, methods: readonly string[]): HTMLElement {
  const node = details.name ?? '';
  const parts = [
    unitConv(node, details, send),
    takeOut(details, send),
    fixedScale(node, details, send),
    method(node, details, send, methods),
    dtypes(node, details, send)
  ];
  return h('div', { class: 'qwb-controls' }, ...parts);
}
