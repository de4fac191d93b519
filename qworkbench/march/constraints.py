"""The evaluation of clauses against facts: what holds, what does not, and which value offends.

A :class:`ClauseResult` carries the offending value for the reasons. Knows nothing of graphs, operators or marches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from qworkbench.march.clauses import (
    AboutOneFact,
    AnyOf,
    AtLeast,
    AtMost,
    Between,
    Clause,
    EachDivides,
    Equals,
    Fact,
    Facts,
    MatchesForm,
    MultipleOf,
    NoMoreThan,
    Number,
    OneOf,
    PowerOfTwo,
    When,
    Within,
    describe,
    show,
)


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """What one clause said; its words are made when somebody asks for them.

    Attributes
    ----------
    ok : bool
        True too where the fact is unknown: nothing speaks against the op.
    clause : Clause
    fact : str
        The fact that decided.
    value : Fact or None
        None where unknown.
    known : bool
    finding : str
        What is wrong, as the words after ``fact = value``; empty where nothing is.
    conditions : tuple of Clause
        The conditions under which the clause was asked.
    """

    ok: bool
    clause: Clause
    fact: str
    value: Fact | None
    known: bool = True
    finding: str = ""
    conditions: tuple[Clause, ...] = ()

    @property
    def rule(self) -> str:
        """The clause in words: ``stride_h in {1, 2} when followed_by_add``."""
        return describe(self.clause) + self._when()

    @property
    def text(self) -> str:
        """What was found: ``kernel_h = 9 > 7``, or ``output_dtype is unknown: needs output_dtype == int8``."""
        if self.value is None:
            return f"{self.fact} is unknown: needs {self.rule}"
        if self.ok or not self.conditions:
            return f"{self.fact} = {show(self.value)}{self.finding}"
        return f"{self.fact} = {show(self.value)}{self.finding}{self._when()}"

    def _when(self) -> str:
        return f" when {' and '.join(map(describe, self.conditions))}" if self.conditions else ""


def check(clauses: Iterable[Clause], facts: Facts) -> tuple[ClauseResult, ...]:
    """Evaluate `clauses` in order; a :class:`When` whose condition does not hold gives no result."""
    return tuple(result for clause in clauses for result in _check(clause, facts))


def _check(clause: Clause, facts: Facts) -> list[ClauseResult]:
    match clause:
        case When():
            return _check_when(clause, facts)
        case AnyOf():
            return [_check_any(clause, facts)]
        case MatchesForm():
            return [_check_form(clause, facts)]
    for name in _needed(clause):
        if name not in facts:
            return [ClauseResult(True, clause, name, None, known=False)]
    value = facts[clause.fact]
    finding = _finding(clause, value, facts)
    return [ClauseResult(not finding, clause, clause.fact, value, finding=finding)]


def _needed(clause: AboutOneFact) -> tuple[str, ...]:
    match clause:
        case NoMoreThan(fact, other):
            return (fact, other)
        case MultipleOf(fact, str(divisor)):
            return (fact, divisor)
        case EachDivides(fact, whole):
            return (fact, whole)
    return (clause.fact,)


def _finding(clause: AboutOneFact, value: Fact, facts: Facts) -> str:
    """Return what is wrong with `value`, as the words after ``fact = value``; empty where nothing is."""
    match clause:
        case Between(_, low, high):
            return _outside(value, low, high)
        case AtMost(_, high):
            return _outside(value, -math.inf, high)
        case AtLeast(_, low):
            return _outside(value, low, math.inf)
        case NoMoreThan(_, other):
            limit = _number(facts[other])
            return f" > {other} = {show(limit)}" if _number(value) > limit else ""
        case Equals(_, wanted):
            return "" if value == wanted else f", must be {show(wanted)}"
        case OneOf(_, values):
            return "" if value in values else f", must be one of {', '.join(map(show, values))}"
        case Within(_, values):
            inside = isinstance(value, tuple) and all(element in values for element in value)
            return "" if inside else f", must lie in {', '.join(map(show, values))}"
        case PowerOfTwo():
            number = _number(value)
            return "" if number > 0 and math.frexp(number)[0] == 0.5 else " is not a power of two"
        case MultipleOf(_, divisor):
            step = _number(facts[divisor]) if isinstance(divisor, str) else divisor
            words = f"{divisor} = {show(step)}" if isinstance(divisor, str) else show(step)
            return "" if _number(value) % step == 0 else f" is not a multiple of {words}"
        case EachDivides(_, whole):
            size = _number(facts[whole])
            divides = isinstance(value, tuple) and all(size % _number(part) == 0 for part in value)
            return "" if divides else f", must each divide {whole} = {show(size)}"


def _outside(value: Fact, low: Number, high: Number) -> str:
    for number in value if isinstance(value, tuple) else (value,):
        if _number(number) > high:
            return f" > {show(high)}"
        if _number(number) < low:
            return f" < {show(low)}"
    return ""


def _number(value: Fact) -> Number:
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"{value!r} is not a number; the clause belongs to another kind of fact")


def _check_when(clause: When, facts: Facts) -> list[ClauseResult]:
    asked = check((clause.condition,), facts)
    if not all(result.ok for result in asked):
        return []
    missing = next((result.fact for result in asked if not result.known), None)
    if missing is not None:
        return [ClauseResult(True, clause, missing, None, known=False)]
    results = check(clause.clauses, facts)
    if clause.split:
        return list(results)
    return [replace(result, conditions=(*result.conditions, clause.condition)) for result in results]


def _check_any(clause: AnyOf, facts: Facts) -> ClauseResult:
    tried = [result for alternative in clause.clauses for result in check((alternative,), facts)]
    best = next((r for r in tried if r.ok and r.known), None) or next((r for r in tried if r.ok), None)
    if best is not None:
        return ClauseResult(True, clause, best.fact, best.value, best.known)
    first, *others = tried
    finding = first.finding + "".join(f", or {other.text}" for other in others)
    return ClauseResult(False, clause, first.fact, first.value, finding=finding)


def _check_form(clause: MatchesForm, facts: Facts) -> ClauseResult:
    a, b = facts.get(clause.left), facts.get(clause.right)
    if not isinstance(a, tuple) or not isinstance(b, tuple):
        return ClauseResult(True, clause, clause.right if isinstance(a, tuple) else clause.left, None, known=False)
    orders = ((a, b), (b, a)) if clause.either_order else ((a, b),)
    ok = any(_fits(form, *order) for form in clause.forms for order in orders)
    finding = f" with {clause.right} = {show(b)}"
    if not ok:
        finding += f", must be {' or '.join(form.replace(' ', ' with ') for form in clause.forms)}"
    return ClauseResult(ok, clause, clause.left, a, finding=finding)


def _fits(form: str, a: tuple[Fact, ...], b: tuple[Fact, ...]) -> bool:
    words = form.split()
    sizes: dict[str, Fact] = {"1": 1}
    return all(
        len(word) == len(shape)
        and all(sizes.setdefault(letter, size) == size for letter, size in zip(word, shape, strict=True))
        for word, shape in zip(words, (a, b), strict=True)
    )
