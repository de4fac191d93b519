"""Edits: small frozen commands that a user, a file or the widget gives the workbench.

One table names every kind; reading one back from plain data and finding two that contradict each other live beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from qworkbench.errors import EditError, unknown_name
from qworkbench.workbench.edits.base import Edit
from qworkbench.workbench.edits.inputs import SetPreprocess
from qworkbench.workbench.edits.model import (
    SetArithmetic,
    SetAssumption,
    SetBatch,
    SetCalibration,
    SetInputOrder,
    SetMarch,
)
from qworkbench.workbench.edits.nodes import (
    ClearScale,
    FixScale,
    SetDtype,
    SetInputDtype,
    SetNodeCalibration,
    SetPlacement,
)
from qworkbench.workbench.edits.sharing import SetSharing, SplitModule
from qworkbench.workbench.edits.structure import InsertUnitConv, RemoveUnitConv

__all__ = [
    "KINDS",
    "ClearScale",
    "Edit",
    "FixScale",
    "InsertUnitConv",
    "RemoveUnitConv",
    "SetArithmetic",
    "SetAssumption",
    "SetBatch",
    "SetCalibration",
    "SetDtype",
    "SetInputDtype",
    "SetInputOrder",
    "SetMarch",
    "SetNodeCalibration",
    "SetPlacement",
    "SetPreprocess",
    "SetSharing",
    "SplitModule",
    "check_contradictions",
    "edit_from_dict",
]

KINDS: Mapping[str, type[Edit]] = {
    kind.__name__: kind
    for kind in (
        SetPlacement,
        InsertUnitConv,
        RemoveUnitConv,
        FixScale,
        ClearScale,
        SetDtype,
        SetInputDtype,
        SetMarch,
        SetCalibration,
        SetNodeCalibration,
        SetArithmetic,
        SetSharing,
        SplitModule,
        SetAssumption,
        SetBatch,
        SetInputOrder,
        SetPreprocess,
    )
}


def edit_from_dict(data: Mapping[str, Any]) -> Edit:
    """Read an edit back from plain data (a saved file or a widget's message).

    Raises
    ------
    QWorkbenchError
        On an unknown kind, an unknown or missing field, or a field of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise EditError(f"an edit is a mapping with a 'kind', got {type(data).__name__}")
    kind = KINDS.get(str(data.get("kind")))
    if kind is None:
        raise unknown_name("edit", str(data.get("kind")), KINDS)
    given = {k: v for k, v in data.items() if k != "kind"}
    allowed = {f.name: f for f in fields(kind)}
    for name in given:
        if name not in allowed:
            raise unknown_name(f"field of {kind.__name__}", name, allowed)
    missing = [name for name, f in allowed.items() if f.default is MISSING and name not in given]
    if missing:
        raise EditError(f"{kind.__name__} lacks {', '.join(missing)}")
    edit = kind(**given)
    edit.check()
    return edit


def check_contradictions(edits: Sequence[Edit]) -> None:
    """Raise when two edits of one step want different things of the same setting."""
    wanted: dict[str, tuple[Any, Edit]] = {}
    for edit in edits:
        if not isinstance(edit, Edit):
            raise EditError(f"edit() takes edits such as SetPlacement('softmax', 'bpu'), got {type(edit).__name__}")
        edit.check()
        for setting, value in edit.targets():
            if setting in wanted and wanted[setting][0] != value:
                first = wanted[setting][0]
                raise EditError(f"the edits contradict: {setting} is asked to be {first!r} and {value!r}; keep one")
            wanted[setting] = (value, edit)
