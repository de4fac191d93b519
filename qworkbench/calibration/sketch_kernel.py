"""Kernels of the sketch: one look at a tensor for its extremes and its codes, and the counting of codes.

What a histogram by bit pattern needs of a float32 is its upper 16 bits, the *code*: sign, exponent and 7 bits of the
mantissa. Numba; imported on first use, since compiling and loading it costs time that an import must not. Indices are
unsigned throughout: a signed one makes numba test for negative values in the innermost loop, which costs more than the
count.
"""

from __future__ import annotations

import numba
import numpy as np

from qworkbench.calibration.bins import SPREAD

_MAGNITUDE = np.int32(0x7FFFFFFF)
_CHANNEL_FIRST = np.int32((127 - 20) << 4)
_ANY_SIGN, _SIGNED = np.int32(0x7FFF), np.int32(-1)
_BLOCK = 1 << 14

_Found = tuple[np.int32, np.uint32, np.uint32]
_NOTHING: _Found = (np.int32(-2147483648), np.uint32(0), np.uint32(0xFFFFFFFF))
"""Largest pattern as a signed number; largest and smallest one as an unsigned number."""


@numba.njit(cache=True, nogil=True)
def encode(
    bits: np.ndarray, codes: np.ndarray, step: int, tops: np.ndarray, samples: np.ndarray, ends: np.ndarray
) -> None:
    """Write the codes of `bits`, and find the extremes.

    Parameters
    ----------
    bits : numpy.ndarray
        int32 view of float32, (samples, channels, rest), contiguous.
    codes : numpy.ndarray
        uint16, (samples, channels, rest / step rounded up), written.
    step : int
        Only each such element of the last axis has its code written; extremes are those of all.
    tops : numpy.ndarray
        int32, (2, channels), raised: bit patterns of the largest magnitude among the values >= 0, and among those
        below 0; 0 where there are none.
    samples : numpy.ndarray
        int32, (2, samples), raised: the same per sample.
    ends : numpy.ndarray
        float32, (2,), written: the smallest and the largest value.
    """
    found = _NOTHING
    for n in range(bits.shape[0]):
        found = _encode(bits[n], codes[n], step, tops, samples[:, n], found)
    _write_ends(found, ends)


@numba.njit(cache=True, nogil=True)
def count(codes: np.ndarray, table: np.ndarray, magnitudes: np.ndarray, rectified: np.ndarray, ceiling: int) -> None:
    """Count codes.

    Parameters
    ----------
    codes : numpy.ndarray
        uint16, (samples, channels, rest), contiguous.
    table : numpy.ndarray
        (65536,), added to: one bin per code, so values >= 0 come first.
    magnitudes : numpy.ndarray
        (channels, 16 + bins), added to: magnitudes in bins of 1/16 of a factor of two from 2**-20; those outside count
        in the first and last bin, and those of the first by turns in the 16 places in front: zeros come in runs, and a
        count would wait for the one before. No rows: not wanted.
    rectified : numpy.ndarray
        The same of ``min(max(x, 0), ceiling)``.
    ceiling : int
        Bit pattern of a float32 > 0.
    """
    _count(codes, table, magnitudes, rectified, ceiling, np.empty(codes.shape[2], np.uint16))


