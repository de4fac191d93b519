/**
 * What the fill of a node says: where it runs, what kind it is, or how a figure of it compares with the others.
 *
 * Categories take one of eight hues, figures one of five steps; the second line of a box says the same in words, so that
 * no meaning rests on colour alone. Knows names and numbers; the colours are those of the theme.
 */
import { formatBytes, formatNumber, scoreText } from './describe';
import { THEMES, cosineStep } from './palette';
import type { GraphView, ViewNode } from './types';

export type Colouring =
  'placement' | 'class' | 'dtype' | 'subgraph' | 'cosine' | 'l1' | 'sensitivity' | 'cost';

export const COLOURINGS: readonly { value: Colouring; text: string; title: string }[] = [
  { value: 'placement', text: 'Placement', title: 'where a node runs' },
  { value: 'class', text: 'Quantization class', title: 'active, passive or manual' },
  { value: 'dtype', text: 'dtype', title: 'dtype of the output' },
  { value: 'subgraph', text: 'Subgraph', title: 'the BPU subgraph that a node is in' },
  { value: 'cosine', text: 'Cosine', title: 'cosine similarity to the float model' },
  { value: 'l1', text: 'L1', title: 'mean absolute distance from the float model' },
  {
    value: 'sensitivity',
    text: 'Sensitivity',
    title: 'how far the output moves when only this is quantized'
  },
  { value: 'cost', text: 'Boundary cost', title: 'bytes that Quantize and Dequantize move at a node' }
];

/** Return `name` as a colouring, or placement where it is none. */
export function asColouring(name: unknown): Colouring {
  return COLOURINGS.find(option => option.value === name)?.value ?? 'placement';
}

export interface LegendEntry {
  /** CSS class of the colours. */
  tone: string;
  text: string;
}

const CLASSES = ['active', 'passive', 'manual'];
const DTYPES = ['int8', 'int16', 'int32', 'float32'];
const HUES = THEMES.light.hues.length;
/** Lower ends of the steps, as shares of the largest figure in sight; the first step is below all of them. */
const SHARES = [0.02, 0.1, 0.3, 0.6];

/** The colouring of one view. */
export class Shading {
  private readonly figures = new Map<string, number>();
  private readonly largest: number;

  constructor(
    private readonly view: GraphView,
    readonly colouring: Colouring,
    /** The figures are from before the newest edits; they stand in brackets. */
    readonly old = false
  ) {
    for (const node of view.nodes) {
      const figure = this.figure(node);
      if (figure !== null) {
        this.figures.set(node.id, figure);
      }
    }
    if (colouring === 'cost') {
      for (const edge of view.edges.filter(candidate => candidate.boundary)) {
        for (const id of [edge.source, edge.target]) {
          this.figures.set(id, (this.figures.get(id) ?? 0) + (edge.cost ?? 0));
        }
      }
    }
    this.largest = Math.max(0, ...this.figures.values());
  }

  /** CSS class of the fill of `node`; empty where the colour of its placement stays. */
  toneOf(node: ViewNode): string {
    if (node.kind === 'input' || node.kind === 'output') {
      return '';
    }
    const category = this.category(node);
    if (category !== null) {
      return `hue-${category % HUES}`;
    }
    if (this.colouring === 'cosine') {
      return node.cosine === null ? '' : `heat-${cosineStep(node.cosine)}`;
    }
    const figure = this.figures.get(node.id);
    return figure === undefined || this.largest === 0 ? '' : `heat-${this.step(figure)}`;
  }

  /** What the second line of a box says instead of its dtype; null leaves it. */
  wordOf(node: ViewNode): string | null {
    if (node.kind !== 'op' || node.on === 'NONE') {
      return null;
    }
    switch (this.colouring) {
      case 'class':
        return node.quant_class;
      case 'subgraph':
        return node.subgraph === null ? null : `subgraph ${node.subgraph}`;
      default:
        return null;
    }
  }

  /** The figure at the right of the second line. */
  scoreOf(node: ViewNode): string {
    if (!['l1', 'sensitivity', 'cost'].includes(this.colouring)) {
      return scoreText(node.cosine);
    }
    const figure = this.figures.get(node.id);
    if (figure === undefined || node.kind === 'input' || node.kind === 'output') {
      return '';
    }
    const text = this.colouring === 'cost' ? formatBytes(figure) : formatNumber(figure);
    return this.old ? `(${text})` : text;
  }

  /** Colours and their meaning, those that occur only. */
  entries(): LegendEntry[] {
    const ops = this.view.nodes.filter(node => node.kind === 'op' || node.kind === 'module');
    const tones = new Set(ops.map(node => this.toneOf(node)));
    if (this.colouring === 'class' || this.colouring === 'dtype') {
      const names = this.colouring === 'class' ? CLASSES : DTYPES;
      const known = names.map((text, index) => ({ tone: `hue-${index}`, text }));
      return known.filter(entry => tones.has(entry.tone));
    }
    if (this.colouring === 'subgraph') {
      const ids = new Set(ops.map(node => node.subgraph).filter(id => id !== null));
      return [...ids]
        .sort((a, b) => a - b)
        .slice(0, 12)
        .map(id => ({ tone: `hue-${id % HUES}`, text: `subgraph ${id}` }));
    }
    if (this.colouring === 'cosine') {
      const steps = THEMES.light.cosine;
      return steps.map((step, index) => ({
        tone: `heat-${index}`,
        text: index === steps.length - 1 ? `< ${steps[index - 1].at_least}` : `\u2265 ${step.at_least}`
      }));
    }
    if (this.colouring === 'placement' || this.largest === 0) {
      return [];
    }
    const write = this.colouring === 'cost' ? formatBytes : formatNumber;
    return [
      { tone: 'heat-0', text: `< ${write(SHARES[0] * this.largest)}` },
      ...SHARES.map((share, index) => ({
        tone: `heat-${index + 1}`,
        text: `\u2265 ${write(share * this.largest)}`
      }))
    ];
  }

  /** What is missing to colour at all, or empty. */
  get missing(): string {
    if (this.figures.size > 0 || !['cosine', 'l1', 'sensitivity', 'cost'].includes(this.colouring)) {
      return '';
    }
    return {
      cosine: 'press Run to measure the cosine',
      l1: 'press Run to measure L1',
      sensitivity: 'not measured yet: press Sensitivity, or %qwb sensitivity',
      cost: 'there is no boundary'
    }[this.colouring as 'cosine' | 'l1' | 'sensitivity' | 'cost'];
  }

  private figure(node: ViewNode): number | null {
    switch (this.colouring) {
      case 'cosine':
        return node.cosine;
      case 'l1':
        return node.l1;
      case 'sensitivity':
        return node.sensitivity ?? null;
      default:
        return null;
    }
  }

  private category(node: ViewNode): number | null {
    if (node.kind === 'module' ? this.colouring !== 'subgraph' : node.on === 'NONE') {
      return null;
    }
    switch (this.colouring) {
      case 'class':
        return index(CLASSES, node.quant_class);
      case 'dtype':
        return index(DTYPES, node.dtype);
      case 'subgraph':
        return node.subgraph;
      default:
        return null;
    }
  }

  private step(figure: number): number {
    return SHARES.filter(share => figure > 0 && figure >= share * this.largest).length;
  }
}

function index(names: readonly string[], name: string): number | null {
  const found = names.indexOf(name);
  return found < 0 ? null : found;
}
