"""Messages that start an analysis, and those that apply what one found: each is one call, one step of the history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qworkbench.errors import QWorkbenchError, unknown_name
from qworkbench.widgets.fields import Message, field, number
from qworkbench.widgets.page import Page

WORDS: Mapping[str, tuple[str, ...]] = {
    "sensitivity": ("metric",),
    "sensitivity_preview": ("metric",),
    "compare_layers": (),
    "mixed_precision": ("metric", "dtype", "cost"),
    "recipe": ("name", "metric"),
    "bisect": ("metric",),
    "partial": ("metric",),
    "bad_cases": (),
    "channels": ("node",),
    "range_proposals": (),
}
"""Options that are words, by analysis."""
NUMBERS: Mapping[str, Mapping[str, str]] = {
    "mixed_precision": {"target": "0.999", "budget": "1.2"},
    "recipe": {"target": "0.999"},
    "bisect": {"share": "0.9"},
    "bad_cases": {"limit": "200"},
}
"""Options that are numbers, with an example each."""


def analyse(page: Page, message: Message) -> None:
    """Start an analysis in the background, on the samples that the message names.

    Fields: ``analysis``; ``options`` (see :data:`WORDS`, :data:`NUMBERS`; ``patterns`` of partial, ``ranges`` of
    range_proposals); ``samples``, a notebook variable; or ``worst``, the metric whose worst sample is taken from the
    newest bad cases.
    """
    analysis = field(message, "analysis", str)
    if analysis not in WORDS:
        raise unknown_name("analysis", analysis, WORDS)
    asked = message.get("options") or {}
    if not isinstance(asked, Mapping):
        raise QWorkbenchError(f"options of an analysis are a mapping, got {asked!r}")
    known = (*WORDS[analysis], *NUMBERS.get(analysis, ()), "patterns", "ranges")
    for name in asked:
        if name not in known:
            raise unknown_name(f"option of {analysis}", str(name), known)
    options: dict[str, Any] = {name: str(asked[name]) for name in WORDS[analysis] if asked.get(name) is not None}
    for name, example in NUMBERS.get(analysis, {}).items():
        value = number(name, asked.get(name), example)
        if value is not None:
            options[name] = int(value) if name == "limit" else value
    if analysis == "range_proposals":
        page.workbench.range_proposals(_ranges(asked.get("ranges") or {}))
        return
    inputs = _samples(page, message)
    given: Sequence[Any] = ()
    if analysis == "bad_cases":
        if inputs is None:
            raise QWorkbenchError("bad cases need samples: name a notebook variable that holds them, e.g. images")
        given = (inputs,)
    elif inputs is not None:
        options["inputs"] = inputs
    if analysis == "partial":
        given = str(asked.get("patterns") or "").replace(",", " ").split()
    page.follow(page.workbench.in_background(analysis, *given, **options))


def _samples(page: Page, message: Message) -> Any:
    worst, name = message.get("worst"), message.get("samples")
    if worst is not None:
        return _found(page, "bad_cases").sample(str(worst))
    return page.variable(str(name)) if name else None


def _ranges(asked: Any) -> dict[str, tuple[float, float]]:
    found = {}
    for name, ends in asked.items() if isinstance(asked, Mapping) else ():
        low, high = (*ends, None, None)[:2] if isinstance(ends, list) else (None, None)
        bottom, top = number("low end", low, "0"), number("high end", high, "200")
        if bottom is None or top is None:
            raise QWorkbenchError(f"the range of {name!r} needs two numbers, e.g. 0 and 200")
        found[str(name)] = (bottom, top)
    return found


def _found(page: Page, analysis: str) -> Any:
    found = page.workbench.findings.get(analysis)
    if found is None:
        raise QWorkbenchError(f"there is no result of {analysis} to apply; start it first")
    return found.result


def _candidate(page: Page, message: Message) -> None:
    page.workbench.use_candidate(field(message, "name", str))


def _mixed(page: Page, message: Message) -> None:
    found, top = _found(page, "mixed_precision"), message.get("top_k")
    if top is not None and top not in found.outcomes:
        raise unknown_name("trial with top_k", str(top), map(str, found.outcomes))
    edits = found.edits if top is None else found.outcomes[top].edits
    if not edits:
        raise QWorkbenchError("this trial raises nothing: it is the configuration that the search began with")
    page.workbench.edit(*edits)


def _recipe(page: Page, _message: Message) -> None:
    edits = _found(page, "recipe").edits
    if not edits:
        raise QWorkbenchError("the recipe found nothing to change")
    page.workbench.edit(*edits)


def _region(page: Page, message: Message) -> None:
    edits = page.workbench.repair(_found(page, "bisect").ops, field(message, "how", str))
    if not edits:
        raise QWorkbenchError("nothing of this region can be changed that way: none of it runs on the BPU")
    page.workbench.edit(*edits)


def _ranges_fixed(page: Page, message: Message) -> None:
    from qworkbench.workbench.edits import FixScale

    known = {proposal.node: proposal for proposal in _found(page, "range_proposals")}
    nodes = field(message, "nodes", list)
    for name in nodes:
        if name not in known:
            raise unknown_name("proposed scale", str(name), known)
    page.workbench.edit(*(FixScale(name, known[name].scale) for name in nodes))


APPLIED: Mapping[str, Callable[[Page, Message], None]] = {
    "candidate": _candidate,
    "mixed_precision": _mixed,
    "recipe": _recipe,
    "bisect": _region,
    "range_proposals": _ranges_fixed,
}


def apply(page: Page, message: Message) -> None:
    """Apply what an analysis found, as one step, and run."""
    what = field(message, "what", str)
    if what not in APPLIED:
        raise unknown_name("result to apply", what, APPLIED)
    APPLIED[what](page, message)
    page.rerun()