@numba.njit(cache=True, nogil=True)
def observe(
    bits: np.ndarray,
    step: int,
    tops: np.ndarray,
    samples: np.ndarray,
    ends: np.ndarray,
    table: np.ndarray,
    magnitudes: np.ndarray,
    rectified: np.ndarray,
    ceiling: int,
) -> None:
    """Do the work of :func:`encode` and :func:`count` at once: codes are counted while they are in the cache."""
    together = max(1, _BLOCK // max(bits.shape[2], 1))
    codes = np.empty((1, together, (bits.shape[2] + step - 1) // step), np.uint16)
    scratch = np.empty(codes.shape[2], np.uint16)
    found = _NOTHING
    for n in range(bits.shape[0]):
        for c in range(0, bits.shape[1], together):
            rows = bits[n, c : c + together]
            part = codes[:, : rows.shape[0]]
            end = c + rows.shape[0]
            found = _encode(rows, part[0], step, tops[:, c:end], samples[:, n], found)
            if c == 0:
                _count(part, table, magnitudes[c:end], rectified[c:end], ceiling, scratch)
    _write_ends(found, ends)


@numba.njit(cache=True, nogil=True)
def _encode(
    bits: np.ndarray, codes: np.ndarray, step: int, tops: np.ndarray, sample: np.ndarray, found: _Found
) -> _Found:
    # patterns of values >= 0 rise with the value, those below 0 with the magnitude
    largest, farthest, nearest = found
    for c in range(bits.shape[0]):
        high, far, near = _NOTHING
        for i in range(bits.shape[1]):
            value = bits[c, i]
            high, far, near = max(high, value), max(far, np.uint32(value)), min(near, np.uint32(value))
        if step == 1:
            for i in range(bits.shape[1]):
                codes[c, i] = np.uint16(np.uint32(bits[c, i]) >> np.uint32(16))
        else:
            for i in range(codes.shape[1]):
                codes[c, i] = np.uint16(np.uint32(bits[c, i * step]) >> np.uint32(16))
        positive = max(high, np.int32(0))
        negative = np.int32(far) & _MAGNITUDE if np.int32(far) < 0 else np.int32(0)
        tops[0, c], tops[1, c] = max(tops[0, c], positive), max(tops[1, c], negative)
        sample[0], sample[1] = max(sample[0], positive), max(sample[1], negative)
        largest, farthest, nearest = max(largest, high), max(farthest, far), min(nearest, near)
    return largest, farthest, nearest


@numba.njit(cache=True, nogil=True)
def _write_ends(found: _Found, ends: np.ndarray) -> None:
    largest, farthest, nearest = found
    patterns = ends.view(np.int32)
    patterns[0] = np.int32(farthest) if np.int32(farthest) < 0 else np.int32(nearest)
    patterns[1] = largest if largest >= 0 else np.int32(nearest)


@numba.njit(cache=True, nogil=True)
def _count(
    codes: np.ndarray,
    table: np.ndarray,
    magnitudes: np.ndarray,
    rectified: np.ndarray,
    ceiling: int,
    scratch: np.ndarray,
) -> None:
    for n in range(codes.shape[0]):
        for c in range(codes.shape[1]):
            for i in range(codes.shape[2]):
                table[codes[n, c, i]] += table.dtype.type(1)
    last = np.int32(magnitudes.shape[1] - SPREAD - 1)
    # bins rise with the values, so the bound may be put to them
    clipped = np.int32(min((np.int32(ceiling) >> np.int32(19)) - _CHANNEL_FIRST, last))
    for c in range(codes.shape[1]):
        for n in range(codes.shape[0]):
            if magnitudes.shape[0]:
                _count_bins(codes[n, c], _ANY_SIGN, last, magnitudes[c], scratch)
            if rectified.shape[0]:
                _count_bins(codes[n, c], _SIGNED, clipped, rectified[c], scratch)


@numba.njit(cache=True, nogil=True)
def _count_bins(codes: np.ndarray, mask: np.int32, top: np.int32, counts: np.ndarray, bins: np.ndarray) -> None:
    """Count in two loops: the bins of many values are found at once, only the counting is not. `bins` is scratch."""
    for i in range(codes.size):
        # the code of any value below 0 is below 0 where the mask leaves its sign
        place = min(((np.int32(np.int16(codes[i])) & mask) >> np.int32(3)) - _CHANNEL_FIRST, top) + np.int32(SPREAD)
        bins[i] = np.uint16(max(place, np.int32(i) & np.int32(SPREAD - 1)))
    for i in range(codes.size):
        counts[bins[i]] += counts.dtype.type(1)
