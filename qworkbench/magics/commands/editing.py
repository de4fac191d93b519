"""Edits, one subcommand each; all of them are the workbench's own edit objects."""

from __future__ import annotations

import warnings
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from qworkbench.errors import QWorkbenchWarning
from qworkbench.magics.registry import Argument, Command, MagicUsageError
from qworkbench.magics.results import Lines, Step
from qworkbench.magics.state import State
from qworkbench.placement.compare import placement_changes

NODES = Argument("nodes", "node names", "node", many=True)
NODE = Argument("node", "node name", "node")


def apply(state: State, *edits: Any) -> Step:
    """Make `edits` one step and tell what changed."""
    workbench = state.workbench
    before = workbench.placement
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", QWorkbenchWarning)
        after = workbench.edit(*edits)
    changes = placement_changes(before, after)
    refused = [r.sentence for r in (after[n].reason for n in _asked_for_bpu(edits)) if "refused" in r.sentence]
    hints = [str(each.message) for each in caught if issubclass(each.category, QWorkbenchWarning)]
    for other in (each for each in caught if not issubclass(each.category, QWorkbenchWarning)):
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    lines = list(dict.fromkeys([*hints, *changes, *refused]))
    if state.options.run and workbench.statistics is not None:
        table = workbench.current_run().table
        lines += [f"{name}: cosine {row.cosine:.6f}, L1 {row.l1:.3g}" for name, row in table.iterrows()]
        return Step(workbench.journal[-1], lines, "")
    return Step(workbench.journal[-1], lines)


def _asked_for_bpu(edits: tuple[Any, ...]) -> list[str]:
    """Return the nodes that `edits` send to the BPU: a refusal is told each time, not only when it is new."""
    from qworkbench.workbench.edits import SetPlacement

    return [edit.node for edit in edits if isinstance(edit, SetPlacement) and edit.on.lower() == "bpu"]


def _place(on: str) -> Callable[[State, Namespace], Any]:
    def run(state: State, given: Namespace) -> Any:
        from qworkbench.workbench.edits import SetPlacement

        return apply(state, *(SetPlacement(node, on) for node in dict.fromkeys(given.nodes)))

    return run


def unitconv(state: State, given: Namespace) -> Any:
    """Insert a unit conv, or take one out."""
    from qworkbench.workbench.edits import InsertUnitConv, RemoveUnitConv

    if given.before and given.after:
        raise MagicUsageError("%qwb unitconv takes --before or --after, not both")
    kind = RemoveUnitConv if given.remove else InsertUnitConv
    return apply(state, kind(given.node, "before" if given.before else "after", given.slot))


def scale(state: State, given: Namespace) -> Any:
    """Pin the output scale of a node, or clear it."""
    from qworkbench.workbench.edits import ClearScale, FixScale

    if given.clear:
        return apply(state, ClearScale(given.node))
    if given.scale is None:
        raise MagicUsageError("%qwb scale NODE SCALE pins a scale, %qwb scale NODE --clear lets calibration decide")
    return apply(state, FixScale(given.node, given.scale))


def dtype(state: State, given: Namespace) -> Any:
    """Ask for a dtype of the output (default), the input or the weight."""
    from qworkbench.workbench.edits import SetDtype, SetInputDtype

    parts = [part for part in ("input", "weight", "output") if getattr(given, part)] or ["output"]
    if given.slot is not None:
        if parts != ["input"]:
            raise MagicUsageError("%qwb dtype --slot picks one of several inputs; give --input with it")
        return apply(state, SetInputDtype(given.node, given.slot, given.dtype))
    return apply(state, SetDtype(given.node, **dict.fromkeys(parts, given.dtype)))


def march(state: State, given: Namespace) -> Any:
    """Place and emulate for another march."""
    from qworkbench.workbench.edits import SetMarch

    if given.march is None:
        return Lines(
            [f"{'*' if m.name == state.workbench.march else ' '} {m.name}: {', '.join(m.chips)}" for m in every()]
        )
    return apply(state, SetMarch(given.march))


def sharing(state: State, given: Namespace) -> Any:
    """Choose whether the calls of a module share one scale."""
    from qworkbench.workbench.edits import SetSharing

    return apply(state, SetSharing(given.by))


