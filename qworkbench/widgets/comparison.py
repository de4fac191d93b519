"""The A/B view: a step of the journal beside the state in force, with the nodes that differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from qworkbench.view.model import build_view
from qworkbench.view.modules import boxes_of

if TYPE_CHECKING:
    from qworkbench.widgets.protocol import WorkbenchLike


def comparison(workbench: WorkbenchLike, index: int, view: Mapping[str, Any]) -> dict[str, Any]:
    """Compare step `index` with the state in force, which `view` shows.

    Returns
    -------
    dict
        ``index``, ``text``: the step; ``view``: its picture, with the modules folded that it has in common; ``nodes``:
        per box that differs, what differs; ``outputs``: its figures, empty where it was never run.

    Raises
    ------
    EditError
        When there is no such step.
    """
    from qworkbench.workbench.rows import output_rows

    state = workbench.at(index)
    modules = {scope for node in state.graph.nodes for scope in _scopes(node.scope)}
    picture = build_view(state, collapsed=[path for path in view["collapsed"] if path in modules])
    differing = workbench.differing_nodes(index)
    run = state.last_run
    return {
        "index": index,
        "text": state.text,
        "view": picture,
        "nodes": {
            **_by_box(differing, boxes_of(state.graph, picture["collapsed"])),
            **_by_box(differing, boxes_of(workbench.graph, view["collapsed"])),
        },
        "outputs": [] if run is None else output_rows(run),
    }


def _scopes(scope: str) -> Collection[str]:
    parts = scope.split(".") if scope else []
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def _by_box(differing: Mapping[str, str], boxes: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, text in differing.items():
        if name in boxes:
            found.setdefault(boxes[name], []).append(text if boxes[name] == name else f"{name}: {text}")
    return {
        box: "; ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")
        for box, texts in found.items()
    }
