"""Figures of the analyses: metrics, ranges and errors per layer, values of one tensor, accuracy over cost.

Made without pyplot, so there is no global state. Knows tables and arrays only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qworkbench.analysis.quantization_error import HEALTHY_RMSE
from qworkbench.analysis.shown import new_figure
from qworkbench.errors import AnalysisError, unknown_name
from qworkbench.numerics.dtypes import QMAX

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
    known = [str(name) for name in frame.select_dtypes("number").columns]
    if metric not in known:
        raise unknown_name("metric", metric, known)
    rows = frame[frame[metric].notna()]
    place = np.arange(len(rows))
    made = new_figure(figsize=(max(6.0, 0.22 * len(rows)), 4.0))
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


def range_figure(frame: pd.DataFrame, side: str = "base") -> Figure:
    """Return min, mean and max per layer of the float ("base") or the emulated ("analy") side, and where codes end.

    Raises
    ------
    UnknownNameError
    """
    if side not in ("base", "analy"):
        raise unknown_name("side", side, ("base", "analy"))
    rows = frame[frame[f"{side}_model_max"].notna()]
    place = np.arange(len(rows))
    made = new_figure(figsize=(max(6.0, 0.22 * len(rows)), 4.0))
    axes = made.subplots()
    axes.fill_between(place, rows[f"{side}_model_min"], rows[f"{side}_model_max"], color=BLUE, alpha=0.25, step="mid")
    for part, colour in (("min", BLUE), ("mean", GREY), ("max", BLUE)):
        axes.plot(place, rows[f"{side}_model_{part}"], "o-", color=colour, markersize=2, label=part)
    limit = rows["qscale"] * rows["quant_dtype"].map({name: float(QMAX[name]) for name in ("int8", "int16")})
    for sign in (-1, 1):
        axes.plot(place, sign * limit, "_", color=RED, label="codes reach" if sign > 0 else None)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_xticks(place, [str(name) for name in rows["mod_name"]], rotation=90, fontsize=6)
    axes.set_ylabel("value")
    axes.legend(fontsize=8)
    return made


def accumulated_figure(frame: pd.DataFrame) -> Figure:
    """Return the rmse in steps of each layer's scale, through the network and alone, against the healthy 0.29."""
    rows = frame[frame["rmse_qscale"].notna()]
    place = np.arange(len(rows))
    made = new_figure(figsize=(max(6.0, 0.22 * len(rows)), 4.0))
    axes = made.subplots()
    axes.plot(place, rows["rmse_qscale"], "o-", color=BLUE, markersize=3, label="accumulated")
    axes.plot(place, rows["local_rmse_qscale"], "o-", color=GREY, markersize=3, label="this op alone")
    axes.axhline(HEALTHY_RMSE, color=GREEN, linestyle="--", label=f"healthy rounding, {HEALTHY_RMSE:.2f}")
    axes.set_yscale("log")
    axes.set_xticks(place, [str(name) for name in rows["mod_name"]], rotation=90, fontsize=6)
    axes.set_ylabel("rmse / scale")
    axes.legend(fontsize=8)
    return made


def channel_figure(values: np.ndarray, threshold: float, name: str = "", axis: int = 1) -> Figure:
    """Return a box per channel of `values` (whiskers at the extremes), with ``-threshold`` and ``threshold``.

    Raises
    ------
    AnalysisError
        When `values` has no such axis.
    """
    if values.ndim <= axis:
        raise AnalysisError(f"{name or 'the tensor'} has rank {values.ndim}, so there is no channel axis {axis}")
    rows = np.moveaxis(np.asarray(values, np.float64), axis, 0).reshape(values.shape[axis], -1)
    made = new_figure(figsize=(max(6.0, 0.12 * len(rows)), 3.5))
    axes = made.subplots()
    axes.boxplot(list(rows), whis=(0, 100), showfliers=False, widths=0.7, medianprops={"color": BLUE})
    for sign in (-1, 1):
        axes.axhline(sign * threshold, color=RED, linestyle="--")
    step = max(1, len(rows) // 20)
    axes.set_xticks(range(1, len(rows) + 1, step), [str(k) for k in range(0, len(rows), step)], fontsize=7)
    axes.set_xlabel("channel")
    axes.set_title(f"{name}  codes reach {threshold:.4g}".strip())
    return made


def histogram_figure(values: np.ndarray, threshold: float, name: str = "") -> Figure:
    """Return the histogram of `values` (any shape) on a logarithmic axis, with ``-threshold`` and ``threshold``."""
    made = new_figure(figsize=(6.0, 3.5))
    axes = made.subplots()
    axes.hist(np.asarray(values, np.float64).reshape(-1), bins=128, color=BLUE, log=True)
    for sign in (-1, 1):
        axes.axvline(sign * threshold, color=RED, linestyle="--")
    axes.set_title(f"{name}  codes reach {threshold:.4g}".strip())
    axes.set_ylabel("elements")
    return made


def cost_figure(
    trials: pd.DataFrame,
    metric: str,
    target: float | None,
    chosen: tuple[float, float] | None = None,
    unit: str = "1: all int8",
) -> Figure:
    """Return accuracy over the cost of `trials` (columns cost and `metric`), with target and choice marked."""
    made = new_figure(figsize=(6, 3.5))
    axes = made.subplots()
    curve = trials.sort_values("cost")
    axes.plot(curve["cost"], curve[metric], "o-", color=BLUE)
    if target is not None:
        axes.axhline(target, color=RED, linestyle="--", label=f"target {target:g}")
    if chosen is not None:
        axes.plot([chosen[0]], [chosen[1]], "o", color=GREEN, markersize=10, label="chosen")
    axes.set_xlabel(f"cost ({unit})")
    axes.set_ylabel(metric)
    if target is not None or chosen is not None:
        axes.legend()
    return made
