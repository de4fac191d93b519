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

from qworkbench.emulator.kernels.surface import planes_of
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


LANES = 32
"""Partial sums side by side: wide enough for every vector unit, and the same order of additions on each of them."""

_SUMS = numba.types.UniTuple(numba.types.float64, 7)  # type: ignore[no-untyped-call]


def _read(kind: numba.types.Type) -> numba.types.Type:
    return numba.types.Array(kind, 1, "C", readonly=True)


_REAL = _read(numba.types.float32)
_SIGNATURES = [
    _SUMS(_REAL, _read(kind), numba.types.float32)
    for kind in (numba.types.float32, numba.types.int8, numba.types.int16)
]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fold(a: np.ndarray, b: np.ndarray, scale: np.float32, into: np.ndarray) -> None:
    """Add whole rows of lanes to `into`; a shorter row would keep the inner loop from becoming vector code."""
    # of arrays that it made itself the compiler knows that they do not overlap
    ab, aa, bb, l1, dd = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    top, relative = np.zeros(LANES), np.zeros(LANES)
    for row in range(a.size // LANES):
        start = row * LANES
        for lane in range(LANES):
            x = np.float64(a[start + lane])
            y = np.float64(np.float32(b[start + lane]) * scale)
            d = abs(x - y)
            ab[lane] += x * y
            aa[lane] += x * x
            bb[lane] += y * y
            l1[lane] += d
            dd[lane] += d * d
            top[lane] = d if d > top[lane] else top[lane]
            ratio = d / abs(x)  # 0 / 0 is NaN, which no comparison takes
            relative[lane] = ratio if ratio > relative[lane] else relative[lane]
    into[0] += ab
    into[1] += aa
    into[2] += bb
    into[3] += l1
    into[4] += dd
    into[5] = np.maximum(into[5], top)
    into[6] = np.maximum(into[6], relative)


@numba.njit(_SIGNATURES, cache=True, nogil=True, error_model="numpy")
def _accumulate(
    a: np.ndarray, b: np.ndarray, scale: np.float32
) -> tuple[float, float, float, float, float, float, float]:
    """Return sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a| in float64; `b` counts in `scale`."""
    lanes = np.zeros((7, LANES))
    _fold(a, b, scale, lanes)
    rest = a.size % LANES
    if rest:
        last_a, last_b = np.zeros(LANES, a.dtype), np.zeros(LANES, b.dtype)
        last_a[:rest], last_b[:rest] = a[a.size - rest :], b[a.size - rest :]
        _fold(last_a, last_b, scale, lanes)
    top, relative = lanes[5].max(), lanes[6].max()
    if np.isnan(lanes[4].sum()):
        top = relative = np.nan  # a maximum that ignores NaN would hide a broken tensor
    return lanes[0].sum(), lanes[1].sum(), lanes[2].sum(), lanes[3].sum(), lanes[4].sum(), top, relative


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


def compare_codes(reference: np.ndarray, codes: np.ndarray, scale: float) -> Metrics:
    """Compare the numbers that int8 or int16 `codes` stand for with `reference`, without writing them out.

    Parameters
    ----------
    reference : numpy.ndarray
        float32.
    codes : numpy.ndarray
        int8 or int16, same shape.
    scale : float
        Of the whole tensor; each number is the float32 product of code and scale.

    Raises
    ------
    EmulationError
        When the shapes differ, or the codes are of another dtype.
    """
    if codes.dtype not in (np.int8, np.int16):
        raise EmulationError(f"codes are int8 or int16, got {codes.dtype}; compare() takes real numbers")
    _same_shape(reference, codes)
    flat = planes_of(codes).reshape(-1)
    return metrics_of(np.array([*_accumulate(_flat(reference), flat, np.float32(scale)), flat.size]), scale)


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
    _same_shape(reference, emulated)
    a, b = _flat(reference), _flat(emulated)
    return np.array([*_accumulate(a, b, np.float32(1)), a.size])


def _same_shape(reference: np.ndarray, emulated: np.ndarray) -> None:
    if reference.shape != emulated.shape:
        raise EmulationError(f"cannot compare shapes {reference.shape} and {emulated.shape}")


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
