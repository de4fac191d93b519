/** Explains the marks of a drawing: only those that occur in it. */
import { placeText } from './describe';
import { h, s } from './dom';
import { COLOURINGS, Shading, type Colouring } from './colouring';
import { glyph } from './nodeElement';
import { SHAPES, TAGS } from './palette';
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
  return sample(
    28,
    `qwb-node ${tone.startsWith('tone') ? '' : 'qwb-tone-legend'} qwb-${tone}`,
    s('path', { class: 'qwb-box', d: path })
  );
}

/** Make the legend of `view`; `note` stands behind the colours. */
export function legend(view: GraphView, colouring: Colouring, note?: Node): HTMLElement {
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
  if (ops.some(node => node.group && ops.some(other => other !== node && other.group === node.group))) {
    row.append(
      entry(sample(26, 'qwb-bond qwb-tone-bpu', s('path', { class: 'qwb-line', d: 'M-12 0H12' })), 'fused')
    );
  }
  if (view.edges.some(edge => edge.boundary && edge.cost)) {
    row.append(h('span', { class: 'qwb-key' }, 'kB: what a boundary reads and writes'));
  }
  const shading = new Shading(view, colouring);
  const marks = shading
    .entries()
    .map(({ tone, text }) => entry(boxSample(tone, outline('rounded', 24, 13)), text));
  if (marks.length > 0 || shading.missing) {
    const name = COLOURINGS.find(option => option.value === colouring)?.text ?? colouring;
    row.append(
      h(
        'span',
        { class: 'qwb-heat' },
        h('strong', {}, name),
        ...(shading.missing ? [shading.missing] : marks),
        note
      )
    );
  }
  return row;
}
