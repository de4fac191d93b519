/** Which part of the drawing is seen: scale and offset, with `screen = drawing * scale + offset`. Pure arithmetic. */

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Size {
  width: number;
  height: number;
}

const MIN_SCALE = 0.02;
const MAX_SCALE = 4;
const MARGIN = 24;
/** From here on the names of nodes are drawn. */
export const READABLE_SCALE = 0.34;
/** Where somebody is taken who asks for a node while no name can be read. */
const READING_SCALE = 0.75;

export class Viewport {
  scale = 1;
  x = 0;
  y = 0;
  /** Size of the pane in CSS pixels. */
  pane: Size = { width: 800, height: 480 };
  /** Strip at the right that the minimap covers. */
  covered = 0;
  /** Extent of the drawing. */
  content: Size = { width: 1, height: 1 };

  /** Move the drawing by CSS pixels. */
  pan(dx: number, dy: number): void {
    this.x += dx;
    this.y += dy;
    this.clamp();
  }

  /** Multiply the scale and keep the drawing under the pane point (px, py) where it is. */
  zoomAt(factor: number, px = this.pane.width / 2, py = this.pane.height / 2): void {
    const scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, this.scale * factor));
    const ratio = scale / this.scale;
    this.x = px - (px - this.x) * ratio;
    this.y = py - (py - this.y) * ratio;
    this.scale = scale;
    this.clamp();
  }

  /** Show the whole drawing, at most at natural size. */
  fit(): void {
    const { width, height } = this.inner();
    this.scale = Math.max(MIN_SCALE, Math.min(1, width / this.content.width, height / this.content.height));
    this.x = (this.pane.width - this.covered - this.content.width * this.scale) / 2;
    this.y = (this.pane.height - this.content.height * this.scale) / 2;
  }

  /**
   * Fit the width and start at the top, where the input is: how a graph opens. A wide drawing stays readable (scale >= 0.5)
   * and is centred on (`topX`), the input's column.
   */
  fitWidth(topX = this.content.width / 2): void {
    this.scale = Math.min(1, Math.max(0.5, this.inner().width / this.content.width));
    const room = this.pane.width - this.covered;
    const wide = this.content.width * this.scale > room;
    this.x = room / 2 - (wide ? topX : this.content.width / 2) * this.scale;
    const slack = this.pane.height - this.content.height * this.scale;
    this.y = slack > 2 * MARGIN ? slack / 2 : MARGIN;
    this.clamp();
  }

  /** Pan as little as needed to have `box` (drawing units) in sight. */
  reveal(box: Box): void {
    const nudge = (low: number, high: number, room: number) =>
      high - low > room - 2 * MARGIN
        ? room / 2 - (low + high) / 2
        : low < MARGIN
          ? MARGIN - low
          : high > room - MARGIN
            ? room - MARGIN - high
            : 0;
    this.x += nudge(
      box.x0 * this.scale + this.x,
      box.x1 * this.scale + this.x,
      this.pane.width - this.covered
    );
    this.y += nudge(box.y0 * this.scale + this.y, box.y1 * this.scale + this.y, this.pane.height);
  }

  /** Make what is drawn large enough to be read, with (dx, dy) at the centre; whether that was needed. */
  magnify(dx: number, dy: number): boolean {
    if (this.scale >= READABLE_SCALE) {
      return false;
    }
    this.scale = READING_SCALE;
    this.centre(dx, dy);
    return true;
  }

  /** Put the drawing point (dx, dy) at the centre of the pane. */
  centre(dx: number, dy: number): void {
    this.x = this.pane.width / 2 - dx * this.scale;
    this.y = this.pane.height / 2 - dy * this.scale;
    this.clamp();
  }

  /** The part of the drawing that is seen, grown by `margin` CSS pixels. */
  visible(margin = 0): Box {
    return {
      x0: (-margin - this.x) / this.scale,
      y0: (-margin - this.y) / this.scale,
      x1: (this.pane.width + margin - this.x) / this.scale,
      y1: (this.pane.height + margin - this.y) / this.scale
    };
  }

  /** Whether all of the drawing is in sight. */
  showsAll(): boolean {
    const { x0, y0, x1, y1 } = this.visible(1);
    return x0 <= 0 && y0 <= 0 && x1 >= this.content.width && y1 >= this.content.height;
  }

  private inner(): Size {
    return {
      width: Math.max(1, this.pane.width - this.covered - 2 * MARGIN),
      height: Math.max(1, this.pane.height - 2 * MARGIN)
    };
  }

  /** Keep a strip of the drawing in the pane, so that it cannot be lost. */
  private clamp(): void {
    const keep = 60;
    const limit = (offset: number, extent: number, room: number) =>
      Math.min(Math.max(offset, keep - extent * this.scale), Math.max(keep, room - keep));
    this.x = limit(this.x, this.content.width, this.pane.width);
    this.y = limit(this.y, this.content.height, this.pane.height);
  }
}
