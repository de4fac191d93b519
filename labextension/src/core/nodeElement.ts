/**
 * Draws one node as an SVG group, in drawing units around its own centre.
 *
 * The same marks as `qworkbench/view/nodes.py`: shape and colour say where it runs, a letter its quantization class.
 */
import type { Shading } from './colouring';
import { nodeText } from './describe';
import { s, type Child } from './dom';
import { GLYPHS, SHAPES, type Shape } from './palette';
import { outline } from './shapes';
import type { QuantClass, ViewNode } from './types';

const PADDING = 12;
/** Average width of a letter of the second line. */
const LETTER = 5.8;

const isTerminal = (node: ViewNode) => node.kind === 'input' || node.kind === 'output';

function shapeOf(node: ViewNode): Shape {
  if (isTerminal(node)) {
    return 'pill';
  }
  return node.kind === 'module' ? 'rounded' : SHAPES[node.on];
}

/** CSS class that carries the outline colours: terminal, module, bpu, cpu or none. */
export function toneOf(node: ViewNode): string {
  if (isTerminal(node)) {
    return 'terminal';
  }
  const mixed =
    node.kind === 'module' && node.bpu_share !== null && node.bpu_share !== 0 && node.bpu_share !== 1;
  return mixed ? 'module' : node.on.toLowerCase();
}

/** The second line of a box. */
function detailText(node: ViewNode, shading: Shading): string {
  if (node.kind === 'module') {
    const share =
      typeof node.bpu_share === 'number' ? ` \u00b7 ${Math.round(node.bpu_share * 100)} % BPU` : '';
    return `${node.count ?? 0} nodes${share}`;
  }
  return shading.wordOf(node) ?? [node.op, node.dtype].filter(Boolean).join(' \u00b7 ');
}

/** The mark of a quantization class: filled disc (active), ring (passive), square (manual), with its letter. */
export function glyph(quantClass: QuantClass, x: number, y: number): SVGGElement {
  const radius = quantClass === 'manual' ? 2 : 7.5;
  return s(
    'g',
    { class: `qwb-glyph qwb-glyph-${quantClass}`, transform: `translate(${x} ${y})` },
    s('rect', { x: -7.5, y: -7.5, width: 15, height: 15, rx: radius }),
    s('text', { 'text-anchor': 'middle', dy: '0.36em' }, GLYPHS[quantClass])
  );
}

/** A mark at the upper left corner: a plus for inserted nodes, a stroke for edited ones. */
function badge(node: ViewNode): SVGGElement {
  const sign = node.inserted ? 'M-3.5 0H3.5M0 -3.5V3.5' : 'M-3 3L3.2 -3.2';
  return s(
    'g',
    { class: 'qwb-badge', transform: `translate(${1 - node.w / 2} ${1 - node.h / 2})` },
    s('circle', { r: 8 }),
    s('path', { d: sign })
  );
}

/** How much of a module runs on the BPU, as a bar in the two placement colours. */
function shareBar(node: ViewNode, share: number): SVGGElement {
  const width = node.w - 2 * PADDING;
  const bar = (x: number, w: number, tone: string) =>
    w > 0 && s('rect', { x, y: 15.5, width: w, height: 5, rx: 1.5, class: `qwb-share qwb-tone-${tone}` });
  const left = -width / 2;
  return s('g', {}, bar(left, width * share, 'bpu'), bar(left + width * share, width * (1 - share), 'cpu'));
}

function texts(node: ViewNode, shading: Shading): Child[] {
  if (isTerminal(node) || (node.kind === 'op' && node.on === 'NONE')) {
    const attributes = { class: 'qwb-label', 'text-anchor': 'middle', dy: '0.36em' };
    return [s('text', attributes, node.label)];
  }
  const left = PADDING - node.w / 2;
  const [top, low] = node.kind === 'module' ? [-14, 3] : [-9, 10];
  const score = shading.scoreOf(node);
  const detail = detailText(node, shading);
  const room = (w: string) => LETTER * (w.length + score.length) + 8 <= node.w - 2 * PADDING;
  const shown = !score || room(detail) ? detail : room(node.op) ? node.op : '';
  return [
    s('text', { class: 'qwb-label', x: left, y: top, dy: '0.36em' }, node.label),
    s('text', { class: 'qwb-detail', x: left, y: low, dy: '0.36em' }, shown),
    score && s('text', { class: 'qwb-detail qwb-score', x: -left, y: low, dy: '0.36em' }, score)
  ];
}

/** Make the group of `node`. */
export function nodeElement(node: ViewNode, shading: Shading): SVGGElement {
  const { w, h } = node;
  const shape = shapeOf(node);
  const lettered = node.kind === 'op' && node.on !== 'NONE' && GLYPHS[node.quant_class] !== '';
  const share = node.kind === 'module' ? node.bpu_share : null;
  const says = nodeText(node);
  const fill = shading.toneOf(node);
  const pile = (shift: number) =>
    node.kind === 'module' &&
    s('path', { class: 'qwb-pile', d: outline('rounded', w, h), transform: `translate(${shift} ${shift})` });
  return s(
    'g',
    {
      class: `qwb-node qwb-kind-${node.kind} qwb-tone-${toneOf(node)} ${fill && `qwb-${fill}`}`,
      transform: `translate(${node.x} ${node.y})`,
      role: 'graphics-symbol',
      'aria-roledescription': node.kind === 'op' ? 'node' : node.kind,
      'aria-label': says,
      'data-node': node.id,
      'data-on': node.on,
      tabindex: -1
    },
    s('title', {}, node.kind === 'op' && node.reason ? `${says}\n${node.reason}` : says),
    pile(6),
    pile(3),
    s('path', { class: 'qwb-ring', d: outline(shape, w + 9, h + 9) }),
    s('path', { class: 'qwb-box', d: outline(shape, w, h) }),
    ...texts(node, shading),
    lettered && glyph(node.quant_class, w / 2 - PADDING - 7, -9),
    typeof share === 'number' && shareBar(node, share),
    (node.edited || node.inserted) && badge(node)
  );
}
