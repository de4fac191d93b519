"""A view as a PNG, for hosts that show neither the widget nor SVG (an untrusted notebook, a slide, a README).

Walks the same scene as the SVG with matplotlib's Agg canvas: no browser, no system binary, no ``pyplot`` state.
matplotlib is imported when the first picture is made. Its own DejaVu Sans is wider than the fonts of the SVG, so the
type is set a little smaller and both pictures break their lines alike.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qworkbench.errors import QWorkbenchError
from qworkbench.view.draw import draw
from qworkbench.view.scene import Command, Outline, Scene, Words
from qworkbench.view.text import text_width

if TYPE_CHECKING:
    from matplotlib.backend_bases import GraphicsContextBase
    from matplotlib.path import Path

MAX_PIXELS = 24_000_000
LONGEST_SIDE = 32_000
"""Agg refuses a side of 2**16 pixels; viewers give up earlier."""
FONT_SCALE = 0.9
_DPI = 72.0


def to_png(
    view: Mapping[str, Any],
    *,
    scale: float = 2.0,
    max_pixels: int = MAX_PIXELS,
    theme: str = "light",
    selected: str | None = None,
) -> bytes:
    """Return `view` as PNG bytes.

    Parameters
    ----------
    view : Mapping
        From :func:`qworkbench.view.model.build_view`.
    scale : float
        Pixels per unit of the view; lowered where the picture would exceed `max_pixels` or 32,000 pixels in height.
    max_pixels : int
    theme : "light" | "dark"
    selected : str, optional
        Id of the box that is marked.

    Raises
    ------
    UnknownNameError
        For an unknown theme or box.
    QWorkbenchError
        If `scale` or `max_pixels` is not positive.
    """
    if not (scale > 0 and math.isfinite(scale) and max_pixels > 0):
        raise QWorkbenchError(f"scale and max_pixels of a PNG must be > 0, got {scale} and {max_pixels}")
    scene = draw(view, theme=theme, selected=selected)
    fitting = min(
        scale,
        math.sqrt(max_pixels / (scene.width * scene.height)),
        LONGEST_SIDE / max(scene.width, scene.height),
    )
    return scene_to_png(scene, fitting)


def scene_to_png(scene: Scene, scale: float) -> bytes:
    """Return `scene` as PNG bytes with `scale` pixels per unit."""
    from matplotlib.artist import Artist
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = max(1, int(scene.width * scale)), max(1, int(scene.height * scale))

    class SceneArtist(Artist):
        def draw(self, renderer: Any) -> None:
            painter = _Painter(renderer, height, scale)
            for item in scene.items():
                if isinstance(item, Outline):
                    painter.outline(item)
                else:
                    painter.words(item)

    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=scene.background)
    figure.add_artist(SceneArtist())
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
            buffer, metadata={"Title": _latin(scene.title), "Software": "qworkbench"}
        )
    return buffer.getvalue()


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")


class _Painter:
    """Paints outlines and words on a matplotlib renderer; y of the scene grows downwards, of paths upwards."""

    def __init__(self, renderer: Any, height: int, scale: float) -> None:
        from matplotlib.transforms import Affine2D

        self._renderer = renderer
        self._scale = scale
        self._transform = Affine2D().scale(scale, -scale).translate(0, height)

    def _context(self, colour: str, width: float) -> GraphicsContextBase:
        context: GraphicsContextBase = self._renderer.new_gc()
        context.set_foreground(colour)
        context.set_linewidth(width * self._scale)
        context.set_snap(False)
        return context

    def outline(self, item: Outline) -> None:
        """Fill and stroke one path."""
        from matplotlib.colors import to_rgba

        context = self._context(item.stroke or item.fill or "#000000", item.width if item.stroke else 0.0)
        if item.dash:
            context.set_dashes(0, [length * self._scale for length in item.dash])
        fill = to_rgba(item.fill) if item.fill else None
        self._renderer.draw_path(context, _path(item.commands), self._transform, fill)
        context.restore()

    def words(self, item: Words) -> None:
        """Set one line of text, never wider than the layout allowed for."""
        from matplotlib.font_manager import FontProperties

        if not item.text:
            return
        font = FontProperties(family="DejaVu Sans", weight="bold" if item.bold else "normal")
        size = item.size * self._scale * FONT_SCALE
        font.set_size(size)
        wide, _, _ = self._renderer.get_text_width_height_descent(item.text, font, False)
        allowed = text_width(item.text, item.size, bold=item.bold) * self._scale
        if wide > allowed:
            font.set_size(size * allowed / wide)
            wide = allowed
        left = item.x * self._scale - {"start": 0.0, "middle": wide / 2, "end": wide}[item.anchor]
        context = self._context(item.colour, 1.0)
        self._renderer.draw_text(context, left, (item.y + 0.34 * item.size) * self._scale, item.text, font, 0.0, False)
        context.restore()


def _path(commands: tuple[Command, ...]) -> Path:
    from matplotlib.path import Path

    codes: list[int] = []
    vertices: list[tuple[float, float]] = []
    for letter, values in commands:
        points = list(zip(values[::2], values[1::2], strict=True))
        code = {"M": Path.MOVETO, "L": Path.LINETO, "C": Path.CURVE4, "Z": Path.CLOSEPOLY}[letter]
        codes += [int(code)] * max(1, len(points))
        vertices += points or [(0.0, 0.0)]
    return Path(vertices, codes)
