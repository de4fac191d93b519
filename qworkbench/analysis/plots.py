"""Figures of the analyses: a metric per layer, a histogram with its thresholds. No pyplot, so no global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qworkbench.errors import unknown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, RED, GREY, GREEN = "#4477aa", "#aa3377", "#777777", "#228833"


def metric_figure(frame: pd.DataFrame, metric: str = "Cosine", first_bad: str | None = None) -> Figure:
    """Return `metric` per layer, cumulative and (where there is one) local, the first bad layer marked.

    Raises
    ------
    UnknownNameError
        When the table has no such numeric column.
    """
    from matplotlib.figure import Figure

    known = [str(name) for name in frame.select_dtypes("number").columns]
    if metric not in known:
        raise unknown_name("metric", metric, known)
    rows = frame[frame[metric].notna()]
    place = np.arange(len(rows))
    made = Figure(figsize=(max(6.0, 0.22 * len(rows)), 4.0), layout="constrained")
    axes = made.subplots()
    axes.plot(place, rows[metric], "o-", color=BLUE, markersize=3, label="through the network")
    if f"local_{metric}" in known:
        axes.plot(place, rows[f"local_{metric}"], "o-", color=GREY, markersize=3, label="this op alone")
    names = [str(name) for name in rows["mod_name"]]
    if first_bad in names:
        axes.axvline(names.index(str(first_bad)), color=RED, linestyle="--", label=f"first bad: {first_bad}")
    axes.set_xticks(place, names, rotation=90, fontsize=6)
    axes.set_ylabel(metric)
    axes.legend(fontsize=8)
    return made


def histogram_figure(values: np.ndarray, threshold: float, name: str = "") -> Figure:
    """Return the histogram of `values` (any shape) on a logarithmic axis, with ``-threshold`` and ``threshold``."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(6.0, 3.5), layout="constrained")
    axes = made.subplots()
    axes.hist(np.asarray(values, np.float64).reshape(-1), bins=128, color=BLUE, log=True)
    for sign in (-1, 1):
        axes.axvline(sign * threshold, color=RED, linestyle="--")
    axes.set_title(f"{name}  codes reach {threshold:.4g}".strip())
    axes.set_ylabel("elements")
    return made


def cost_figure(
    trials: pd.DataFrame, metric: str, target: float | None, chosen: tuple[float, float] | None = None
) -> Figure:
    """Return accuracy over relative cost of `trials` (columns cost and `metric`), with target and choice marked."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(6, 3.5), layout="constrained")
    axes = made.subplots()
    curve = trials.sort_values("cost")
    axes.plot(curve["cost"], curve[metric], "o-", color=BLUE)
    if target is not None:
        axes.axhline(target, color=RED, linestyle="--", label=f"target {target:g}")
    if chosen is not None:
        axes.plot([chosen[0]], [chosen[1]], "o", color=GREEN, markersize=10, label="chosen")
    axes.set_xlabel("relative cost (1: all int8)")
    axes.set_ylabel(metric)
    if target is not None or chosen is not None:
        axes.legend()
    return made
