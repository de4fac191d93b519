"""One pass over a tensor: histogram by bit pattern, extremes, largest magnitude per sample and channel.

Numba; imported on first use, since compiling and loading it costs time that an import must not.
"""

from __future__ import annotations

import numba
import numpy as np

_MAGNITUDE = np.int32(0x7FFFFFFF)
_CHANNEL_FIRST = (127 - 20) << 4


@numba.njit(cache=True, nogil=True)
def observe(bits: np.ndarray, table: np.ndarray, channel_counts: np.ndarray, tops: np.ndarray) -> np.ndarray:
    """Count every element of `bits`.

    Parameters
    ----------
    bits : numpy.ndarray
        int32 view of float32, (samples, channels, rest).
    table : numpy.ndarray
        (2, 32768), added to: upper 15 bits of the magnitude, by sign.
    channel_counts : numpy.ndarray
        (channels, 512), added to; empty where no histogram per channel is kept. Magnitudes outside [2**-20, 2**12)
        count in the first and last bin.
    tops : numpy.ndarray
        int32, (samples, channels), written: bit pattern of the largest magnitude.

    Returns
    -------
    numpy.ndarray
        int32, (2,): bit patterns of the smallest and the largest value.
    """
    last = channel_counts.shape[1] - 1
    low, high = np.int32(2147483647), np.int32(-2147483648)
    for n in range(bits.shape[0]):
        for c in range(bits.shape[1]):
            top = np.int32(0)
            row = bits[n, c]
            for i in range(row.size):
                b = row[i]
                magnitude = b & _MAGNITUDE
                table[(b >> 31) & 1, magnitude >> 16] += 1
                top = max(top, magnitude)
                # order of the floats as order of integers
                key = b ^ ((b >> 31) & _MAGNITUDE)
                low = min(low, key)
                high = max(high, key)
            tops[n, c] = top
            if last >= 0:
                for i in range(row.size):
                    index = ((row[i] & _MAGNITUDE) >> 19) - _CHANNEL_FIRST
                    channel_counts[c, min(max(index, 0), last)] += 1
    ends = np.empty(2, np.int32)
    ends[0] = low ^ ((low >> 31) & _MAGNITUDE)
    ends[1] = high ^ ((high >> 31) & _MAGNITUDE)
    return ends