def unshare(state: State, given: Namespace) -> Any:
    """Give each call of shared modules its own copy."""
    from qworkbench.workbench.edits import SplitModule

    return apply(state, *(SplitModule(module) for module in dict.fromkeys(given.modules)))


def every() -> list[Any]:
    """Return every march."""
    from qworkbench.march import MARCHES, get_march

    return [get_march(name) for name in MARCHES]


DTYPES = ("int8", "int16", "float16", "auto", "qint8", "qint16")


def arithmetic(state: State, given: Namespace) -> Any:
    """Switch assumptions of the integer arithmetic; without arguments, tell those in force."""
    from qworkbench.workbench.edits import SetArithmetic

    wanted = {name: getattr(given, name) for name in ("rounding", "multiplier_int8", "multiplier_int16")}
    if given.scale_denominator is not None:
        wanted["scale_denominator"] = int(given.scale_denominator)
    if all(value is None for value in wanted.values()):
        return Lines([f"{name} = {value}" for name, value in state.workbench.config.as_dict()["arithmetic"].items()])
    return apply(state, SetArithmetic(**wanted))


ROUNDINGS = ("half_even", "half_away", "half_up")
MULTIPLIERS = ("float32", "float64", "fixed", "pow2")

EDITING = (
    Command("bpu", "run_on_bpu for nodes", _place("bpu"), (NODES,), "%qwb bpu softmax", "edit"),
    Command("cpu", "run_on_cpu for nodes", _place("cpu"), (NODES,), "%qwb cpu softmax", "edit"),
    Command("auto", "let the rules place nodes again", _place("auto"), (NODES,), "%qwb auto softmax", "edit"),
    Command(
        "unitconv",
        "insert an identity convolution, so that a passive op finds a threshold",
        unitconv,
        (
            NODE,
            Argument("--after", "behind the node (default)", "flag"),
            Argument("--before", "in front of the node", "flag"),
            Argument("--slot", "which input, where there are several", "integer"),
            Argument("--remove", "take it out again", "flag"),
        ),
        "%qwb unitconv concat --after",
        "edit",
    ),
    Command(
        "scale",
        "pin the output scale of a node or input",
        scale,
        (
            Argument("node", "node or input name", "value"),
            Argument("scale", "|threshold| / 127 for int8", "number", optional=True),
            Argument("--clear", "let calibration decide again", "flag"),
        ),
        "%qwb scale quant 0.0078125",
        "edit",
    ),
    Command(
        "dtype",
        "int8, int16 or float16 for one node (auto clears)",
        dtype,
        (
            NODE,
            Argument("dtype", "a dtype of the march, or auto", "choice", DTYPES),
            Argument("--output", "of the output (default)", "flag"),
            Argument("--input", "of the inputs", "flag"),
            Argument("--weight", "of the weight", "flag"),
            Argument("--slot", "with --input: only this one of several", "integer"),
        ),
        "%qwb dtype layer1.0.conv1 int16",
        "edit",
    ),
    Command(
        "sharing",
        "one scale per call (PTQ) or one for all calls of a module (training plugin)",
        sharing,
        (Argument("by", "by call or by module", "choice", ("call", "module")),),
        "%qwb sharing module",
        "edit",
    ),
    Command(
        "unshare",
        "a copy of a shared module for each call, so that each has its own scale",
        unshare,
        (Argument("modules", "module paths", "node", many=True),),
        "%qwb unshare conv",
        "edit",
    ),
    Command(
        "march",
        "another BPU architecture; without a name, list them",
        march,
        (Argument("march", "its name", "march", optional=True),),
        "%qwb march nash-m",
        "edit",
    ),
    Command(
        "arithmetic",
        "switch an assumption of the integer arithmetic, or list those in force",
        arithmetic,
        (
            Argument("--rounding", "of every requantize", "choice", ROUNDINGS),
            Argument("--multiplier-int8", "how the real multiplier is applied to int8 outputs", "choice", MULTIPLIERS),
            Argument("--multiplier-int16", "the same for int16 outputs", "choice", MULTIPLIERS),
            Argument("--scale-denominator", "scale of a threshold T is T / this", "choice", ("127", "128")),
        ),
        "%qwb arithmetic --rounding half_up --scale-denominator 128",
        "edit",
    ),
)
