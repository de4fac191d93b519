"""The ratio of a residual as two integers that round every int8 code as float64 does.

``round_half_even(code * ratio) == code * whole + ((code * part + 2**23) >> 24)`` for each of the 256 codes, or there is
no such pair: a product lies on a tie, where rounding to even needs the exact ratio.
"""

from __future__ import annotations

import numpy as np

BITS = 24
CODES = np.arange(1, 129)


def split_ratio(ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return int32 `whole` and `part` of a float64 `ratio` (channels,) below 2**16; None where one has none."""
    if not ratio.size or float(ratio.max()) >= 65535.0:
        return None
    whole = np.floor(ratio)
    part = np.rint((ratio - whole) * 2**BITS).astype(np.int64)
    products = CODES[:, None] * ratio
    products -= np.floor(products)
    products -= 0.5
    near = np.abs(products, out=products).min(axis=0) < 2.0 ** (9 - BITS)  # of a tie: 128 * 2**-25 does not reach it
    for channel in np.flatnonzero(near):
        found = _between(float(ratio[channel]), int(whole[channel]))
        if found is None:
            return None
        part[channel] = found
    carry = part >> BITS
    return (whole.astype(np.int64) + carry).astype(np.int32), (part - (carry << BITS)).astype(np.int32)


def _between(ratio: float, whole: int) -> int | None:
    """Return a part that rounds all codes, from the bounds that each of them sets.

    ``rounded * 2**24 <= code * part + 2**23 < (rounded + 1) * 2**24``.
    """
    codes = np.arange(-128, 128)
    codes = codes[codes != 0]
    rounded = np.rint(codes * ratio).astype(np.int64) - codes * whole
    least, most = (rounded << BITS) - (1 << BITS - 1), ((rounded + 1) << BITS) - (1 << BITS - 1) - 1
    up, down = codes > 0, codes < 0
    lower = np.concatenate([-(-least[up] // codes[up]), -(most[down] // -codes[down])]).max()
    upper = np.concatenate([most[up] // codes[up], -least[down] // -codes[down]]).min()
    return int((lower + upper) // 2) if lower <= upper else None
