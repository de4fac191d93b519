"""Reductions over axes: an exact integer sum and one requantize; maximum, minimum and their positions pass through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qworkbench.numerics import checks
from qworkbench.numerics.arithmetic import Requantize
from qworkbench.numerics.reference.rescale import requantize


def reduce_sum(x: np.ndarray, axes: tuple[int, ...], keepdims: bool, rq: Requantize) -> np.ndarray:
    """Return ``requantize(sum over axes)`` with the one multiplier ``s_x / s_y``; the sum is int64."""
    checks.codes("reduce_sum", x)
    checks.requantize("reduce_sum", rq, 1)
    return requantize(np.asarray(x.sum(axis=tuple(axes), keepdims=keepdims, dtype=np.int64)), rq)


def reduce_mean(x: np.ndarray, axes: tuple[int, ...], keepdims: bool, rq: Requantize) -> np.ndarray:
    """Return :func:`reduce_sum` with the multiplier divided (in float64) by the number of reduced elements."""
    checks.codes("reduce_mean", x)
    multiplier = checks.requantize("reduce_mean", rq, 1)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    return reduce_sum(x, axes, keepdims, replace(rq, multiplier=multiplier / count))


def reduce_max(x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Return the largest code over `axes`."""
    checks.codes("reduce_max", x)
    return np.asarray(x.max(axis=tuple(axes), keepdims=keepdims))


def reduce_min(x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Return the smallest code over `axes`."""
    checks.codes("reduce_min", x)
    return np.asarray(x.min(axis=tuple(axes), keepdims=keepdims))


def argmax(x: np.ndarray, axis: int, keepdims: bool) -> np.ndarray:
    """Return the int64 position of the largest code along `axis`; the first of equals."""
    checks.codes("argmax", x)
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims)).astype(np.int64)


def argmin(x: np.ndarray, axis: int, keepdims: bool) -> np.ndarray:
    """Return the int64 position of the smallest code along `axis`; the first of equals."""
    checks.codes("argmin", x)
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdims)).astype(np.int64)
