"""The one seam between architectures: what a vector of so many int32 is computed with.

Kernels are written once, for a number of lanes; 4 lanes are :mod:`.arm`'s, 8 and 16 are :mod:`.x86`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qworkbench.emulator.kernels.vector import arm, x86

_OF_LANES: dict[int, Any] = {4: arm, 8: x86, 16: x86}


def dotted(b: Any, dot: str, acc: Any, pixel: Any, weight: Any) -> Any:
    """Return `acc` plus the products of 32 bits of pixel with 32 bits of weight, in every lane.

    What is multiplied is the `dot`: ``busd`` unsigned by signed bytes, ``sdot`` signed bytes, ``wssd`` and ``madd``
    pairs of int16; ``smmla`` multiplies matrices of signed bytes (:func:`.arm.dotted`).
    """
    return _OF_LANES[acc.type.count].dotted(b, dot, acc, pixel, weight)


def looked_up(b: Any, codes: Any, order: Any) -> Any:
    """Return the bytes of `codes` in an `order` that holds places within each 128 bits."""
    return _OF_LANES[codes.type.count // 4].looked_up(b, codes, order)


def nearest(b: Any, value: Any) -> Any:
    """Return a float32 vector rounded half to even as int32; undefined out of range."""
    return _OF_LANES[value.type.count].nearest(b, value)


def nearest_of_double(b: Any, value: Any) -> Any:
    """Return a float64 vector rounded half to even as int32; undefined out of range."""
    return _OF_LANES[value.type.count].nearest_of_double(b, value)


def packed(b: Any, vectors: Sequence[Any]) -> Any:
    """Return int32 vectors as one vector of int8 in their order, saturating."""
    return _OF_LANES[vectors[0].type.count].packed(b, vectors)


def packed_by_quads(b: Any, vectors: Sequence[Any]) -> Any:
    """Return four int32 vectors as int8, saturating: of each 128 bits, four lanes of the first, four of the next."""
    return _OF_LANES[vectors[0].type.count].packed_by_quads(b, vectors)


def packed_pair(b: Any, vectors: Sequence[Any]) -> Any:
    """Return two int32 vectors as int16, saturating: of each 128 bits, four lanes of the first, four of the other."""
    return _OF_LANES[vectors[0].type.count].packed_pair(b, vectors)
