/**
 * Pointer and wheel on the graph: drag pans, pinch and Ctrl+wheel zoom, the plain wheel zooms once the graph has the focus.
 *
 * Without the focus a plain wheel scrolls the page: a notebook full of graphs must stay scrollable.
 */

export interface GestureActions {
  pan: (dx: number, dy: number) => void;
  /** `x` and `y` in CSS pixels from the corner of the surface. */
  zoom: (factor: number, x: number, y: number) => void;
  hasFocus: () => boolean;
}

const SLOP = 4;

export function listenToGestures(surface: SVGSVGElement, actions: GestureActions, signal: AbortSignal): void {
  const pointers = new Map<number, { x: number; y: number }>();
  let moved = false;

  const local = (event: MouseEvent) => {
    const { left, top } = surface.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };

  surface.addEventListener(
    'pointerdown',
    event => {
      if (event.button !== 0) {
        return;
      }
      pointers.set(event.pointerId, local(event));
      if (pointers.size === 1) {
        moved = false;
      }
    },
    { signal }
  );

  surface.addEventListener(
    'pointermove',
    event => {
      const before = pointers.get(event.pointerId);
      if (!before) {
        return;
      }
      const now = local(event);
      if (!moved && Math.hypot(now.x - before.x, now.y - before.y) < SLOP) {
        return;
      }
      if (!moved) {
        moved = true;
        surface.setPointerCapture?.(event.pointerId);
        surface.classList.add('qwb-panning');
      }
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const ratio =
          Math.hypot(now.x - other.x, now.y - other.y) / Math.hypot(before.x - other.x, before.y - other.y);
        actions.zoom(Number.isFinite(ratio) && ratio > 0 ? ratio : 1, other.x, other.y);
      } else {
        actions.pan(now.x - before.x, now.y - before.y);
      }
      pointers.set(event.pointerId, now);
    },
    { signal }
  );

  for (const name of ['pointerup', 'pointercancel'] as const) {
    surface.addEventListener(
      name,
      event => {
        pointers.delete(event.pointerId);
        surface.classList.remove('qwb-panning');
      },
      { signal }
    );
  }

  surface.addEventListener(
    'click',
    event => {
      if (moved) {
        event.stopImmediatePropagation(); // the end of a drag is no click
        moved = false;
      }
    },
    { signal, capture: true }
  );

  surface.addEventListener(
    'wheel',
    event => {
      const zooming = event.ctrlKey || event.metaKey;
      if (!zooming && !actions.hasFocus()) {
        return;
      }
      event.preventDefault();
      const { x, y } = local(event);
      if (event.shiftKey && !zooming) {
        actions.pan(-(event.deltaX || event.deltaY), 0);
      } else {
        const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 100 : 1;
        actions.zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY * unit)) * 0.0022), x, y);
      }
    },
    { signal, passive: false }
  );
}
