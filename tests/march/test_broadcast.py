from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.march.broadcast import broadcast_sides, matmul_pairing, merged_rank, merged_rank_plain_only

Shape = tuple[int, ...]


def test_sides_name_the_operand_that_is_repeated() -> None:
    assert broadcast_sides((2, 3, 1, 1, 5), (3, 4, 1, 1)) == "y-x1y"


@pytest.mark.parametrize(
    ("x", "y", "free", "plain"),
    [
        ((2, 3, 4, 5, 6), (2, 3, 4, 5, 6), 1, 1),  # nothing broadcasts: one dim
        ((2, 3, 4, 5, 6), (2, 3, 1, 1, 6), 3, 4),  # plain, repeated twice, plain
        ((2, 3, 4, 5, 6), (2, 1, 4, 1, 6), 5, 5),  # alternating: nothing merges
        ((2, 1, 4, 5, 6), (2, 3, 1, 5, 6), 4, 4),  # repeated on different operands
        ((1, 3, 1, 5, 6), (1, 3, 1, 1, 6), 3, 3),  # size 1 vanishes
    ],
)
def test_neighbouring_dims_merge_only_where_they_broadcast_alike(x: Shape, y: Shape, free: int, plain: int) -> None:
    assert merged_rank(x, y) == free
    assert merged_rank_plain_only(x, y) == plain


@given(st.lists(st.sampled_from(["-", "x", "y", "1"]), min_size=1, max_size=8))
def test_merging_never_raises_the_rank_and_does_not_depend_on_the_order_of_operands(sides: list[str]) -> None:
    x = tuple(1 if side in ("x", "1") else 3 for side in sides)
    y = tuple(1 if side in ("y", "1") else 3 for side in sides)
    assert 1 <= merged_rank(x, y) <= merged_rank_plain_only(x, y) <= len(sides)
    assert merged_rank(x, y) == merged_rank(y, x)


H, D, B, M, K, N = 2, 3, 4, 5, 6, 7


@pytest.mark.parametrize(
    ("a", "b", "pairing"),
    [
        ((H, D, M, K), (H, 1, K, N), "allowed"),
        ((H, 1, M, K), (1, D, K, N), "both operands broadcast"),
        ((1, 1, M, K), (H, D, K, N), "allowed"),
        ((H, 1, M, K), (H, D, K, N), "the first operand broadcasts on some leading dims only"),
        ((B, H, D, M, K), (B, 1, 1, K, N), "allowed"),
        ((B, H, D, M, K), (B, 1, D, K, N), "the second operand broadcasts before a dim that it does not broadcast"),
        ((1, 8, M, K), (1, 8, K, N), "allowed"),
        ((M, K), (K, N), "allowed"),
    ],
)
def test_matmul_pairs_of_the_published_examples(a: Shape, b: Shape, pairing: str) -> None:
    assert matmul_pairing(a, b) == pairing
