"""Weights, biases and multipliers of multiply-accumulate operators as integers.

Weights are symmetric per output channel, the bias lives on the accumulator's scale ``s_x * s_w[c]`` (documented public
facts of the toolchain). Pure numpy; knows arrays and scales only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.errors import EmulationError
from qworkbench.numerics.arithmetic import Multiplier
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN, scale_from_threshold

BLOCK = 64 * 1024
"""How many numbers of a weight are worked on at once, so that they are in cache from the first step to the last."""


def quantize_weight(
    w: np.ndarray, channel_axis: int, dtype: str = "int8", scales: tuple[float, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of `w` and one scale per channel.

    ``s[c] = max|w[c]| / 127`` (int16: 32767) in float32 unless `scale` is given, an all-zero channel has scale 1;
    ``q = clamp(round_half_even(w / s))``.

    Parameters
    ----------
    w : numpy.ndarray
        float32, finite.
    channel_axis : int
        Of the output channel: 0 for Conv and Gemm, 1 for ConvTranspose with group 1.
    dtype : "int8" | "int16"
    scales : tuple of float, optional
        One, or one per channel, that the model itself stores `w` with; they replace the rule above.

    Returns
    -------
    codes : numpy.ndarray
        `dtype`, the shape of `w`, C-contiguous.
    scale : numpy.ndarray
        float32, (channels,).
    """
    w = np.asarray(w, dtype=np.float32)
    rows = np.moveaxis(w, channel_axis, 0)
    codes = np.empty(w.shape, NUMPY[dtype])
    into = np.moveaxis(codes, channel_axis, 0)
    scale = np.empty(rows.shape[0], np.float32)
    if scales is not None:
        scale[:] = np.asarray(scales, np.float32)
    many = min(max(1, BLOCK // max(1, rows[:1].size)), max(1, len(rows)))
    room = np.empty((many, *rows.shape[1:]), np.float32)
    for first in range(0, rows.shape[0], many):
        part = slice(first, first + many)
        _quantize_rows(rows[part], into[part], scale[part], dtype, room, found=scales is None)
    return codes, scale


def _quantize_rows(
    w: np.ndarray, codes: np.ndarray, scale: np.ndarray, dtype: str, room: np.ndarray, *, found: bool
) -> None:
    """Fill `codes`, and `scale` where it is to be `found`, of some channels, which lie along the first axis."""
    axes = tuple(range(1, w.ndim))
    largest = np.maximum(w.max(axis=axes, initial=0.0), -w.min(axis=axes, initial=0.0))
    if not np.isfinite(largest).all():
        raise EmulationError(f"a weight with channels of shape {w.shape[1:]} holds NaN or infinity, which has no code")
    if found:
        scale[:] = np.where(largest > 0, np.maximum(largest / np.float32(QMAX[dtype]), np.finfo(np.float32).tiny), 1)
    steps = np.divide(w, scale.reshape(-1, *(1,) * len(axes)), out=room[: len(w)])
    np.rint(steps, out=steps)
    if not found:  # the rule leaves none beyond: the largest is a few millionths of a step off
        np.clip(steps, QMIN[dtype], QMAX[dtype], out=steps)
    codes[...] = steps


def constant_codes(x: np.ndarray, dtype: str, scale: np.float32 | None = None) -> tuple[np.ndarray, np.float32]:
    """Return the codes of a constant operand and their scale.

    ``s = max|x| / 127`` (int16: 32767) unless `scale` is given, so that nothing is cut off;
    ``q = clamp(round_half_even(x / s))``.

    Parameters
    ----------
    x : numpy.ndarray
        float32, any shape.
    dtype : "int8" | "int16"
    scale : numpy.float32, optional
        > 0.
    """
    if scale is None:
        scale = scale_from_threshold(float(np.abs(x).max(initial=0.0)), dtype, 127)
    codes = np.asarray(np.clip(np.rint(x / scale), QMIN[dtype], QMAX[dtype]))
    return codes.astype(NUMPY[dtype]), np.float32(scale)


def quantize_bias(b: np.ndarray, s_x: float, s_w: np.ndarray) -> tuple[np.ndarray, int]:
    """Return ``round_half_even(b / (s_x * s_w[c]))`` as int32 and how many channels saturated; float64 throughout.

    `b` is float32 (channels,), `s_w` is float32 (channels,) or (1,).
    """
    if not np.isfinite(b).all():
        raise EmulationError(f"a bias of shape {np.shape(b)} holds NaN or infinity, which has no code")
    with np.errstate(over="ignore"):
        real = np.rint(np.asarray(b, dtype=np.float64) / (float(s_x) * np.asarray(s_w, dtype=np.float64)))
    saturated = np.clip(real, QMIN["int32"], QMAX["int32"])
    return saturated.astype(np.int32), int(np.count_nonzero(saturated != real))


def conv_multiplier(s_x: float, s_w: np.ndarray, s_y: float, kind: Multiplier) -> np.ndarray:
    """Return ``s_x * s_w[c] / s_y`` as float64, (channels,).

    ``float32``: ``(s_x * s_w) / s_y`` with both steps in float32, as ONNX Runtime's QLinearConv; others in float64.
    """
    real: Any = np.float32 if kind == "float32" else np.float64
    return np.atleast_1d((real(s_x) * np.asarray(s_w, dtype=real)) / real(s_y)).astype(np.float64)
