"""Which edits would win something: each is placed, emulated and measured, and none is kept.

Candidates are the ways that placement itself names for each op on the CPU. What an edit wins is counted (bytes at the
boundaries, ops on the BPU); what it costs in accuracy is measured by running it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qworkbench.errors import Cancelled, QWorkbenchError
from qworkbench.estimate.switches import boundary_bytes
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits import Edit, edit_from_dict

if TYPE_CHECKING:
    import pandas as pd

    from qworkbench.workbench.run import Run
    from qworkbench.workbench.stages import Stages

COLUMNS = [
    "edit",
    "bytes_removed",
    "ops_moved",
    "subgraphs_removed",
    "cosine",
    "delta_cosine",
    "l1",
    "delta_l1",
    "code",
]


def advise(
    stages: Stages,
    config: Config,
    measure: Callable[[Config], Run],
    *,
    limit: int = 10,
    progress: Callable[[str, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> pd.DataFrame:
    """Return edits that take bytes off the boundaries or bring ops to the BPU, the largest win first.

    Parameters
    ----------
    stages, config
        The state that is advised about.
    measure : callable
        Emulates a configuration; its results are cached, so that candidates share what they have in common.
    limit : int
        How many are measured; the best by bytes, then by ops.

    Returns
    -------
    pandas.DataFrame
        ``cosine`` is the lowest of the outputs, ``l1`` the largest; ``delta_`` is against the state in force. ``code``
        makes the edit.

    Raises
    ------
    CalibrationError
        Before any calibration.
    Cancelled
    """
    import pandas as pd

    placement = stages.placement(config)
    before = boundary_bytes(stages.graph(config), placement)
    wins: list[tuple[int, int, int, tuple[Edit, ...], Config]] = []
    for edits in _candidates(stages, config):
        changed = _applied(stages, config, edits)
        if changed is None:
            continue
        target, after = changed, stages.placement(changed)
        saved = before - boundary_bytes(stages.graph(changed), after)
        moved = sum(after[name].on == "BPU" and placement[name].on == "CPU" for name in placement)
        lost = sum(after[name].on == "CPU" and placement[name].on == "BPU" for name in placement)
        if saved > 0 or moved > lost:
            wins.append((saved, moved - lost, placement.subgraphs - after.subgraphs, edits, target))
    wins.sort(key=lambda win: (win[0], win[1]), reverse=True)
    wins = wins[:limit]
    base = measure(config).tables.worst
    rows = []
    for done, (saved, moved, joined, edits, target) in enumerate(wins):
        if cancelled():
            raise Cancelled("the advice was cancelled; nothing was changed")
        text = "; ".join(edit.describe() for edit in edits)
        if progress is not None:
            progress(text, done, len(wins))
        cosine, l1 = measure(target).tables.worst
        code = f"wb.edit({', '.join(edit.as_code() for edit in edits)})"
        rows.append((text, saved, moved, joined, cosine, cosine - base[0], l1, l1 - base[1], code))
    return pd.DataFrame(rows, columns=COLUMNS)


def _candidates(stages: Stages, config: Config) -> list[tuple[Edit, ...]]:
    found: dict[tuple[Edit, ...], None] = {}
    for node in stages.placement(config).values():
        if node.on == "CPU":
            for way in node.reason.ways:
                if way.edits:
                    found[tuple(_edit(data) for data in way.edits)] = None
    return list(found)


def _edit(data: Mapping[str, Any]) -> Edit:
    return edit_from_dict(dict(data))


def _applied(stages: Stages, config: Config, edits: tuple[Edit, ...]) -> Config | None:
    """Return the configuration with `edits`, or None where they do not fit together with what is there."""
    try:
        for edit in edits:
            config = edit.apply(config)
        stages.placement(config)
        stages.plan(config)
    except QWorkbenchError:
        return None
    return config
