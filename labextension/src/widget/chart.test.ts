import { expect, test, vi } from 'vitest';
import { press } from '../testing/fixtures';
import { Chart } from './chart';
import { makeScale } from './scale';

test('has ticks that tell its values apart', () => {
  const close = makeScale('linear', [0.99999, 0.9999995]);
  expect(new Set(close.ticks.map(close.write)).size).toBe(close.ticks.length);
  expect(makeScale('log', [1e-4, 1]).ticks).toEqual([1e-4, 1e-2, 1]);
  expect(makeScale('symlog', [-12, 300]).ticks).toContain(0);
  expect(makeScale('linear', []).ticks.length).toBeGreaterThan(1);
  const flat = makeScale('linear', [3, 3]);
  expect(flat.at(3)).toBeCloseTo(0.5);
});

test('reads its points by keys and leaves out what has no figure', () => {
  const select = vi.fn();
  const chart = new Chart(select);
  chart.update({
    label: 'test',
    names: ['a', 'b', 'c'],
    series: [{ name: 's', tone: 'a', values: [1, null, 3] }],
    says: index => `point ${index}`
  });
  const svg = chart.element.querySelector('svg')!;
  press(svg, 'Home');
  press(svg, 'ArrowRight');
  expect(chart.element.querySelector('figcaption')!.textContent).toBe('point 2');
  press(svg, 'Enter');
  expect(select).toHaveBeenCalledWith(2);
});
