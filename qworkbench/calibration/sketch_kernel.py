"""One pass over a tensor: histogram by bit pattern, extremes, largest values per sample and channel.

Numba; imported on first use, since compiling and loading it costs time that an import must not. Indices are unsigned
throughout: a signed one makes numba test for negative values in the innermost loop, which costs more than the count.
"""

from __future__ import annotations

import numba
import numpy as np

_MAGNITUDE = np.int32(0x7FFFFFFF)
_CHANNEL_BINS = 512
_CHANNEL_FIRST = np.int32((127 - 20) << 4)
_SPREAD = 16


@numba.njit(cache=True, nogil=True)
def observe(bits: np.ndarray, table: np.ndarray, tops: np.ndarray) -> np.ndarray:
    """Count every element of `bits`.

    Parameters
    ----------
    bits : numpy.ndarray
        int32 view of float32, (samples, channels, rest), contiguous.
    table : numpy.ndarray
        (65536,), added to: upper 16 bits of the pattern, so the sign comes first, then 15 bits of the magnitude.
    tops : numpy.ndarray
        int32, (2, samples, channels), written: bit patterns of the largest magnitude among the values >= 0, and among
        those below 0; 0 where there are none.

    Returns
    -------
    numpy.ndarray
        int32, (2,): bit patterns of the smallest and the largest value.
    """
    shift = np.uint32(16)
    # patterns of values >= 0 rise with the value, those below 0 with the magnitude
    largest, farthest = np.int32(-2147483648), np.uint32(0)
    for n in range(bits.shape[0]):
        for c in range(bits.shape[1]):
            row = bits[n, c]
            high, far = np.int32(-2147483648), np.uint32(0)
            for i in range(row.size):
                high, far = max(high, row[i]), max(far, np.uint32(row[i]))
            for i in range(row.size):
                table[np.uint32(row[i]) >> shift] += table.dtype.type(1)
            tops[0, n, c] = max(high, np.int32(0))
            tops[1, n, c] = np.int32(far) & _MAGNITUDE if np.int32(far) < 0 else np.int32(0)
            largest, farthest = max(largest, high), max(farthest, far)
    ends = np.empty(2, np.int32)
    flat = bits.reshape(-1)
    ends[0] = np.int32(farthest) if np.int32(farthest) < 0 else flat.min()
    ends[1] = largest if largest >= 0 else np.int32(flat.view(np.uint32).min())
    return ends


@numba.njit(cache=True, nogil=True)
def count_channels(bits: np.ndarray, counts: np.ndarray) -> None:
    """Count magnitudes per channel.

    Parameters
    ----------
    bits : numpy.ndarray
        As for :func:`observe`.
    counts : numpy.ndarray
        (channels, 512), added to. Magnitudes outside [2**-20, 2**12) count in the first and last bin.
    """
    here = np.zeros(_SPREAD + _CHANNEL_BINS, np.uint32)
    top = np.int32(_CHANNEL_BINS - 1)
    for c in range(bits.shape[1]):
        for n in range(bits.shape[0]):
            row = bits[n, c]
            for i in range(row.size):
                here[_place(row[i] & _MAGNITUDE, top, i)] += np.uint32(1)
        _move(here, counts[c])


@numba.njit(cache=True, nogil=True)
def count_rectified(bits: np.ndarray, counts: np.ndarray, ceiling: int) -> None:
    """Do the same for ``min(max(x, 0), ceiling)``, with the bound as a bit pattern."""
    here = np.zeros(_SPREAD + _CHANNEL_BINS, np.uint32)
    # bins rise with the values, so the bound may be put to them; the pattern of any value below 0 is below 0
    top = min((np.int32(ceiling) >> np.int32(19)) - _CHANNEL_FIRST, np.int32(_CHANNEL_BINS - 1))
    for c in range(bits.shape[1]):
        for n in range(bits.shape[0]):
            row = bits[n, c]
            for i in range(row.size):
                here[_place(row[i], top, i)] += np.uint32(1)
        _move(here, counts[c])


@numba.njit(cache=True, nogil=True)
def _place(pattern: np.int32, top: np.int32, i: int) -> np.uint32:
    """Return where to count; the first bin has 16 places, used by turns: zeros come in runs, and a count would wait."""
    place = min((pattern >> np.int32(19)) - _CHANNEL_FIRST, top) + np.int32(_SPREAD)
    return np.uint32(max(place, np.int32(i) & np.int32(_SPREAD - 1)))


@numba.njit(cache=True, nogil=True)
def _move(here: np.ndarray, counts: np.ndarray) -> None:
    for i in range(_SPREAD):
        counts[0] += here[i]
    for i in range(_CHANNEL_BINS):
        counts[i] += here[_SPREAD + i]
    here[:] = 0
