"""Clauses of the constraint lists as small frozen values, and the one function that evaluates them.

A row of a march's table is a tuple of clauses over named *facts* (:mod:`qworkbench.march.facts`). Every clause can say
itself in words (:func:`describe`, for the pages) and, checked against facts, what the offending value is
(:class:`ClauseResult`, for the reasons). Knows nothing of graphs, operators or marches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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
    """At least one of `clauses` holds."""

    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class When:
    """`clauses` hold wherever `condition` does."""

    condition: Clause
    clauses: tuple[Clause, ...]


Clause = (
    Between
    | AtMost
    | AtLeast
    | NoMoreThan
    | Equals
    | OneOf
    | Within
    | PowerOfTwo
    | MultipleOf
    | MatchesForm
    | AnyOf
    | When
)


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """What one clause said.

    Attributes
    ----------
    ok : bool
        True too where the fact is unknown: nothing speaks against the op.
    text : str
        ``kernel_h = 9 > 7``, or ``output_dtype is unknown, must be int8``.
    rule : str
        The clause in words: ``kernel_h in [1, 7]``.
    fact : str
    value : Fact or None
        None where unknown.
    known : bool
    """

    ok: bool
    text: str
    rule: str
    fact: str
    value: Fact | None
    known: bool = True


def check(clauses: Iterable[Clause], facts: Facts) -> tuple[ClauseResult, ...]:
    """Evaluate `clauses` in order; a :class:`When` whose condition does not hold gives no result."""
    return tuple(result for clause in clauses for result in _check(clause, facts))


def show(value: Fact) -> str:
    """Return `value` as a reason prints it: ``0.5``, ``(2, 3)``, ``yes``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe(clause: Clause) -> str:
    """Return `clause` in words: ``stride_h in {1, 2} when followed_by_add``."""
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
        case MatchesForm(left, right, forms):
            return f"{left} and {right} as {' or '.join(form.replace(' ', ' with ') for form in forms)}"
        case AnyOf(alternatives):
            return " or ".join(map(describe, alternatives))
        case When(condition, inner):
            return f"{' and '.join(map(describe, inner))} when {describe(condition)}"


def _check(clause: Clause, facts: Facts) -> list[ClauseResult]:
    rule = describe(clause)
    match clause:
        case When(condition, inner):
            return _check_when(condition, inner, facts)
        case AnyOf(alternatives):
            tried = [check((alternative,), facts) for alternative in alternatives]
            winner = next((results for results in tried if all(r.ok for r in results)), None)
            shown = [r for results in ([winner] if winner is not None else tried) for r in results]
            text = " and ".join(r.text for r in shown if winner is not None or not r.ok)
            known = winner is None or all(r.known for r in winner)
            first = shown[0] if shown else None
            fact, value = (first.fact, first.value) if first else ("", None)
            return [ClauseResult(winner is not None, text or rule, rule, fact, value, known)]
        case MatchesForm(left, right, forms, either_order):
            return [_check_form(left, right, forms, either_order, rule, facts)]
    needed = [clause.fact]
    if isinstance(clause, NoMoreThan):
        needed.append(clause.other)
    if isinstance(clause, MultipleOf) and isinstance(clause.divisor, str):
        needed.append(clause.divisor)
    missing = next((name for name in needed if name not in facts), None)
    if missing is not None:
        return [ClauseResult(True, f"{missing} is unknown: needs {rule}", rule, clause.fact, None, known=False)]
    value = facts[clause.fact]
    complaint = _complaint(clause, value, facts)
    text = f"{clause.fact} = {show(value)}{complaint or ''}"
    return [ClauseResult(complaint is None, text, rule, clause.fact, value)]


def _complaint(clause: Clause, value: Fact, facts: Facts) -> str | None:
    """Return what is wrong with `value`, as the words after ``fact = value``; None where nothing is."""
    match clause:
        case Between(_, low, high):
            return _outside(value, low, high)
        case AtMost(_, high):
            return _outside(value, -math.inf, high)
        case AtLeast(_, low):
            return _outside(value, low, math.inf)
        case NoMoreThan(_, other):
            limit = facts[other]
            return f" > {other} = {show(limit)}" if _number(value) > _number(limit) else None
        case Equals(_, wanted):
            return None if value == wanted else f", must be {show(wanted)}"
        case OneOf(_, values):
            return None if value in values else f", must be one of {', '.join(map(show, values))}"
        case Within(_, values):
            inside = isinstance(value, tuple) and all(element in values for element in value)
            return None if inside else f", must lie in {', '.join(map(show, values))}"
        case PowerOfTwo():
            number = _number(value)
            return None if number > 0 and math.frexp(number)[0] == 0.5 else " is not a power of two"
        case MultipleOf(_, divisor):
            step = _number(facts[divisor]) if isinstance(divisor, str) else divisor
            words = f"{divisor} = {show(step)}" if isinstance(divisor, str) else show(step)
            return None if step and _number(value) % step == 0 else f" is not a multiple of {words}"
    raise TypeError(f"{type(clause).__name__} is not a clause about one fact")


def _outside(value: Fact, low: Number, high: Number) -> str | None:
    for number in map(_number, value if isinstance(value, tuple) else (value,)):
        if number > high:
            return f" > {show(high)}"
        if number < low:
            return f" < {show(low)}"
    return None


def _number(value: Fact) -> Number:
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"{value!r} is not a number; the clause belongs to another kind of fact")


def _check_when(condition: Clause, inner: tuple[Clause, ...], facts: Facts) -> list[ClauseResult]:
    conditions = check((condition,), facts)
    if not all(result.ok for result in conditions):
        return []
    words = describe(condition)
    if not all(result.known for result in conditions):
        first = conditions[0]
        rules = " and ".join(map(describe, inner))
        text = f"{first.fact} is unknown: needs {rules} when {words}"
        return [ClauseResult(True, text, f"{rules} when {words}", first.fact, None, known=False)]
    return [
        ClauseResult(
            r.ok,
            r.text if r.ok else f"{r.text} when {words}",
            f"{r.rule} when {words}",
            r.fact,
            r.value,
            r.known,
        )
        for r in check(inner, facts)
    ]


def _check_form(
    left: str, right: str, forms: tuple[str, ...], either_order: bool, rule: str, facts: Facts
) -> ClauseResult:
    a, b = facts.get(left), facts.get(right)
    if not isinstance(a, tuple) or not isinstance(b, tuple):
        return ClauseResult(True, f"{left} or {right} is unknown: needs {rule}", rule, left, None, known=False)
    orders = ((a, b), (b, a)) if either_order else ((a, b),)
    ok = any(_fits(form, *order) for form in forms for order in orders)
    text = f"{left} = {'x'.join(map(show, a))} with {right} = {'x'.join(map(show, b))}"
    if not ok:
        text += f", must be {' or '.join(form.replace(' ', ' with ') for form in forms)}"
    return ClauseResult(ok, text, rule, left, a)


def _fits(form: str, a: tuple[Fact, ...], b: tuple[Fact, ...]) -> bool:
    words = form.split()
    sizes: dict[str, Fact] = {"1": 1}
    return all(
        len(word) == len(shape)
        and all(sizes.setdefault(letter, size) == size for letter, size in zip(word, shape, strict=True))
        for word, shape in zip(words, (a, b), strict=True)
    )
