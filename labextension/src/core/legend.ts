/** Explains the marks of a drawing: only those that occur in it. */
import { placeText } from './describe';
import { h, s } from './dom';
import { glyph, type Colouring } from './nodeElement';
import { SHAPES, TAGS, THEMES } from './palette';
import { outline } from './shapes';
import type { Boundary, GraphView, Place, QuantClass } from './types';

const PLACES: readonly Place[] = ['BPU', 'CPU', 'NONE'];
const CLASSES: readonly QuantClass[] = ['active', 'passive', 'manual'];
const BOUNDARIES: readonly Boundary[] = ['quantize', 'dequantize', 'requantize'];

function entry(mark: Node, text: string): HTMLElement {
  return h('span', { class: 'qwb-key' }, mark, text);
}

/** A mark of the drawing on a small SVG of its own. */
function sample(width: number, name: string, content: Node): SVGSVGElement {
  const box = { width, height: 18, viewBox: `${-width / 2} -9 ${width} 18`, 'aria-hidden': 'true' };
  return s('svg', { ...box, class: name }, content);
}

function boxSample(tone: string, path: string): SVGSVGElement {
  return sample(28, `qwb-node qwb-${tone}`, s('path', { class: 'qwb-box', d: path }));
}

function heatEntries(): HTMLElement[] {
  const steps = THEMES.light.cosine;
  return steps.map((step, index) => {
    const last = index === steps.length - 1;
    const text = last ? `< ${steps[index - 1].at_least}` : `\u2265 ${step.at_least}`;
    return entry(boxSample(`heat-${index}`, outline('rounded', 24, 13)), text);
  });
}

/** Make the legend of `view`. */
export function legend(view: GraphView, colouring: Colouring): HTMLElement {
  const ops = view.nodes.filter(node => node.kind === 'op');
  const row = h('div', { class: 'qwb-legend', role: 'note', 'aria-label': 'Legend' });
  for (const place of PLACES.filter(on => ops.some(node => node.on === on))) {
    const mark = boxSample(
      `tone-${place.toLowerCase()}`,
      outline(SHAPES[place], 24, place === 'NONE' ? 11 : 14)
    );
    mark.dataset.on = place;
    row.append(entry(mark, placeText(place)));
  }
  for (const quantClass of CLASSES.filter(name =>
    ops.some(node => node.quant_class === name && node.on !== 'NONE')
  )) {
    row.append(entry(sample(17, 'qwb-node qwb-tone-legend', glyph(quantClass, 0, 0)), quantClass));
  }
  for (const boundary of BOUNDARIES.filter(name => view.edges.some(edge => edge.boundary === name))) {
    row.append(
      entry(h('span', { class: `qwb-chip qwb-${boundary}`, 'aria-hidden': 'true' }, TAGS[boundary]), boundary)
    );
  }
  if (ops.some(node => node.edited || node.inserted)) {
    row.append(entry(h('span', { class: 'qwb-dot', 'aria-hidden': 'true' }), 'edited'));
  }
  if (colouring === 'cosine' && view.nodes.some(node => node.cosine !== null)) {
    row.append(h('span', { class: 'qwb-heat' }, 'cosine', ...heatEntries()));
  }
  return row;
}
