"""A matplotlib figure that a notebook shows on light and on dark paper.

One picture, drawn in dark ink on nothing, so that the page is its paper. Where a notebook is dark its style sheet turns
lightness around and keeps the hues: the file holds no second picture, and a change of theme needs no kernel. Where
style sheets are taken out (a notebook that is not trusted) it stands on white. Knows no analysis; imports matplotlib
when a figure is made.
"""

from __future__ import annotations

import base64
from functools import cache
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 96
DARK_PAGES = ("[data-jp-theme-light=false]", "[data-vscode-theme-kind*=dark]")
"""What JupyterLab and Visual Studio Code say on their pages where their theme is dark."""
FIGURE_CSS = (
    ".qwb-figure{max-width:100%;background:none!important}"
    f":is({','.join(DARK_PAGES)}) .qwb-figure{{filter:invert(1) hue-rotate(180deg)}}"
)


def new_figure(figsize: tuple[float, float]) -> Figure:
    """Return an empty figure that a notebook shows although pyplot was never imported."""
    return _shown()(figsize=figsize, layout="constrained")


@cache
def _shown() -> type[Figure]:
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            return _drawn(self, transparent=False)

        def _repr_html_(self) -> str:
            picture = base64.b64encode(_drawn(self, transparent=True)).decode("ascii")
            return (
                f'<style>{FIGURE_CSS}</style><img class="qwb-figure" style="background-color:#ffffff" '
                f'alt="{escape(_words(self))}" src="data:image/png;base64,{picture}">'
            )

    return Shown


def _drawn(figure: Figure, *, transparent: bool) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, transparent=transparent)
    return stream.getvalue()


def _words(figure: Figure) -> str:
    """Return what a figure shows: titles, labels of axes, names of its lines."""
    found: list[str] = []
    for axes in figure.axes:
        legend = axes.get_legend()
        named = [] if legend is None else [text.get_text() for text in legend.get_texts()]
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *named]
    return "plot: " + ", ".join(text for text in found if text)
