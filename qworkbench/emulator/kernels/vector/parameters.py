"""The row of int64 parameters that a sweep is called with, so that every kernel has one signature.

Addresses, distances in bytes, counts and modes; :mod:`.frames` and :mod:`.product` fill the row, generated code and
drivers read it. A window begins at one of PIXELS and ends less than REACH behind it; a residual adds at most MARGIN.
"""

from __future__ import annotations

(X, PIXELS, REACHES, TURNS, WEIGHTS, PANELS, PANEL_BYTES, BIAS, SCALE, OUT, PLACES, LOW, HIGH, COUNT,
 CHANNELS, SHIFTS, MODE, CODES, CODE_BYTES, RATIO, COUNTER, CHUNKS, PANEL_PARTS, WIDE, TAIL, PIXELS_OF_TILE, SIGN,
 REST, WHOLE, PART, PARTS, OVERFLOW, ORDER, STEP, SPAN, PLANE, REACH, MARGIN,
 WORDS) = range(39)  # fmt: skip
INT8, INT16, INT32 = range(3)  # MODE: what leaves
UNROLLED = 4  # groups of one turn of the inner loop; TURNS of them are followed by REST groups
