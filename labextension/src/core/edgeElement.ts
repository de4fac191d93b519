/**
 * Draws one edge as an SVG group: a line with an arrow, a tag and its cost where the numbers change their form, and a thick
 * bond without arrow inside a fused unit. The same marks as `qworkbench/view/edges.py`.
 */
import { edgeText, formatBytes } from './describe';
import { s } from './dom';
import { TAGS } from './palette';
import { curve, tagPoint } from './shapes';
import type { ViewEdge } from './types';
import type { Box } from './viewport';

const ARROW = 7;

/** A name for an edge that is stable over redraws of one view. */
export function edgeKey(edge: ViewEdge): string {
  return `${edge.source}\n${edge.target}\n${edge.value}`;
}

/** Extent of the polyline. */
export function edgeBox(edge: ViewEdge): Box {
  const xs = edge.points.map(point => point[0]);
  const ys = edge.points.map(point => point[1]);
  return { x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys) };
}

function bondElement(edge: ViewEdge, tone: string): SVGGElement {
  const path = curve(edge.points);
  return s(
    'g',
    {
      class: `qwb-edge qwb-bond qwb-tone-${tone}`,
      'data-source': edge.source,
      'data-target': edge.target
    },
    s('title', {}, `${edgeText(edge)}, fused`),
    s('path', { class: 'qwb-hit', d: path }),
    s('path', { class: 'qwb-line', d: path })
  );
}

/** Make the group of `edge`; `bond` is the tone of the fused unit that holds both its ends, or empty. */
export function edgeElement(edge: ViewEdge, bond: string): SVGGElement {
  if (bond && !edge.boundary) {
    return bondElement(edge, bond);
  }
  const last = edge.points.length - 1;
  const [x, y] = edge.points[last];
  const shaft = edge.points.map(([px, py], i): [number, number] => [px, i === last ? py - ARROW + 1 : py]);
  const path = curve(shaft);
  const group = s(
    'g',
    {
      class: `qwb-edge${edge.boundary ? ` qwb-boundary qwb-${edge.boundary}` : ''}`,
      'data-source': edge.source,
      'data-target': edge.target,
      'data-boundary': edge.boundary
    },
    s('title', {}, edgeText(edge)),
    s('path', { class: 'qwb-hit', d: path }),
    s('path', { class: 'qwb-line', d: path }),
    s('path', { class: 'qwb-arrow', d: `M${x - 3.6} ${y - ARROW}H${x + 3.6}L${x} ${y}Z` })
  );
  if (edge.boundary) {
    const [tx, ty] = tagPoint(edge.points, ARROW);
    const tag = TAGS[edge.boundary];
    const width = 10 + 6.6 * tag.length;
    group.append(
      s(
        'g',
        { class: 'qwb-tag', transform: `translate(${tx} ${ty})` },
        s('rect', { x: -width / 2, y: -7, width, height: 14, rx: 7 }),
        s('text', { 'text-anchor': 'middle', dy: '0.36em' }, tag),
        edge.cost && s('text', { class: 'qwb-cost', x: width / 2 + 5, dy: '0.36em' }, formatBytes(edge.cost))
      )
    );
  }
  return group;
}
