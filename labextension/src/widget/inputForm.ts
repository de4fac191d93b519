/** What is declared about an image input: types at runtime and in training, mean, scale, layout. One edit, checked as it is typed. */
import { h } from '../core/dom';
import type { Edit } from './messages';
import { choice, entry } from './panels/ask';
import { button, section } from './parts';
import type { InputRow } from './state';

const SPACED = new Set(['nv12', 'yuv444']);
const FIT: Record<string, string> = {
  exact: 'refuse other sizes',
  resize: 'resize',
  crop: 'resize and crop'
};

/** The numbers in `text`, or null where it holds something else. */
export function numbers(text: string): number[] | null {
  const words = text.replaceAll(',', ' ').trim().split(/\s+/).filter(Boolean);
  const found = words.map(Number);
  return found.every(Number.isFinite) ? found : null;
}

/** Why `text` cannot be the `what` of an input trained on `train` with `channels` channels; empty where it can. */
export function refusal(what: string, text: string, train: string, channels: number): string {
  const found = numbers(text);
  if (found === null) {
    return `${what} must be numbers with spaces between, got "${text}"`;
  }
  if (found.length > 1 && found.length !== channels) {
    return `${what} needs 1 number or ${channels}, one per channel of ${train}; got ${found.length}`;
  }
  return what === 'std' && found.includes(0) ? 'std must not be 0' : '';
}

export class InputForm {
  readonly element: HTMLElement;
  private readonly train: HTMLSelectElement;
  private readonly rt: HTMLSelectElement;
  private readonly layout: HTMLSelectElement;
  private readonly space: HTMLSelectElement;
  private readonly fit: HTMLSelectElement;
  private readonly mean: HTMLInputElement;
  private readonly scale: HTMLInputElement;
  private readonly as: HTMLSelectElement;
  private readonly spaceField: HTMLElement;
  private readonly numbers: HTMLElement;
  private readonly refused = h('p', { class: 'qwb-refusal', role: 'alert', hidden: true });
  private readonly clear: HTMLButtonElement;
  private readonly state = h('p', { class: 'qwb-hint' });
  private row: InputRow | null = null;
  private asked = false;

  constructor(private readonly edit: (...edits: Edit[]) => void) {
    const pairs = (names: string[]) => names.map(name => [name, name] as const);
    const fields = {
      train: choice('trained on', []),
      rt: choice('at runtime', [], 'What the board hands over'),
      layout: choice('layout', pairs(['NCHW', 'NHWC']), 'Of the model input'),
      space: choice('YUV range', pairs(['regular', 'bt601_video'])),
      fit: choice('other sizes', []),
      mean: entry(
        'mean',
        'text',
        '123.675 116.28 103.53',
        'Subtracted first; one number, or one per channel'
      ),
      scale: entry('by', 'text', '0.0171 0.0175 0.0174', 'One number, or one per channel'),
      as: choice('then', [
        ['scale', '\u00d7 scale'],
        ['std', '\u00f7 std']
      ])
    };
    this.train = fields.train[1];
    this.rt = fields.rt[1];
    this.layout = fields.layout[1];
    [this.spaceField, this.space] = fields.space;
    this.fit = fields.fit[1];
    this.mean = fields.mean[1];
    this.scale = fields.scale[1];
    this.as = fields.as[1];
    this.clear = button({ text: 'Clear', title: 'Declare nothing', key: 'clear input' }, () => {
      this.asked = true;
      edit({ kind: 'SetPreprocess', node: this.row?.name ?? '', rt: 'auto' });
    });
    this.train.addEventListener('change', () => this.offer());
    this.rt.addEventListener('change', () => this.offer());
    for (const input of [this.mean, this.scale]) {
      input.addEventListener('input', () => this.refuse(this.wrong()));
    }
    this.as.addEventListener('change', () => this.refuse(this.wrong()));
    this.numbers = h('div', { class: 'qwb-form qwb-numbers' }, fields.mean[0], fields.as[0], fields.scale[0]);
    this.element = section(
      'Preprocessing of this input',
      h(
        'div',
        { class: 'qwb-controls' },
        this.state,
        h(
          'div',
          { class: 'qwb-form' },
          fields.train[0],
          fields.rt[0],
          fields.layout[0],
          fields.fit[0],
          this.spaceField
        ),
        this.numbers,
        this.refused,
        h(
          'div',
          { class: 'qwb-row' },
          button({ text: 'Declare', class: 'qwb-ask', key: 'declare input' }, () => this.declare()),
          this.clear
        )
      )
    );
  }

