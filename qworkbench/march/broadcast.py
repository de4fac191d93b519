"""Shape rules of the two-operand ops: which dims broadcast, to what rank they merge, which MatMul pairs are allowed.

Pure functions from shapes to words and numbers, apart so that each published rule stands in one place. Knows nothing
of graphs. Source: the supported-op lists of RDK Ultra and RDK X5 (rows Add, Equal, MatMul).
"""

from __future__ import annotations

from itertools import groupby

Shape = tuple[int, ...]


def align(shape: Shape, rank: int) -> Shape:
    """Return `shape` with leading ones up to `rank` dims."""
    return (1,) * (rank - len(shape)) + shape


def broadcast_sides(x: Shape, y: Shape) -> str:
    """Return one letter per output dim: ``x`` or ``y`` (that operand is repeated), ``-`` (neither), ``1`` (size 1)."""
    rank = max(len(x), len(y))
    pairs = zip(align(x, rank), align(y, rank), strict=True)
    return "".join("1" if a == b == 1 else "-" if a == b else "x" if a == 1 else "y" for a, b in pairs)


def merged_rank(x: Shape, y: Shape) -> int:
    """Return the rank left after merging, by the RDK X5 rule.

    Output dims of size 1 are dropped; neighbouring dims merge where neither broadcasts or both broadcast on the same
    operand; a broadcast dim never merges with a plain one, nor with one that broadcasts on the other operand.
    """
    return max(1, sum(1 for _ in groupby(broadcast_sides(x, y).replace("1", ""))))


def merged_rank_plain_only(x: Shape, y: Shape) -> int:
    """Return the rank left after merging, by the RDK Ultra rule: a broadcast dim merges with no neighbour."""
    sides = broadcast_sides(x, y).replace("1", "-")
    return max(1, sum(1 if side == "-" else len(list(run)) for side, run in groupby(sides)))


def matmul_pairing(a: Shape, b: Shape) -> str:
    """Return ``"allowed"``, or which rule the leading dims of the pair break (both shapes of one rank >= 2).

    Ultra and X5: only one side may broadcast; A may not mix broadcast and plain dims; where B mixes, its plain dims
    come first.
    """
    pairs = [(p, q) for p, q in zip(a[:-2], b[:-2], strict=True) if not p == q == 1]
    a_repeats = [p == 1 for p, _ in pairs]
    b_repeats = [q == 1 for _, q in pairs]
    if any(a_repeats) and any(b_repeats):
        return "both operands broadcast"
    if any(a_repeats) and not all(a_repeats):
        return "the first operand broadcasts on some leading dims only"
    if b_repeats != sorted(b_repeats):
        return "the second operand broadcasts before a dim that it does not broadcast"
    return "allowed"
