"""Which Einsum is a product of matrices: the permutations of its operands and of its result, found from the letters.

``bhqd,bhkd->bhqk`` is a MatMul whose right side has its last two axes swapped. One letter is summed over; letters that
both operands share are axes of a batch; every other letter stands in one operand and in the result. Sums over several
letters or over one operand alone, diagonals, outer products and axes that are broadcast are something else. Knows
letters and sizes; nothing of graphs or front ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

Permutation = tuple[int, ...]
_DOTS = 0xE000
"""Stands for the first axis behind an ellipsis, counted from the last one; the others follow."""


@dataclass(frozen=True, slots=True)
class Product:
    """An Einsum of two operands as ``transpose(matmul(transpose(left), transpose(right)))``.

    Attributes
    ----------
    swapped : bool
        Whether the second operand is the left factor.
    left, right, result : tuple of int
        Permutations of the factors and of what they give.
    """

    swapped: bool
    left: Permutation
    right: Permutation
    result: Permutation

    @property
    def moves(self) -> int:
        """How many of the permutations move anything."""
        return sum(not is_identity(perm) for perm in (self.left, self.right, self.result))


def is_identity(perm: Permutation) -> bool:
    """Tell whether `perm` leaves every axis where it is."""
    return perm == tuple(range(len(perm)))


def as_product(
    equation: str, first: Sequence[Hashable], second: Sequence[Hashable], *, right: int | None = None
) -> Product | None:
    """Return `equation` as a product of matrices with as few transpositions as possible; None where it is none.

    Parameters
    ----------
    equation : str
        As ``torch.einsum`` and ONNX Einsum take it, with ellipses and with or without ``->``.
    first, second : sequence
        Sizes of the operands; equal sizes compare equal.
    right : int, optional
        Which operand has to be the right factor: 0 or 1.
    """
    parsed = _letters(equation, len(first), len(second))
    if parsed is None:
        return None
    a, b, out = parsed
    sizes: dict[str, Hashable] = {}
    for letter, size in zip(a + b, (*first, *second), strict=True):
        if sizes.setdefault(letter, size) != size:
            return None
    found = []
    if right != 0:
        found.append(_product(a, b, out, swapped=False))
    if right != 1:
        found.append(_product(b, a, out, swapped=True))
    return min((made for made in found if made is not None), key=lambda made: made.moves, default=None)


def _product(a: str, b: str, out: str, *, swapped: bool) -> Product | None:
    shared = set(a) & set(b)
    batch = [letter for letter in out if letter in shared]
    summed = shared - set(out)
    rows, columns = ([letter for letter in out if letter in own and letter not in shared] for own in (a, b))
    if len(summed) != 1 or not rows or not columns or len(batch) + len(rows) + 1 != len(a):
        return None
    if len(batch) + len(columns) + 1 != len(b):
        return None
    k = summed.pop()
    if len(rows) == len(columns) == 1:
        orders = [*batch, *rows, k], [*batch, k, *columns], [*batch, *rows, *columns]
    elif batch:
        return None
    elif len(columns) == 1:  # one matrix on the right, for every row of all the others
        orders = [*rows, k], [k, *columns], [*rows, *columns]
    elif len(rows) == 1:
        *stacked, last = columns
        orders = [*rows, k], [*stacked, k, last], [*stacked, *rows, last]
    else:
        return None
    left, right, made = orders
    return Product(
        swapped, tuple(map(a.index, left)), tuple(map(b.index, right)), tuple(made.index(letter) for letter in out)
    )


def _letters(equation: str, *ranks: int) -> tuple[str, str, str] | None:
    """Return the letters of two operands and of the result, one per axis; None for anything else."""
    source, arrow, target = equation.replace(" ", "").partition("->")
    terms = source.split(",")
    if len(terms) != 2 or any(term.count("...") > 1 for term in (*terms, target)):
        return None
    hidden = [
        rank - len(term.replace("...", "")) if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)
    ]
    if min(hidden) < 0:
        return None
    dots = "".join(chr(_DOTS + place) for place in reversed(range(max(hidden))))
    if not arrow:
        plain = "".join(terms).replace("...", "")
        target = "..." + "".join(sorted(letter for letter in set(plain) if plain.count(letter) == 1))
    a, b = (term.replace("...", dots[len(dots) - own :]) for term, own in zip(terms, hidden, strict=True))
    out = target.replace("...", dots)
    fits = all(len(set(word)) == len(word) for word in (a, b, out)) and (len(a), len(b)) == ranks
    known = set(out) <= set(a) | set(b) and all(
        (letter.isascii() and letter.isalpha()) or letter in dots for letter in a + b
    )
    return (a, b, out) if fits and known else None
