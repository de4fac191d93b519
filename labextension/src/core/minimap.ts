/** A small overview of the whole drawing in a corner; a click or drag moves the view there. Canvas, hidden from readers. */
import { h } from './dom';
import type { Shading } from './colouring';
import { toneOf } from './nodeElement';
import type { GraphView, ViewNode } from './types';
import type { Size, Viewport } from './viewport';

const MAX = { width: 120, height: 170 };
const MIN = { width: 34, height: 34 };
const GAP = 10;

export class Minimap {
  readonly element = h('canvas', { class: 'qwb-minimap', 'aria-hidden': 'true' });
  private kx = 1;
  private ky = 1;

  constructor(
    private readonly viewport: Viewport,
    moved: () => void,
    signal: AbortSignal
  ) {
    const go = (event: PointerEvent) => {
      const { left, top } = this.element.getBoundingClientRect();
      viewport.centre((event.clientX - left) / this.kx, (event.clientY - top) / this.ky);
      moved();
    };
    this.element.addEventListener(
      'pointerdown',
      event => {
        this.element.setPointerCapture?.(event.pointerId);
        go(event);
      },
      { signal }
    );
    this.element.addEventListener('pointermove', event => (event.buttons & 1 ? go(event) : undefined), {
      signal
    });
  }

  /** Width in CSS pixels of the strip that the map takes when `view` does not fit into the pane; 0 without a map. */
  strip(view: GraphView): number {
    const { content, pane } = this.viewport;
    const needed = content.height > pane.height || content.width > pane.width;
    return needed && this.fits(view) ? this.size().width + 2 * GAP : 0;
  }

  /** Draw `view` and the frame of what is seen; hides itself when all of it is seen anyway. */
  draw(view: GraphView, shading: Shading): void {
    const { content } = this.viewport;
    const hidden = this.viewport.showsAll() || !this.fits(view);
    this.element.hidden = hidden;
    const context = hidden ? null : (this.element.getContext?.('2d') ?? null);
    if (!context) {
      return;
    }
    const { width, height } = this.size();
    this.kx = width / content.width;
    this.ky = height / content.height;
    const dots = window.devicePixelRatio || 1;
    this.element.width = Math.round(width * dots);
    this.element.height = Math.round(height * dots);
    this.element.style.width = `${width}px`;
    this.element.style.height = `${height}px`;
    context.scale(dots, dots);
    const style = getComputedStyle(this.element);
    const colour = (node: ViewNode) => {
      const heat = shading.toneOf(node);
      const tone = heat.startsWith('hue')
        ? `${heat}-stroke`
        : heat
          ? `${heat}-fill`
          : `${toneOf(node)}-stroke`;
      return style.getPropertyValue(`--qwb-${tone}`);
    };
    for (const node of view.nodes) {
      context.fillStyle = colour(node) || 'gray';
      const w = Math.max(3, node.w * this.kx);
      const tall = Math.max(1.5, node.h * this.ky);
      context.fillRect(node.x * this.kx - w / 2, node.y * this.ky - tall / 2, w, tall);
    }
    const seen = this.viewport.visible();
    context.strokeStyle = style.getPropertyValue('--qwb-selected') || 'black';
    context.lineWidth = 1.5;
    const x0 = Math.max(1, seen.x0 * this.kx);
    const y0 = Math.max(1, seen.y0 * this.ky);
    const x1 = Math.min(width - 1, seen.x1 * this.kx);
    const y1 = Math.min(height - 1, seen.y1 * this.ky);
    context.strokeRect(x0, y0, Math.max(0, x1 - x0), Math.max(0, y1 - y0));
  }

  /** Whether there is a graph worth a map, and a pane that has room for one. */
  private fits(view: GraphView): boolean {
    const { pane } = this.viewport;
    return view.nodes.length >= 8 && pane.width >= 320 && pane.height >= 220;
  }

  private size(): Size {
    const { content } = this.viewport;
    const scale = Math.min(MAX.width / content.width, MAX.height / content.height);
    return {
      width: Math.max(MIN.width, content.width * scale),
      height: Math.max(MIN.height, content.height * scale)
    };
  }
}
