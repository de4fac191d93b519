"""Plots of a report as plain SVG: no script, no image; colours come from the page's style sheet.

Each plot says in words what it shows; the tables beside it hold the figures.
"""

from __future__ import annotations

import math
from html import escape

import pandas as pd

from qworkbench.view.svg import clean
from qworkbench.view.text import bytes_text, shorten, text_width

WIDTH, HEIGHT, LEFT, FOOT, TOP = 1000.0, 220.0, 62.0, 22.0, 10.0
ROW = 22.0
MOST = 24


def distance_plot(layers: pd.DataFrame) -> str:
    """Return 1 - cosine of every node in execution order, on a logarithmic axis; bars are coloured by place.

    Parameters
    ----------
    layers : pandas.DataFrame
        One row per node with ``cosine`` and ``on``; rows without a figure leave a gap.

    Returns
    -------
    str
        An SVG figure, or nothing without figures.
    """
    loss = {str(name): 1 - float(value) for name, value in layers["cosine"].items() if not math.isnan(float(value))}
    if not loss:
        return ""
    floor = 1e-8
    decades = [10.0**k for k in range(-8, 1)]
    top = next((d for d in decades if d >= max(loss.values())), 2.0)
    span = math.log10(top) - math.log10(floor)
    plane = HEIGHT - FOOT - TOP
    step = (WIDTH - LEFT) / max(len(layers), 1)

    def level(value: float) -> float:
        return TOP + plane * (1 - (math.log10(max(value, floor)) - math.log10(floor)) / span)

    parts = [
        f'<path class="p-grid" d="M{LEFT:g} {level(d):.1f}H{WIDTH:g}"/>'
        f'<text class="p-text" x="{LEFT - 6:g}" y="{level(d) + 4:.1f}" text-anchor="end">{d:g}</text>'
        for d in decades
        if d <= top
    ]
    for index, (name, on) in enumerate(layers["on"].items()):
        if str(name) not in loss:
            continue
        y = level(loss[str(name)])
        wide = max(0.5, step - min(2.0, step / 4))
        tall = max(1.0, HEIGHT - FOOT - y)
        parts.append(
            f'<rect class="p-{str(on).lower()}" x="{LEFT + index * step:.1f}" y="{HEIGHT - FOOT - tall:.1f}" '
            f'width="{wide:.1f}" height="{tall:.1f}"><title>{escape(clean(str(name)))}: 1 - cosine '
            f"{loss[str(name)]:.3g}, on {on}</title></rect>"
        )
    worst = max(loss, key=lambda name: loss[name])
    says = f"1 - cosine of {len(loss)} nodes in execution order; the worst is {worst} with {loss[worst]:.3g}"
    parts.append(f'<text class="p-text" x="{LEFT:g}" y="{HEIGHT - 5:g}">execution order</text>')
    return _figure(parts, HEIGHT, says)


def cost_plot(costs: pd.DataFrame) -> str:
    """Return what the boundaries read and write, the dearest first.

    Parameters
    ----------
    costs : pandas.DataFrame
        As ``wb.cost()`` returns it; rows of CPU ops are left out.
    """
    rows = costs[costs["kind"].isin(["quantize", "dequantize"])].sort_values("bytes", ascending=False, kind="stable")
    if rows.empty:
        return ""
    shown = rows.head(MOST)
    names = [shorten(f"{row.kind} {row.source} to {row.target}", 64) for row in shown.itertuples()]
    left = max(text_width(name, 12) for name in names) + 14
    largest = float(shown["bytes"].max())
    parts = []
    for index, (name, size) in enumerate(zip(names, shown["bytes"], strict=True)):
        y = index * ROW
        wide = (WIDTH - left - 80) * float(size) / largest
        parts.append(
            f'<text class="p-text" x="{left - 8:.0f}" y="{y + 15:g}" text-anchor="end">{escape(clean(name))}</text>'
            f'<rect class="p-cpu" x="{left:.0f}" y="{y + 4:g}" width="{max(wide, 1):.1f}" height="{ROW - 8:g}"/>'
            f'<text class="p-text" x="{left + wide + 6:.1f}" y="{y + 15:g}">{bytes_text(float(size))}</text>'
        )
    more = len(rows) - len(shown)
    says = f"bytes that {len(rows)} boundaries between CPU and BPU read and write" + (
        f"; {more} smaller ones are not drawn" if more else ""
    )
    return _figure(parts, len(shown) * ROW, says)


def _figure(parts: list[str], height: float, says: str) -> str:
    text = escape(clean(says))
    return (
        f'<figure class="plot"><svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{text}">'
        f"{''.join(parts)}</svg><figcaption>{text[:1].upper()}{text[1:]}.</figcaption></figure>"
    )
