import { expect, test } from 'vitest';
import { figure, records } from './found';

test('records are rows by column', () => {
  expect(records({ columns: ['a', 'b'], rows: [[1, 'x']] })).toEqual([{ a: 1, b: 'x' }]);
  expect(records(null)).toEqual([]);
});

test('a figure is a number, or the word of an infinite one', () => {
  expect([0, 'Infinity', '-Infinity'].map(figure)).toEqual([0, Infinity, -Infinity]);
  expect(['int8', '', null, true, undefined].map(figure)).toEqual([null, null, null, null, null]);
});
