/**
 * Colours, shapes and letters of every drawing, in a light and a dark theme.
 *
 * The table of `qworkbench/view/palette.py` in TypeScript; `tests/fixtures/palette.json` keeps the two equal. The hues are
 * Okabe and Ito's, and no meaning rests on colour alone.
 */
import type { Boundary, Place, QuantClass } from './types';

export type ThemeName = 'light' | 'dark';

export interface Swatch {
  fill: string;
  stroke: string;
  text: string;
}

/** Colours of a node whose cosine is at least `at_least`. */
export interface CosineStep {
  at_least: number;
  fill: string;
  text: string;
}

export interface Theme {
  background: string;
  surface: string;
  text: string;
  muted: string;
  edge: string;
  frame: string;
  selected: string;
  edited: string;
  better: string;
  worse: string;
  placement: Record<Place, Swatch>;
  terminal: Swatch;
  module: Swatch;
  boundary: Record<Boundary, string>;
  /** Eight colours for categories: quantization classes, dtypes, subgraphs. */
  hues: Swatch[];
  /** From best to worst; the last one starts at -1. */
  cosine: CosineStep[];
}

const light: Theme = {
  background: '#ffffff',
  surface: '#f5f7f9',
  text: '#1b2430',
  muted: '#586472',
  edge: '#75818e',
  frame: '#d8dee5',
  selected: '#7a3ff2',
  edited: '#b3125f',
  better: '#00734f',
  worse: '#b03a00',
  placement: {
    BPU: { fill: '#dceef8', stroke: '#0072b2', text: '#0b2b40' },
    CPU: { fill: '#fcead3', stroke: '#d55e00', text: '#4a2200' },
    NONE: { fill: '#eef0f2', stroke: '#8a939d', text: '#4a535d' }
  },
  terminal: { fill: '#2b3642', stroke: '#2b3642', text: '#ffffff' },
  module: { fill: '#f1f4f7', stroke: '#586472', text: '#1b2430' },
  boundary: { quantize: '#00734f', dequantize: '#a3376f', requantize: '#5b4bb7' },
  hues: [
    { fill: '#dceef8', stroke: '#0072b2', text: '#0b2b40' },
    { fill: '#fbe3d2', stroke: '#d55e00', text: '#4a2200' },
    { fill: '#d5efe6', stroke: '#00805d', text: '#03291e' },
    { fill: '#f6e3ee', stroke: '#a3376f', text: '#3d0f28' },
    { fill: '#fbedcb', stroke: '#a87400', text: '#3a2800' },
    { fill: '#e4e0f7', stroke: '#5b4bb7', text: '#1d1650' },
    { fill: '#f3f0c4', stroke: '#7a7000', text: '#2b2700' },
    { fill: '#e6e8ea', stroke: '#59636e', text: '#1b2430' }
  ],
  cosine: [
    { at_least: 0.9999, fill: '#f4f1f9', text: '#2a1747' },
    { at_least: 0.999, fill: '#dccff0', text: '#2a1747' },
    { at_least: 0.99, fill: '#b79fdf', text: '#2a1747' },
    { at_least: 0.95, fill: '#7448b8', text: '#ffffff' },
    { at_least: -1, fill: '#42127a', text: '#ffffff' }
  ]
};

const dark: Theme = {
  background: '#12171d',
  surface: '#1b222a',
  text: '#e6ebf0',
  muted: '#9eabb8',
  edge: '#7b8896',
  frame: '#333d48',
  selected: '#c4a1ff',
  edited: '#ff8fc2',
  better: '#4cd3a5',
  worse: '#ffa366',
  placement: {
    BPU: { fill: '#0f3650', stroke: '#56b4e9', text: '#e3f3fc' },
    CPU: { fill: '#4a2a0a', stroke: '#e69f00', text: '#fdebd3' },
    NONE: { fill: '#262d35', stroke: '#77828e', text: '#b9c2cb' }
  },
  terminal: { fill: '#d5dce3', stroke: '#d5dce3', text: '#12171d' },
  module: { fill: '#222a33', stroke: '#9eabb8', text: '#e6ebf0' },
  boundary: { quantize: '#4cd3a5', dequantize: '#f08fc0', requantize: '#b3a7ff' },
  hues: [
    { fill: '#0f3650', stroke: '#56b4e9', text: '#e3f3fc' },
    { fill: '#4d2208', stroke: '#ff9a57', text: '#ffe6d5' },
    { fill: '#0b3d30', stroke: '#4cd3a5', text: '#d9f7ed' },
    { fill: '#4a1f37', stroke: '#f08fc0', text: '#fde4f1' },
    { fill: '#44310a', stroke: '#e6b13f', text: '#fdf0d2' },
    { fill: '#2d2658', stroke: '#b3a7ff', text: '#ebe7ff' },
    { fill: '#3b380c', stroke: '#d6cf4a', text: '#f8f6cf' },
    { fill: '#2b333c', stroke: '#a9b4bf', text: '#e6ebf0' }
  ],
  cosine: [
    { at_least: 0.9999, fill: '#221c2e', text: '#e9def8' },
    { at_least: 0.999, fill: '#3a2a57', text: '#e9def8' },
    { at_least: 0.99, fill: '#583a8a', text: '#f3ecfc' },
    { at_least: 0.95, fill: '#a987e0', text: '#160a26' },
    { at_least: -1, fill: '#e3d2ff', text: '#160a26' }
  ]
};

export const THEMES: Record<ThemeName, Theme> = { light, dark };

export type Shape = 'rounded' | 'cut' | 'pill';

/** Outline of a box by placement; the cut one is dashed too. */
export const SHAPES: Record<Place, Shape> = { BPU: 'rounded', CPU: 'cut', NONE: 'pill' };

/** Letter of a quantization class. */
export const GLYPHS: Record<QuantClass, string> = { active: 'A', passive: 'P', manual: 'M', none: '' };

/** Tag of a boundary edge. */
export const TAGS: Record<Boundary, string> = { quantize: 'Q', dequantize: 'DQ', requantize: 'RQ' };

/** Index of the step that `cosine` falls into, 0 the best; NaN counts as the worst. */
export function cosineStep(cosine: number): number {
  const found = light.cosine.findIndex(step => cosine >= step.at_least);
  return found < 0 ? light.cosine.length - 1 : found;
}
