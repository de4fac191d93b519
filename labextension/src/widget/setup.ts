/** The bar of choices that hold for the whole model: march, calibration, sensitivity, and a step to compare with. */
import { h, setAttributes } from '../core/dom';
import type { Message } from './messages';
import { button } from './parts';
import type { HistoryRow, Settings, Status } from './state';

const NAMES: Record<string, string> = {
  max: 'max',
  'max-percentile': 'percentile of the maximum',
  kl: 'KL divergence',
  mse: 'mean squared error',
  'moving-average': 'moving average',
  default: 'search: best of the methods',
  mix: 'search: method per node'
};

function select(label: string, title: string): [HTMLLabelElement, HTMLSelectElement] {
  const element = h('select', { class: 'qwb-input', 'aria-label': label, 'data-key': label });
  return [
    h('label', { class: 'qwb-choice', title }, h('span', { 'aria-hidden': 'true' }, label), element),
    element
  ];
}

/** Put `options` into `element` unless they are there, and choose `value`. */
function fill(element: HTMLSelectElement, options: readonly [string, string][], value: string): void {
  const key = JSON.stringify(options);
  if (element.dataset.options !== key) {
    element.dataset.options = key;
    element.replaceChildren(...options.map(([name, text]) => h('option', { value: name }, text)));
  }
  element.value = value;
}

export class Setup {
  readonly element: HTMLElement;
  private readonly march: HTMLSelectElement;
  private readonly method: HTMLSelectElement;
  private readonly compare: HTMLSelectElement;
  private readonly percentile = h('input', {
    class: 'qwb-input qwb-percentile',
    type: 'number',
    min: '0.5',
    max: '1',
    step: 'any',
    'aria-label': 'Percentile',
    title: 'Share of the values that lie below the threshold'
  });
  private readonly perChannel = h('input', { type: 'checkbox', 'data-key': 'per channel' });
  private readonly sensitivity: HTMLButtonElement;
  private settings: Partial<Settings> = {};

  /** `measure` starts the measurement of sensitivities. */
  constructor(
    private readonly send: (message: Message) => void,
    measure: () => void
  ) {
    const [march, marchSelect] = select('March', 'BPU architecture to place and emulate for');
    const [method, methodSelect] = select('Calibration', 'How thresholds are read off the calibration data');
    const [compare, compareSelect] = select('Compare with', 'Show a former state beside the one in force');
    this.march = marchSelect;
    this.method = methodSelect;
    this.compare = compareSelect;
    marchSelect.addEventListener('change', () =>
      send({ type: 'edit', edits: [{ kind: 'SetMarch', march: marchSelect.value }] })
    );
    methodSelect.addEventListener('change', () => this.calibrate());
    this.percentile.addEventListener('change', () => this.calibrate());
    this.perChannel.addEventListener('change', () => this.calibrate());
    compareSelect.addEventListener('change', () =>
      send({ type: 'compare', index: compareSelect.value === '' ? null : Number(compareSelect.value) })
    );
    this.sensitivity = button({ text: 'Sensitivity', key: 'sensitivity' }, measure);
    this.element = h(
      'div',
      { class: 'qwb-setup', role: 'group', 'aria-label': 'Whole model' },
      march,
      method,
      this.percentile,
      h(
        'label',
        { class: 'qwb-choice', title: 'One threshold per channel where both sides allow it' },
        this.perChannel,
        'per channel'
      ),
      this.sensitivity,
      compare
    );
  }

  update(
    settings: Partial<Settings>,
    history: readonly HistoryRow[],
    against: number | null,
    status: Partial<Status>,
    stale = false
  ): void {
    this.settings = settings;
    const { methods = [], searches = [], samples = 0, method = '' } = settings;
    const calibrated = samples > 0;
    fill(
      this.march,
      (settings.marches ?? []).map(name => [name, name]),
      settings.march ?? ''
    );
    fill(
      this.method,
      [...methods, ...searches].map(name => [name, NAMES[name] ?? name]),
      method
    );
    this.method.disabled = !calibrated;
    setAttributes(this.method, {
      title: calibrated ? `read off ${samples} samples` : 'nothing is calibrated yet: %qwb calibrate DATA'
    });
    this.percentile.hidden = method !== 'max-percentile';
    this.percentile.value = String(settings.percentile ?? '');
    // what was just pressed stays as pressed until the kernel has answered
    if (status.state !== 'running') {
      this.perChannel.checked = settings.per_channel ?? false;
    }
    this.perChannel.disabled = !calibrated;
    this.sensitivity.disabled = !calibrated || status.state === 'running';
    this.sensitivity.classList.toggle('qwb-stale', stale);
    setAttributes(this.sensitivity, {
      title: stale
        ? 'Measure again: edits came after the sensitivities were measured'
        : 'Measure how far the outputs move when only one node is quantized'
    });
    const steps = history.map((row): [string, string] => [
      String(row.index),
      row.index === 0 ? row.text : `${row.index}. ${row.text}`
    ]);
    fill(this.compare, [['', 'nothing'], ...steps], against === null ? '' : String(against));
    this.element.hidden = settings.marches === undefined;
  }

  private calibrate(): void {
    const value = Number(this.percentile.value);
    const method = this.method.value;
    this.percentile.setCustomValidity(
      value > 0 && value <= 1 ? '' : 'A percentile is a share above 0, at most 1.'
    );
    if (method !== 'max-percentile' || this.percentile.reportValidity()) {
      this.send({
        type: 'calibrate',
        method,
        per_channel: this.perChannel.checked,
        ...(method === 'max-percentile' ? { percentile: value || this.settings.percentile || 0.99995 } : {})
      });
    }
  }
}
