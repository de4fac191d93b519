"""Clauses of the constraint lists as small frozen values that can say themselves in words.

A row of a march's table is a tuple of clauses over named *facts* (:mod:`qworkbench.march.facts`). Knows nothing of
graphs, operators or marches, and evaluates nothing: that is :mod:`qworkbench.march.constraints`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Number = int | float
Fact = int | float | str | bool | tuple["Fact", ...]
Facts = Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class Between:
    """``low <= fact <= high``; of a tuple, every element."""

    fact: str
    low: Number
    high: Number


@dataclass(frozen=True, slots=True)
class AtMost:
    """``fact <= high``."""

    fact: str
    high: Number


@dataclass(frozen=True, slots=True)
class AtLeast:
    """``fact >= low``."""

    fact: str
    low: Number


@dataclass(frozen=True, slots=True)
class NoMoreThan:
    """``fact <= other``, where `other` is a fact too."""

    fact: str
    other: str


@dataclass(frozen=True, slots=True)
class Equals:
    """``fact == value``; a true or false fact reads as ``not followed_by_add``."""

    fact: str
    value: Fact


@dataclass(frozen=True, slots=True)
class OneOf:
    """`fact` is one of `values`."""

    fact: str
    values: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """Every element of the tuple `fact` is one of `values` (the empty tuple is fine)."""

    fact: str
    values: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """`fact` is 2**k for a whole k; 1 and 0.5 count."""

    fact: str


@dataclass(frozen=True, slots=True)
class MultipleOf:
    """`fact` is a whole multiple of `divisor`, a number or another fact."""

    fact: str
    divisor: int | str


@dataclass(frozen=True, slots=True)
class EachDivides:
    """Every element of the tuple `fact` divides `whole`, another fact."""

    fact: str
    whole: str


@dataclass(frozen=True, slots=True)
class MatchesForm:
    """The shapes in the facts `left` and `right` match one of `forms`.

    A form is two words such as ``"NCHW NC11"``: a letter stands for any size, the same one wherever it recurs, and
    ``1`` for the size 1.
    """

    left: str
    right: str
    forms: tuple[str, ...]
    either_order: bool = False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of `clauses` (one or more) holds."""

    clauses: tuple[AboutOneFact, ...]


@dataclass(frozen=True, slots=True)
class When:
    """`clauses` hold wherever `condition` does.

    `split` marks a mere division into cases (2-D and 3-D convolution), which a reason need not repeat.
    """

    condition: Clause
    clauses: tuple[Clause, ...]
    split: bool = False


AboutOneFact = Between | AtMost | AtLeast | NoMoreThan | Equals | OneOf | Within | PowerOfTwo | MultipleOf | EachDivides
Clause = AboutOneFact | MatchesForm | AnyOf | When


def show(value: Fact) -> str:
    """Return `value` as a reason prints it: ``0.5``, ``(2, 3)``, ``yes``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe(clause: Clause) -> str:
    """Return `clause` in words: ``kernel_h in [1, 7]``, ``when followed_by_add: stride_h in {1, 2}``."""
    match clause:
        case Between(fact, low, high):
            return f"{fact} in [{show(low)}, {show(high)}]"
        case AtMost(fact, high):
            return f"{fact} <= {show(high)}"
        case AtLeast(fact, low):
            return f"{fact} >= {show(low)}"
        case NoMoreThan(fact, other):
            return f"{fact} <= {other}"
        case Equals(fact, value):
            if isinstance(value, bool):
                return fact if value else f"not {fact}"
            return f"{fact} == {show(value)}"
        case OneOf(fact, values):
            return f"{fact} in {{{', '.join(map(show, values))}}}"
        case Within(fact, values):
            return f"{fact} all in {{{', '.join(map(show, values))}}}"
        case PowerOfTwo(fact):
            return f"{fact} is a power of two"
        case MultipleOf(fact, divisor):
            return f"{fact} is a multiple of {divisor}"
        case EachDivides(fact, whole):
            return f"{fact} each divide {whole}"
        case MatchesForm(left, right, forms):
            return f"{left} and {right} as {' or '.join(form.replace(' ', ' with ') for form in forms)}"
        case AnyOf(alternatives):
            return " or ".join(map(describe, alternatives))
        case When(condition, inner):
            words = (f"({describe(c)})" if isinstance(c, When) else describe(c) for c in inner)
            return f"when {describe(condition)}: {', '.join(words)}"
