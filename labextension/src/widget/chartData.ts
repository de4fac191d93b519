/** What a chart is made from: numbers, names, and how they are to be read. Says nothing of pixels. */
import type { ScaleKind } from './scale';

export interface Series {
  name: string;
  /** `a`, `b` or `c`: colour and dash. */
  tone: 'a' | 'b' | 'c';
  values: readonly (number | null)[];
  /** Short strokes instead of a line. */
  ticks?: boolean;
}

export interface Boxes {
  min: readonly number[];
  low: readonly number[];
  median: readonly number[];
  high: readonly number[];
  max: readonly number[];
}

export interface ChartData {
  label: string;
  /** What each point is called. */
  names: readonly string[];
  /** Where each point is; its place, where left out. */
  xs?: readonly number[];
  series: readonly Series[];
  /** Filled between the first and the second. */
  band?: readonly [readonly (number | null)[], readonly (number | null)[]];
  boxes?: Boxes;
  levels?: readonly { value: number; text: string; tone: 'good' | 'bad' }[];
  /** A point that stands out. */
  mark?: { index: number; text: string; tone: 'good' | 'bad' };
  y?: ScaleKind;
  xText?: string;
  /** What stands below while nothing is pointed at. */
  hint?: string;
  /** What the cursor says of point `index`. */
  says: (index: number) => string;
}
