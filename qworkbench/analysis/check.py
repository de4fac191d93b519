"""The model check: what the guide's model_check_result.txt lists, from a graph, its placement and its plan.

Sections: fusable modules that are not fused, how often each module is called, dtypes and calibration of every layer's
output, of weights, dtype statistics, settings that want a second look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from qworkbench.analysis.quantizers import op_type
from qworkbench.analysis.ranges import FixedScale
from qworkbench.analysis.text import text_table
from qworkbench.files import write_text
from qworkbench.graph.fusion import find_fusions

if TYPE_CHECKING:
    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import Placement

RESULT_FILE = "model_check_result.txt"


@dataclass(frozen=True, eq=False)
class ModelCheck:
    """The sections as DataFrames; ``str`` is the text of the file.

    Attributes
    ----------
    fusable : pandas.DataFrame
        name, type, members: groups that could be one op and are not.
    calls : pandas.DataFrame
        name, called times: 1 is normal, 0 unused, more shared.
    outputs : pandas.DataFrame
        Module Name, Module Type, Input dtype, out dtype, ch_axis, observer.
    weights : pandas.DataFrame
        Module Name, Module Type, weight dtype, ch_axis, observer.
    dtypes : pandas.DataFrame
        How many layers read and write each dtype.
    unusual : pandas.DataFrame
        Module Name, Module Type, Msg: not necessarily wrong.
    """

    fusable: pd.DataFrame
    calls: pd.DataFrame
    outputs: pd.DataFrame
    weights: pd.DataFrame
    dtypes: pd.DataFrame
    unusual: pd.DataFrame

    def __str__(self) -> str:
        sections = (
            ("Fusable modules are listed below:", self.fusable, "every fusable module is fused"),
            ("Each module called times:", self.calls, "the model calls no module"),
            ("Each layer out qconfig:", self.outputs, "there is no layer"),
            ("Weight qconfig:", self.weights, "no weight is quantized"),
            ("input/output dtype statistics:", self.dtypes, "there is no layer"),
            ("Please check if these OPs qconfigs are expected..", self.unusual, "nothing unusual"),
        )
        return "\n\n".join(
            f"{title}\n{text_table(list(frame.columns), frame.values.tolist()) if len(frame) else empty}"
            for title, frame, empty in sections
        )

    def __repr__(self) -> str:
        return str(self)

    def save(self, path: str | Path = RESULT_FILE) -> Path:
        """Write the text, as ``model_check_result.txt`` unless told otherwise.

        Raises
        ------
        FileFormatError
        """
        return write_text(path, f"{self}\n")


def check_model(
    graph: Graph,
    placement: Placement,
    plan: Plan | None,
    *,
    method: str,
    fixed: Mapping[str, float],
    proposals: Sequence[FixedScale] = (),
    hints: Mapping[str, str] = MappingProxyType({}),
) -> ModelCheck:
    """Return the check of one configuration.

    Parameters
    ----------
    graph, placement
    plan : Plan or None
        None before calibration; nothing then tells channel axes.
    method : str
        Of the calibration, printed as the observer.
    fixed : Mapping of str to float
        Fixed scales in force.
    proposals : sequence of FixedScale
        Tensors whose range is known but not fixed.
    hints : Mapping of str to str
        What is wrong with a fixed scale, by node.
    """
    rows, weights = [], []
    for unit in placement.units:
        tail, anchor = placement[unit.tail], placement[unit.anchor]
        kind = op_type(graph, unit)
        group = placement.group(unit.outputs[0])
        quantity = None if plan is None else plan.quantities.get(f"{unit.outputs[0]}@{tail.dtype}")
        observer = "qconfig = None" if group is None else "FixedScale" if group.fixed_scale is not None else method
        axis = quantity.axis if quantity is not None and quantity.per_channel else -1
        rows.append([unit.tail, kind, anchor.input_dtype, tail.dtype, axis, observer])
        if anchor.weight_dtype and anchor.on == "BPU":
            weights.append([unit.anchor, kind, anchor.weight_dtype, 0, "max per channel"])
    outputs = pd.DataFrame(
        rows, columns=["Module Name", "Module Type", "Input dtype", "out dtype", "ch_axis", "observer"]
    )
    reads, writes = Counter(outputs["Input dtype"]), Counter(outputs["out dtype"])
    known = sorted({*reads, *writes})
    return ModelCheck(
        fusable=_fusable(graph, placement),
        calls=_calls(graph),
        outputs=outputs,
        weights=pd.DataFrame(weights, columns=["Module Name", "Module Type", "weight dtype", "ch_axis", "observer"]),
        dtypes=pd.DataFrame([[d, reads[d], writes[d]] for d in known], columns=["dtype", "read by", "written by"]),
        unusual=_unusual(graph, placement, fixed, proposals, hints),
    )


def _fusable(graph: Graph, placement: Placement) -> pd.DataFrame:
    units = [set(unit.members) for unit in placement.units]
    rows = [
        [group.name, "+".join(graph.nodes[m].op for m in group.members), ", ".join(group.members)]
        for group in find_fusions(graph)
        if not any(set(group.members) <= members for members in units)
    ]
    return pd.DataFrame(rows, columns=["name", "type", "members"])


def _calls(graph: Graph) -> pd.DataFrame:
    return pd.DataFrame(list(graph.call_counts.items()), columns=["name", "called times"])


def _unusual(
    graph: Graph,
    placement: Placement,
    fixed: Mapping[str, float],
    proposals: Sequence[FixedScale],
    hints: Mapping[str, str],
) -> pd.DataFrame:
    rows = []
    for name, scale in fixed.items():
        rows.append([name, graph.nodes[name].op if name in graph.nodes else "Input", f"Fixed scale {scale:.10g}"])
        if name in hints:
            rows.append([name, graph.nodes[name].op if name in graph.nodes else "Input", hints[name]])
    for proposal in proposals:
        kind = graph.nodes[proposal.node].op if proposal.node in graph.nodes else "Input"
        text = (
            f"range is known, {proposal.low:g} to {proposal.high:g} ({proposal.why}), but the scale is "
            f"{proposal.now:.6g}; consider fixed scale {proposal.scale:.6g}"
        )
        rows.append([proposal.node, kind, text])
    for placed in placement.values():
        rows += [[placed.name, graph.nodes[placed.name].op, note] for note in placed.notes]
    return pd.DataFrame(rows, columns=["Module Name", "Module Type", "Msg"])
