from __future__ import annotations

import pytest

from qworkbench.march.clauses import (
    AnyOf,
    AtLeast,
    AtMost,
    Between,
    Clause,
    EachDivides,
    Equals,
    Fact,
    MatchesForm,
    MultipleOf,
    NoMoreThan,
    OneOf,
    PowerOfTwo,
    When,
    Within,
    describe,
)
from qworkbench.march.constraints import check

CASES: list[tuple[Clause, dict[str, Fact], bool, str, str]] = [
    (Between("kernel_h", 1, 7), {"kernel_h": 7}, True, "kernel_h = 7", "kernel_h in [1, 7]"),
    (Between("kernel_h", 1, 7), {"kernel_h": 9}, False, "kernel_h = 9 > 7", "kernel_h in [1, 7]"),
    (Between("kernel_h", 1, 7), {"kernel_h": 0}, False, "kernel_h = 0 < 1", "kernel_h in [1, 7]"),
    (Between("dims", 1, 8), {"dims": (2, 9)}, False, "dims = (2, 9) > 8", "dims in [1, 8]"),
    (Between("dims", 1, 8), {"dims": ()}, True, "dims = ()", "dims in [1, 8]"),
    (AtMost("input_c", 2048), {"input_c": 2049}, False, "input_c = 2049 > 2048", "input_c <= 2048"),
    (AtLeast("axis", 1), {"axis": 0}, False, "axis = 0 < 1", "axis >= 1"),
    (
        NoMoreThan("dilation_h", "dilation_w"),
        {"dilation_h": 4, "dilation_w": 2},
        False,
        "dilation_h = 4 > dilation_w = 2",
        "dilation_h <= dilation_w",
    ),
    (Equals("blocksize", 2), {"blocksize": 3}, False, "blocksize = 3, must be 2", "blocksize == 2"),
    (Equals("keepdims", True), {"keepdims": False}, False, "keepdims = no, must be yes", "keepdims"),
    (Equals("dilated", False), {"dilated": False}, True, "dilated = no", "not dilated"),
    (Equals("axes", (2, 3)), {"axes": (1,)}, False, "axes = (1), must be (2, 3)", "axes == (2, 3)"),
    (
        OneOf("mode", ("nearest", "linear")),
        {"mode": "cubic"},
        False,
        "mode = cubic, must be one of nearest, linear",
        "mode in {nearest, linear}",
    ),
    (
        Within("padded_axes", (2, 3)),
        {"padded_axes": (1, 3)},
        False,
        "padded_axes = (1, 3), must lie in 2, 3",
        "padded_axes all in {2, 3}",
    ),
    (PowerOfTwo("factor"), {"factor": 0.5}, True, "factor = 0.5", "factor is a power of two"),
    (PowerOfTwo("factor"), {"factor": 3}, False, "factor = 3 is not a power of two", "factor is a power of two"),
    (PowerOfTwo("factor"), {"factor": 0}, False, "factor = 0 is not a power of two", "factor is a power of two"),
    (
        MultipleOf("output_c", 4),
        {"output_c": 6},
        False,
        "output_c = 6 is not a multiple of 4",
        "output_c is a multiple of 4",
    ),
    (
        MultipleOf("input_h", "dilation_h"),
        {"input_h": 32, "dilation_h": 3},
        False,
        "input_h = 32 is not a multiple of dilation_h = 3",
        "input_h is a multiple of dilation_h",
    ),
    (
        EachDivides("split_parts", "split_dim"),
        {"split_parts": (24, 40), "split_dim": 64},
        False,
        "split_parts = (24, 40), must each divide split_dim = 64",
        "split_parts each divide split_dim",
    ),
    (
        AnyOf((Equals("axes_count", 1), Equals("reduces_hw", True))),
        {"axes_count": 3, "reduces_hw": False},
        False,
        "axes_count = 3, must be 1, or reduces_hw = no, must be yes",
        "axes_count == 1 or reduces_hw",
    ),
    (
        AnyOf((Equals("axes_count", 1), Equals("reduces_hw", True))),
        {"axes_count": 2, "reduces_hw": True},
        True,
        "reduces_hw = yes",
        "axes_count == 1 or reduces_hw",
    ),
    (
        When(Equals("followed_by_add", True), (OneOf("stride_h", (1, 2)),)),
        {"followed_by_add": True, "stride_h": 4},
        False,
        "stride_h = 4, must be one of 1, 2 when followed_by_add",
        "stride_h in {1, 2} when followed_by_add",
    ),
]


