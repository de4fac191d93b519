import { expect, test } from 'vitest';
import { fixture } from '../testing/fixtures';
import { GLYPHS, SHAPES, TAGS, THEMES, cosineStep } from './palette';

test('the palette equals the one of Python', () => {
  expect({ schema: 1, themes: THEMES, shapes: SHAPES, glyphs: GLYPHS, tags: TAGS }).toEqual(
    fixture('palette.json')
  );
});

test.each([
  [1, 0],
  [0.9999, 0],
  [0.99989, 1],
  [0.5, 4],
  [-0.2, 4],
  [NaN, 4]
])('cosine %f is in step %i', (cosine, step) => {
  expect(cosineStep(cosine)).toBe(step);
});
