"""Distances between a float tensor and its emulated twin, in one pass over the data.

Definitions as the vendor's tables print them (verified there numerically): cosine over the whole tensor, L1 = mean
|a - b|, MSE = mean (a - b)^2, Atol = max |a - b|, Rtol = max |a - b| / |a|, SQNR = 10 log10(sum a^2 / sum (a - b)^2),
max_qscale_diff = Atol / scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from qworkbench.errors import EmulationError


@dataclass(frozen=True, slots=True)
class Metrics:
    """Distances of one tensor from its float reference.

    Attributes
    ----------
    cosine, l1, mse, atol, rtol, sqnr : float
        See the module docstring; ``sqnr`` in dB, inf where the tensors are equal.
    scale : float or None
        Output scale of the emulated tensor, where it has one.
    """

    cosine: float
    l1: float
    mse: float
    atol: float
    rtol: float
    sqnr: float
    scale: float | None = None

    @property
    def max_qscale_diff(self) -> float | None:
        """Largest difference in steps of the output scale (LSB)."""
        return None if self.scale is None else self.atol / self.scale


_READ = numba.types.Array(numba.types.float32, 1, "C", readonly=True)
_SUMS = numba.types.UniTuple(numba.types.float64, 7)  # type: ignore[no-untyped-call]


@numba.njit(_SUMS(_READ, _READ), cache=True, nogil=True)
def _accumulate(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float, float, float, float, float]:
    """Return sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a| in float64."""
    ab = aa = bb = l1 = dd = top = relative = 0.0
    for i in range(a.size):
        x, y = np.float64(a[i]), np.float64(b[i])
        d = abs(x - y)
        ab += x * y
        aa += x * x
        bb += y * y
        l1 += d
        dd += d * d
        # NaN wins and stays: a maximum that ignores NaN would hide a broken tensor
        if d > top or np.isnan(d):
            top = d
        if d != 0.0:
            ratio = d / abs(x) if x != 0.0 else d * np.inf
            if ratio > relative or np.isnan(ratio):
                relative = ratio
    return ab, aa, bb, l1, dd, top, relative


def _decibel(signal: float, noise: float) -> float:
    if math.isnan(noise) or math.isnan(signal):
        return math.nan
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def compare(reference: np.ndarray, emulated: np.ndarray, scale: float | None = None) -> Metrics:
    """Compare `emulated` with `reference`.

    Parameters
    ----------
    reference, emulated : numpy.ndarray
        Same shape; integers and booleans are compared as numbers.
    scale : float, optional
        Output scale, for :attr:`Metrics.max_qscale_diff`.

    Returns
    -------
    Metrics
        Two all-zero tensors have cosine 1.0, one all-zero tensor against another has 0.0.

    Raises
    ------
    EmulationError
        When the shapes differ.
    """
    return metrics_of(sums(reference, emulated), scale)


def sums(reference: np.ndarray, emulated: np.ndarray) -> np.ndarray:
    """Return what every distance is made of, so that distances of a stream need no tensor of the whole.

    Parameters
    ----------
    reference, emulated : numpy.ndarray
        Same shape.

    Returns
    -------
    numpy.ndarray
        float64, (8,): sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a|, number of elements.
        :func:`merged` adds two of them, :func:`metrics_of` reads distances off one.

    Raises
    ------
    EmulationError
        When the shapes differ.
    """
    if reference.shape != emulated.shape:
        raise EmulationError(f"cannot compare shapes {reference.shape} and {emulated.shape}")
    a, b = _flat(reference), _flat(emulated)
    return np.array([*_accumulate(a, b), a.size])


def _flat(tensor: np.ndarray) -> np.ndarray:
    """Return the numbers of `tensor` as float32; a complex one counts as its real and imaginary parts."""
    if np.iscomplexobj(tensor):
        return np.ascontiguousarray(tensor, np.complex64).reshape(-1).view(np.float32)
    return np.ascontiguousarray(tensor, np.float32).reshape(-1)


def merged(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the :func:`sums` of both parts together; NaN stays."""
    whole = first + second
    whole[5:7] = np.maximum(first[5:7], second[5:7])
    return np.asarray(whole)


def metrics_of(total: np.ndarray, scale: float | None = None) -> Metrics:
    """Return the distances that :func:`sums` stand for."""
    ab, aa, bb, l1, dd, top, relative, size = map(float, total)
    if size == 0:
        return Metrics(1.0, 0.0, 0.0, 0.0, 0.0, math.inf, scale)
    norm = math.sqrt(aa) * math.sqrt(bb)
    cosine = ab / norm if norm > 0 else math.nan if math.isnan(norm) else float(aa == bb)
    if dd == 0:
        cosine = 1.0  # equal tensors, where the two roots may still differ in their last bit
    elif abs(cosine) > 1.0:
        cosine = math.copysign(1.0, cosine)
    sqnr = math.inf if dd == 0 else _decibel(aa, dd)
    return Metrics(cosine, l1 / size, dd / size, top, relative, sqnr, scale)