  /** Show what is declared about `row`; what is being typed stays while nothing new was declared. */
  update(row: InputRow): void {
    const same =
      this.row?.name === row.name && JSON.stringify(this.row.declared) === JSON.stringify(row.declared);
    this.row = row;
    if (same) {
      return;
    }
    const { declared, choices } = row;
    const trains = Object.keys(choices?.rt ?? {});
    this.fill(this.train, trains, declared?.train ?? guess(row, trains));
    this.fill(this.layout, choices?.layout ?? [], declared?.layout ?? 'NCHW');
    this.fill(this.space, choices?.space ?? [], declared?.space ?? 'regular');
    this.fill(this.fit, choices?.fit ?? [], declared?.fit ?? 'exact', FIT);
    this.mean.value = declared?.mean ?? '';
    this.scale.value = declared?.scale ?? '';
    this.as.value = 'scale';
    this.offer(declared?.rt);
    this.clear.disabled = declared === null;
    this.state.textContent = declared
      ? `Declared: ${declared.rt} at runtime, trained on ${declared.train}.`
      : 'Nothing is declared: the model takes its input as it is.';
    this.asked = false;
    this.refuse('');
  }

  /** Say why the kernel refused what was declared here. */
  answer(error: string): void {
    if (this.asked && error !== '') {
      this.asked = false;
      this.refuse(error);
    }
  }

  private fill(
    select: HTMLSelectElement,
    names: readonly string[],
    value: string,
    words: Record<string, string> = {}
  ) {
    select.replaceChildren(...names.map(name => h('option', { value: name }, words[name] ?? name)));
    select.value = value;
  }

  /** Offer the runtime types that the training type allows. */
  private offer(wanted = this.rt.value): void {
    const allowed = this.row?.choices?.rt[this.train.value] ?? [];
    this.fill(this.rt, allowed, allowed.includes(wanted) ? wanted : (allowed[0] ?? ''));
    this.spaceField.hidden = !SPACED.has(this.rt.value);
    this.numbers.hidden = this.train.value === 'featuremap';
    this.refuse(this.wrong());
  }

  private wrong(): string {
    const channels = this.row?.channels?.[this.train.value] ?? 3;
    return this.numbers.hidden
      ? ''
      : refusal('mean', this.mean.value, this.train.value, channels) ||
          refusal(this.as.value, this.scale.value, this.train.value, channels);
  }

  private refuse(text: string): void {
    this.refused.hidden = !text;
    this.refused.textContent = text;
    if (text) {
      this.refused.scrollIntoView?.({ block: 'nearest' });
    }
  }

  private declare(): void {
    const wrong = this.wrong();
    this.refuse(wrong);
    if (wrong || !this.row) {
      return;
    }
    this.asked = true;
    const image = !this.numbers.hidden;
    this.edit({
      kind: 'SetPreprocess',
      node: this.row.name,
      rt: this.rt.value,
      train: this.train.value,
      layout: this.layout.value,
      fit: this.fit.value,
      ...(this.spaceField.hidden ? {} : { space: this.space.value }),
      ...(image && this.mean.value.trim() ? { mean: this.mean.value.trim() } : {}),
      ...(image && this.scale.value.trim() ? { [this.as.value]: this.scale.value.trim() } : {})
    });
  }
}

/** The training type that the shape of an input speaks for. */
function guess({ shape }: InputRow, trains: readonly string[]): string {
  const likely = shape.length !== 4 ? 'featuremap' : shape[1] === '1' || shape[3] === '1' ? 'gray' : 'rgb';
  return trains.includes(likely) ? likely : (trains[0] ?? '');
}
