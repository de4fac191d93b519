"""The row that a pass over pairs is called with, 8 bytes a word, so that one table goes in and comes out.

Two addresses; the scale of the other operand as float64, and what numbers it holds; how many images, lines and runs of
a line there are, and the numbers of a run; the bytes between images, lines and runs of the reference and of the other
operand. What comes out as float64: sum ab, sum a^2, sum b^2, sum |d|, sum d^2, max |d|, max |d| / |a|, the two maxima
over what is no NaN.
"""

from __future__ import annotations

REFERENCE, OTHER, SCALE, KIND, SPAN, STEP, AT, SUMS, WORDS = 0, 1, 2, 3, 4, 8, 11, 14, 21
"""Where the parts of a row begin, and how long it is."""
INT8, INT16, FLOAT32 = range(3)  # KIND
