"""Undo, redo, and what was done so far."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from qworkbench.magics.registry import Command
from qworkbench.magics.results import Lines, Step
from qworkbench.magics.state import State
from qworkbench.placement.compare import placement_changes


def _move(verb: str) -> Callable[[State, Namespace], Any]:
    def run(state: State, _: Namespace) -> Any:
        workbench = state.workbench
        before = workbench.placement
        entry = getattr(workbench, verb)()
        return Step(f"{verb}: {entry.text}", placement_changes(before, workbench.placement))

    return run


def reset(state: State, _: Namespace) -> Any:
    """Take back every edit."""
    workbench = state.workbench
    before, count = workbench.placement, len(workbench.journal)
    workbench.reset()
    return Step(f"{count} edits taken back (redo makes them again)", placement_changes(before, workbench.placement))


def diff(state: State, _: Namespace) -> Any:
    """List what differs from the state at load."""
    return Lines(state.workbench.diff(), "nothing differs from the state at load")


def journal(state: State, _: Namespace) -> Any:
    """List the steps in force."""
    lines = [f"{index}. {text}" for index, text in enumerate(state.workbench.journal, start=1)]
    return Lines(lines, "no edits yet")


def code(state: State, _: Namespace) -> Any:
    """Return the Python calls that make the state in force."""
    return Lines(state.workbench.as_code().splitlines())


HISTORY = (
    Command("undo", "take back the last step", _move("undo"), (), "%qwb undo", "history"),
    Command("redo", "make it again", _move("redo"), (), "%qwb redo", "history"),
    Command("reset", "take back every edit", reset, (), "%qwb reset", "history"),
    Command("diff", "what differs from the state at load", diff, (), "%qwb diff", "history"),
    Command("journal", "the steps so far", journal, (), "%qwb journal", "history"),
    Command("code", "the same steps as Python", code, (), "%qwb code", "history"),
)
