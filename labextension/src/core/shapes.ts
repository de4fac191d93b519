/** Path data of boxes and edges, in drawing units. Pure functions from numbers to text. */
import type { Shape } from './palette';

type Point = readonly [number, number];

const round = (value: number): number => Math.round(value * 100) / 100;

/** Outline of a box of size `w` x `h` around the origin. */
export function outline(shape: Shape, w: number, h: number): string {
  const x = w / 2;
  const y = h / 2;
  if (shape === 'cut') {
    const c = Math.min(9, y / 2);
    return `M${c - x} ${-y}H${x - c}L${x} ${c - y}V${y - c}L${x - c} ${y}H${c - x}L${-x} ${y - c}V${c - y}Z`;
  }
  const r = shape === 'pill' ? y : Math.min(8, y);
  return (
    `M${-x + r} ${-y}H${x - r}A${r} ${r} 0 0 1 ${x} ${-y + r}V${y - r}A${r} ${r} 0 0 1 ${x - r} ${y}` +
    `H${-x + r}A${r} ${r} 0 0 1 ${-x} ${y - r}V${-y + r}A${r} ${r} 0 0 1 ${-x + r} ${-y}Z`
  );
}

/**
 * A line through `points` whose slanted stretches leave and arrive vertically. A stretch stays inside its bounding box, so
 * what the layout kept free stays free.
 */
export function curve(points: readonly Point[]): string {
  return points
    .map(([x, y], i) => {
      if (i === 0) {
        return `M${round(x)} ${round(y)}`;
      }
      const [px, py] = points[i - 1];
      const mid = round((py + y) / 2);
      return px === x
        ? `L${round(x)} ${round(y)}`
        : `C${round(px)} ${mid} ${round(x)} ${mid} ${round(x)} ${round(y)}`;
    })
    .join('');
}

/** Where the tag of a boundary sits: on the last stretch, before the arrow. */
export function tagPoint(points: readonly Point[], arrow: number): Point {
  const [[ax, ay], [x, y]] = points.slice(-2);
  return ax === x ? [x, Math.max((ay + y - arrow) / 2, y - 26)] : [(ax + x) / 2, (ay + y - arrow) / 2];
}
