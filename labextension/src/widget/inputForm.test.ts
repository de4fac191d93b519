import { expect, test } from 'vitest';
import { click } from '../testing/fixtures';
import { openPage } from '../testing/page';
import { numbers, refusal } from './inputForm';

const page = openPage();
const { open, one, text } = page;

const input = {
  name: 'image',
  shape: ['1', '3', '8', '8'],
  declared: null,
  choices: {
    rt: { rgb: ['rgb', 'nv12'], gray: ['gray'], featuremap: ['featuremap'] },
    layout: ['NCHW', 'NHWC'],
    space: ['regular', 'bt601_video'],
    fit: ['exact', 'resize']
  },
  channels: { rgb: 3, gray: 1, featuremap: 0 }
};

const change = (key: string, value: string) => {
  const select = one<HTMLSelectElement>(`.qwb-inspector [data-key="${key}"]`);
  select.value = value;
  select.dispatchEvent(new Event('change', { bubbles: true }));
};

test('is declared in one edit, with the types that go together only', () => {
  open({ inputs: [input], selected: 'input:image' });
  change('trained on', 'gray');
  expect([...one<HTMLSelectElement>('[data-key="at runtime"]').options].map(item => item.value)).toEqual([
    'gray'
  ]);
  change('trained on', 'rgb');
  change('at runtime', 'nv12');
  const mean = one<HTMLInputElement>('[data-key=mean]');
  mean.value = '1 2';
  mean.dispatchEvent(new Event('input', { bubbles: true }));
  expect(text('.qwb-refusal')).toBe('mean needs 1 number or 3, one per channel of rgb; got 2');
  click(one('[data-key="declare input"]'));
  expect(page.model.sent).toEqual([]);
  mean.value = '123.7 116.3 103.5';
  mean.dispatchEvent(new Event('input', { bubbles: true }));
  change('then', 'std');
  one<HTMLInputElement>('[data-key=by]').value = '58.4 57.1 57.4';
  click(one('[data-key="declare input"]'));
  const edit = {
    kind: 'SetPreprocess',
    node: 'image',
    rt: 'nv12',
    train: 'rgb',
    layout: 'NCHW',
    fit: 'exact',
    space: 'regular',
    mean: '123.7 116.3 103.5',
    std: '58.4 57.1 57.4'
  };
  expect(page.model.sent).toEqual([{ type: 'edit', edits: [edit] }]);
});

test('a refusal of the kernel stands in the form, and what was typed stays', () => {
  open({ inputs: [input], selected: 'input:image' });
  one<HTMLInputElement>('[data-key=mean]').value = '5';
  click(one('[data-key="declare input"]'));
  page.model.set('error', "input 'image' is 1x3x8x8 (NHWC), but rgb has 3 channels");
  expect(text('.qwb-refusal')).toContain('but rgb has 3 channels');
  expect(one<HTMLInputElement>('[data-key=mean]').value).toBe('5');
  page.model.set('inputs', [
    {
      ...input,
      declared: {
        rt: 'nv12',
        train: 'rgb',
        layout: 'NCHW',
        space: 'regular',
        fit: 'exact',
        mean: '5',
        scale: ''
      }
    }
  ]);
  expect(one('.qwb-refusal').hidden).toBe(true);
  expect(text('.qwb-inspector')).toContain('Declared: nv12 at runtime, trained on rgb.');
  click(one('[data-key="clear input"]'));
  expect(page.model.sent.at(-1)).toEqual({
    type: 'edit',
    edits: [{ kind: 'SetPreprocess', node: 'image', rt: 'auto' }]
  });
});

test('numbers are read as the file writes them', () => {
  expect(numbers('1, 2 3')).toEqual([1, 2, 3]);
  expect(numbers('1 two')).toBeNull();
  expect(refusal('std', '0 1 1', 'rgb', 3)).toBe('std must not be 0');
  expect(refusal('mean', '', 'rgb', 3)).toBe('');
});
