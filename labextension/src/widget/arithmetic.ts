/** What no public document states of the integer arithmetic, as choices: each is an edit like any other. */
import { h, type Child } from '../core/dom';
import type { Edit } from './messages';
import type { Settings } from './state';

const NAMES: Record<string, string> = {
  rounding: 'rounding',
  multiplier_int8: 'multiplier, int8 outputs',
  multiplier_int16: 'multiplier, int16 outputs',
  scale_denominator: 'scale = threshold /'
};

/** A closed list of choices, or nothing when the kernel names none. */
export function arithmeticControls(settings: Partial<Settings>, edit: (...edits: Edit[]) => void): Child {
  const { arithmetic = {}, arithmetics = {} } = settings;
  const fields = Object.entries(arithmetics).map(([name, choices]) => {
    const select = h('select', { class: 'qwb-input', 'data-key': name, 'aria-label': NAMES[name] ?? name });
    select.append(
      ...choices.map(choice =>
        h('option', { value: choice, selected: choice === arithmetic[name] }, String(choice))
      )
    );
    select.addEventListener('change', () => {
      const chosen = choices.find(choice => String(choice) === select.value);
      if (chosen !== undefined) {
        edit({ kind: 'SetArithmetic', [name]: chosen });
      }
    });
    return h('label', { class: 'qwb-field' }, h('span', {}, NAMES[name] ?? name), select);
  });
  return (
    fields.length > 0 &&
    h('details', { class: 'qwb-arithmetic' }, h('summary', {}, 'Assumptions of the arithmetic'), ...fields)
  );
}
