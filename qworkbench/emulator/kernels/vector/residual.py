"""What a residual adds: a bound of it, and its ratio as two integers that round every int8 code as float64 does.

``round_half_even(code * ratio) == code * whole + ((code * part + 2**23) >> 24)`` for each of the 256 codes, or there is
no such pair: a product lies on a tie, where rounding to even needs the exact ratio.
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.vector.parts import most_of
from qworkbench.numerics.arithmetic import Residual

BITS = 24
NEGATIVE, POSITIVE = np.arange(-128, 0)[:, None], np.arange(1, 128)[:, None]
CODES = np.concatenate([NEGATIVE, POSITIVE])
MAGNITUDES = np.arange(1, 129, dtype=np.uint32)[:, None]
TURN = 32  # bits of a whole in which products are counted
NEAR = (1 << TURN + 8 - BITS) + 128  # of a tie: the error of a part, and of what is cut off, times 128 stay within


def reach_of(residual: Residual, ratio: np.ndarray) -> int:
    """Return a bound of what the codes of `residual` add by the `ratio`, whatever codes of their dtype they are."""
    return int(float(most_of(residual.codes)) * min(float(ratio.max()), 2.0**40)) + 1


def dtype_of(residual: Residual | None) -> np.dtype | None:
    """Return the dtype of the codes that enter, which their bound follows from."""
    return None if residual is None else residual.codes.dtype


def split_ratio(ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return int32 `whole` and `part` of a float64 `ratio` (channels,) below 2**16; None where one has none."""
    if not ratio.size or float(ratio.max()) >= 65535.0:
        return None
    whole = np.floor(ratio)
    rest = ratio - whole
    part = np.rint(rest * 2**BITS).astype(np.int64)
    near = _near_ties(rest)
    if near.size:
        found = _between(ratio[near], whole[near].astype(np.int64))
        if found is None:
            return None
        part[near] = found
    carry = part >> BITS
    return (whole.astype(np.int64) + carry).astype(np.int32), (part - (carry << BITS)).astype(np.int32)


def _near_ties(rest: np.ndarray) -> np.ndarray:
    """Return the channels where a code times `rest`, in [0, 1), comes near a half; for all others rounding it does."""
    products = MAGNITUDES * (rest * 2.0**TURN).astype(np.int64).astype(np.uint32)  # modulo a whole
    products -= np.uint32((1 << TURN - 1) - NEAR)
    return np.flatnonzero(products.min(axis=0) <= np.uint32(2 * NEAR))


def _between(ratio: np.ndarray, whole: np.ndarray) -> np.ndarray | None:
    """Return parts that round all codes, from the bounds that each of them sets; None where a channel has none.

    ``rounded * 2**24 <= code * part + 2**23 < (rounded + 1) * 2**24``.
    """
    rounded = np.rint(CODES * ratio).astype(np.int64) - CODES * whole
    least = (rounded << BITS) - (1 << BITS - 1)
    most = least + ((1 << BITS) - 1)
    down, up = slice(len(NEGATIVE)), slice(len(NEGATIVE), None)
    lower = np.maximum((-(most[down] // -NEGATIVE)).max(axis=0), (-(-least[up] // POSITIVE)).max(axis=0))
    upper = np.minimum((-least[down] // -NEGATIVE).min(axis=0), (most[up] // POSITIVE).min(axis=0))
    return (lower + upper) // 2 if (lower <= upper).all() else None
