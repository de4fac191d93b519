"""Where each output pixel of a Resize looks: indices, and fixed-point weights for linear interpolation.

Per axis, in float32 as torch does, so that nearest picks the same pixels as ``torch.nn.functional.interpolate``. The
coordinate modes are ONNX Resize's: ``asymmetric`` with nearest is torch's ``nearest``, ``half_pixel`` with linear its
``bilinear``, ``align_corners`` its ``align_corners=True``. ``pytorch_half_pixel`` differs from ``half_pixel`` only for
an output of length 1, which looks at coordinate 0.
"""

from __future__ import annotations

import numpy as np

from qworkbench.errors import EmulationError

COORDINATE_MODES = ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")


def _coordinates(length_in: int, length_out: int, mode: str, scale: float | None, offset: float = 0.0) -> np.ndarray:
    """Return the float32 source coordinate of each output position, plus `offset` (0 or 0.5)."""
    if mode not in COORDINATE_MODES:
        raise EmulationError(f"resize: coordinate mode must be one of {', '.join(COORDINATE_MODES)}, got {mode!r}")
    if length_in < 1 or length_out < 1 or (scale is not None and not scale > 0):
        raise EmulationError(f"resize: cannot go from length {length_in} to {length_out} with scale {scale}")
    position = np.arange(length_out, dtype=np.float32)
    if mode == "align_corners":
        step = np.float32(length_in - 1) / np.float32(length_out - 1) if length_out > 1 else np.float32(0)
        return np.asarray(position * step + np.float32(offset))
    step = np.float32(1.0 / scale) if scale is not None else np.float32(length_in) / np.float32(length_out)
    if mode == "asymmetric":
        return np.asarray(position * step)
    if mode == "pytorch_half_pixel" and length_out == 1:
        return np.full(1, offset, dtype=np.float32)
    # product and difference rounded once, as the fused multiply-add in torch's kernels
    centre = (position.astype(np.float64) + 0.5) * np.float64(step) - 0.5
    return np.asarray(centre.astype(np.float32) + np.float32(offset))


def nearest_index(length_in: int, length_out: int, mode: str = "asymmetric", scale: float | None = None) -> np.ndarray:
    """Return the int64 source index of each of `length_out` positions.

    ``asymmetric``: floor of the coordinate (torch ``nearest``); other modes: floor(coordinate + 0.5), which for
    ``half_pixel`` is torch ``nearest-exact``. `scale` is the factor output / input where the user gave one; None takes
    it from the lengths.
    """
    coordinate = _coordinates(length_in, length_out, mode, scale, offset=0.0 if mode == "asymmetric" else 0.5)
    return np.asarray(np.clip(np.floor(coordinate), 0, length_in - 1).astype(np.int64))


def linear_index(
    length_in: int, length_out: int, mode: str = "half_pixel", scale: float | None = None, bits: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``(i0, i1, weight)`` of each output position: int64 neighbours and the int32 weight of the second.

    ``weight = round_half_even(lambda * 2**bits)`` in 0 .. 2**bits, lambda the float32 fraction of the coordinate
    (coordinates left of the first pixel are moved onto it). `scale` as in :func:`nearest_index`; equal lengths copy
    whatever it says, as in torch.
    """
    if length_in == length_out:
        scale = None
    coordinate = np.maximum(_coordinates(length_in, length_out, mode, scale), np.float32(0))
    first = np.minimum(np.floor(coordinate).astype(np.int64), length_in - 1)
    fraction = np.clip(coordinate - first.astype(np.float32), np.float32(0), np.float32(1))
    weight = np.rint(fraction * np.float32(1 << bits)).astype(np.int32)
    return first, np.minimum(first + 1, length_in - 1), weight
