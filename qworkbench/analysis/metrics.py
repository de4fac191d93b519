"""Distances between a float tensor and its emulated twin, in one pass over the data.

Definitions as the vendor's tables print them (verified there numerically): cosine over the whole tensor, L1 = mean
|a - b|, MSE = mean (a - b)^2, Atol = max |a - b|, Rtol = max |a - b| / |a|, SQNR = 10 log10(sum a^2 / sum (a - b)^2),
max_qscale_diff = Atol / scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from qworkbench.emulator.kernels.distance_sums import Pair, Reference, distance_sums
from qworkbench.emulator.kernels.values import Value
from qworkbench.errors import EmulationError

REAL = np.dtype(np.float32)
CODES = (np.dtype(np.int8), np.dtype(np.int16))


class Metrics(NamedTuple):
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


def _decibel(signal: float, noise: float) -> float:
    ratio = signal / noise
    return math.nan if math.isnan(ratio) else 10 * math.log10(ratio) if ratio > 0 else -math.inf


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
    return compare_all([(reference, codes, scale)])[0]


def compare_all(given: Sequence[tuple[np.ndarray | Reference, np.ndarray | Value, float | None]]) -> list[Metrics]:
    """Compare many tensors at once: a small one costs less than in a call of its own.

    Parameters
    ----------
    given : sequence of (numpy.ndarray or Reference, numpy.ndarray or Value, float or None)
        Reference, codes and their scale as :func:`compare_codes` takes them; or reference, real numbers and None, as
        :func:`compare` takes them. A :class:`Reference` that is kept is read with less ado the next time.

    Returns
    -------
    list of Metrics

    Raises
    ------
    EmulationError
        When the shapes of a pair differ, or codes are of another dtype than int8 and int16.
    """
    found = distance_sums([_pair(*one) for one in given])
    return [metrics_of(total, scale) for total, (_, _, scale) in zip(found, given, strict=True)]


def _pair(reference: np.ndarray | Reference, other: np.ndarray | Value, scale: float | None) -> Pair:
    if not isinstance(reference, Reference):
        shape = _array(other).shape
        if reference.shape != shape:  # complex numbers lose their shape
            raise EmulationError(f"cannot compare shapes {reference.shape} and {shape}")
        reference = Reference(_real(reference))
    if scale is None:
        return reference, other if other.dtype == REAL else _real(_array(other)), 1.0
    if other.dtype not in CODES:
        raise EmulationError(f"codes are int8 or int16, got {other.dtype}; compare() takes real numbers")
    return reference, other, scale


def _array(one: np.ndarray | Value) -> np.ndarray:
    return one.array if isinstance(one, Value) else one


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
    return np.array(distance_sums([_pair(reference, emulated, None)])[0])


def _real(tensor: np.ndarray) -> np.ndarray:
    """Return the numbers of `tensor` as float32; a complex one counts as its real and imaginary parts."""
    if tensor.dtype == REAL:
        return tensor
    if np.iscomplexobj(tensor):
        return np.ascontiguousarray(tensor, np.complex64).reshape(-1).view(np.float32)
    return tensor.astype(np.float32)


def merged(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the :func:`sums` of both parts together; NaN stays."""
    whole = first + second
    whole[5:7] = np.maximum(first[5:7], second[5:7])
    return np.asarray(whole)


def metrics_of(total: Iterable[float], scale: float | None = None) -> Metrics:
    """Return the distances that :func:`sums` stand for."""
    ab, aa, bb, l1, dd, top, relative, size = total.tolist() if isinstance(total, np.ndarray) else total
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