@pytest.mark.parametrize(("clause", "facts", "ok", "text", "rule"), CASES)
def test_a_clause_says_what_it_found_and_what_it_wants(
    clause: Clause, facts: dict[str, Fact], ok: bool, text: str, rule: str
) -> None:
    (result,) = check((clause,), facts)
    assert (result.ok, result.text, result.rule, result.known) == (ok, text, rule, True)


@pytest.mark.parametrize("clause", list(dict.fromkeys(case[0] for case in CASES)))
def test_a_missing_fact_is_listed_as_unknown_and_counts_as_satisfied(clause: Clause) -> None:
    (result,) = check((clause,), {})
    assert result.ok
    assert not result.known
    assert result.value is None
    assert result.text == f"{result.fact} is unknown: needs {describe(clause)}"


def test_a_missing_second_fact_is_the_one_that_is_named() -> None:
    (result,) = check((NoMoreThan("pad_h", "pad_limit_h"),), {"pad_h": 1})
    assert result.text == "pad_limit_h is unknown: needs pad_h <= pad_limit_h"


def test_a_condition_that_does_not_hold_asks_nothing() -> None:
    clause = When(Equals("dilated", True), (Equals("stride_h", 1),))
    assert check((clause,), {"dilated": False, "stride_h": 2}) == ()


def test_nested_conditions_read_from_the_inside_out() -> None:
    clause = When(Equals("gemm_h", 1), (When(Equals("gemm_w", 1), (AtMost("gemm_c", 16384),)),))
    (result,) = check((clause,), {"gemm_h": 1, "gemm_w": 1, "gemm_c": 20000})
    assert result.text == "gemm_c = 20000 > 16384 when gemm_w == 1 and gemm_h == 1"
    assert describe(clause) == "when gemm_h == 1: (when gemm_w == 1: gemm_c <= 16384)"


def test_a_split_into_cases_is_not_repeated_in_the_reason() -> None:
    clause = When(Equals("input_rank", 4), (Between("kernel_h", 1, 31),), split=True)
    (result,) = check((clause,), {"input_rank": 4, "kernel_h": 40})
    assert result.text == "kernel_h = 40 > 31"


@pytest.mark.parametrize(
    ("a", "b", "ok"),
    [
        ((2, 8, 4, 4), (2, 8, 4, 4), True),
        ((2, 8, 4, 4), (2, 8, 1, 1), True),
        ((2, 8, 1, 1), (2, 8, 4, 4), True),
        ((2, 8, 4, 4), (1, 8, 1, 1), False),
        ((2, 8, 4, 4), (2, 8, 4, 1), False),
        ((8, 4, 4), (8, 4, 4), False),
    ],
)
def test_a_form_binds_each_letter_to_one_size(a: tuple[int, ...], b: tuple[int, ...], ok: bool) -> None:
    clause = MatchesForm("x_shape", "y_shape", ("NCHW NCHW", "NCHW NC11"), either_order=True)
    (result,) = check((clause,), {"x_shape": a, "y_shape": b})
    assert result.ok is ok


def test_a_form_that_does_not_match_shows_both_shapes() -> None:
    (result,) = check((MatchesForm("a", "b", ("MK KN",)),), {"a": (2, 3), "b": (4, 5)})
    assert result.text == "a = (2, 3) with b = (4, 5), must be MK with KN"
    (unknown,) = check((MatchesForm("a", "b", ("MK KN",)),), {"a": (2, 3)})
    assert unknown.text == "b is unknown: needs a and b as MK with KN"


def test_a_number_clause_over_a_word_is_a_mistake_in_the_table() -> None:
    with pytest.raises(TypeError, match="'cubic' is not a number"):
        check((AtMost("mode", 3),), {"mode": "cubic"})
