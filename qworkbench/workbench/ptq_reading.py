"""What a PTQ configuration means for a workbench: the edits of one step.

Read: march, ``run_on_cpu``, ``run_on_bpu``, ``node_info`` (both forms), the calibration method, the inputs with their
shapes, and the ``optimization`` words that name operators. Every other key stays in the file and is reported. Knows
configurations and edits, no files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qworkbench.calibration.search import SEARCHES
from qworkbench.errors import EditError, FileFormatError, unknown_name
from qworkbench.march import MARCHES, get_march
from qworkbench.toolchain.ptq_schema import GROUPS, KEYS
from qworkbench.toolchain.ptq_yaml import PtqYaml
from qworkbench.workbench.config import Config
from qworkbench.workbench.dtype_wishes import dtype_edits
from qworkbench.workbench.edits import Edit, SetBatch, SetCalibration, SetMarch, SetPlacement
from qworkbench.workbench.node_info import NodeInfo, parse_node_info
from qworkbench.workbench.ptq_inputs import input_edits
from qworkbench.workbench.ptq_shape import shape_edits

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph

USED = {
    *("march", "node_info", "run_on_cpu", "run_on_bpu"),
    *("calibration_type", "max_percentile", "per_channel", "optimization"),
    *("input_name", "input_type_rt", "input_type_train", "input_layout_train", "input_space_and_range"),
    *("norm_type", "mean_value", "scale_value", "std_value", "input_batch", "input_shape"),
}
OPTIMIZATION = re.compile(r"set_(?P<op>\w+)_(?P<side>input|output)_(?P<dtype>int8|int16)")


@dataclass
class Reading:
    """What a file asks for.

    Attributes
    ----------
    edits : list of Edit
        One step that makes the workbench agree with the file.
    search : str or None
        "default" or "mix", where the file leaves the method to a search.
    remarks : list of str
        One line per key that has no effect here, and why.
    """

    edits: list[Edit] = field(default_factory=list)
    search: str | None = None
    remarks: list[str] = field(default_factory=list)


def reading(document: PtqYaml, config: Config, graph: Graph) -> Reading:
    """Return the edits that bring `config` to what `document` says; wishes that it does not hold are taken back.

    Raises
    ------
    UnknownNameError
        A node that the model does not have.
    FileFormatError
        A ``node_info`` that is of neither form, or an unknown value in it.
    """
    found = Reading(remarks=[*document.remarks, *document.rules()])
    march = document.get("march")
    if march in MARCHES:
        if march != config.march:
            found.edits.append(SetMarch(march))
    elif march:
        found.remarks.append(f"march {march!r} has no table here; placement stays that of {config.march}")
    on: dict[str, str] = {}
    for key, where in (("run_on_cpu", "cpu"), ("run_on_bpu", "bpu")):
        for name in names_of(document.get(key)):
            _known(name, graph, key)
            if on.get(name, where) != where:
                raise FileFormatError(f"{name!r} is in run_on_cpu and in run_on_bpu; keep one")
            on[name] = where
    dtypes: dict[str, dict[str, str]] = {}
    legal = get_march(march if march in MARCHES else config.march).dtypes
    _optimization(document.get("optimization"), graph, on, dtypes, found.remarks)
    for name, wish in _node_info(document, legal).items():
        _known(name, graph, "node_info")
        if wish.on is not None:
            on[name] = wish.on
        dtypes.setdefault(name, {}).update(wish.dtypes)
    found.edits += [SetPlacement(name, "auto") for name in config.on if name not in on]
    found.edits += [SetPlacement(name, where) for name, where in on.items() if config.on.get(name) != where]
    found.edits += dtype_edits(config, dtypes, ("input", "output"))
    found.edits += shape_edits(document, config, graph, found.remarks)
    batch = document.get("input_batch")
    if batch is not None and batch != config.batching.input_batch:
        found.edits.append(SetBatch(input_batch=batch))
    found.edits += input_edits(document, config, graph, found.remarks)
    _calibration(document, config, found)
    for group in GROUPS:
        found.remarks += [
            f"{group}.{name}: kept in the file, without effect here"
            for name in document.tree.get(group) or {}
            if name in KEYS and KEYS[name].group == group and name not in USED
        ]
    return found


def names_of(value: Any) -> list[str]:
    """Return the entries of a ``;`` list."""
    return [name.strip() for name in str(value or "").split(";") if name.strip()]


def _known(name: str, graph: Graph, key: str) -> None:
    if name not in graph.nodes:
        raise unknown_name(f"node (asked for in {key})", name, graph.nodes.names())


def _node_info(document: PtqYaml, legal: tuple[str, ...]) -> dict[str, NodeInfo]:
    try:
        return parse_node_info(document.get("node_info") or "", legal)
    except EditError as error:
        raise FileFormatError(str(error)) from None


def _optimization(
    value: Any, graph: Graph, on: dict[str, str], dtypes: dict[str, dict[str, str]], remarks: list[str]
) -> None:
    for word in (part.strip() for part in str(value or "").split(",") if part.strip()):
        match = OPTIMIZATION.fullmatch(word)
        nodes = [] if match is None else [node for node in graph.nodes if node.op == match["op"]]
        if match is None or not nodes:
            remarks.append(f"optimization {word}: without effect here")
            continue
        for node in nodes:
            dtypes.setdefault(node.name, {})[match["side"]] = match["dtype"]
            if node.op == "Softmax":
                on.setdefault(node.name, "bpu")


def _calibration(document: PtqYaml, config: Config, found: Reading) -> None:
    kind = document.get("calibration_type")
    if kind in SEARCHES:
        found.search = kind
    elif kind in ("max", "kl"):
        fraction = float(document.get("max_percentile") or 1.0)
        per_channel = document.get("per_channel") is True
        name = "max-percentile" if kind == "max" and fraction < 1.0 else kind
        edit = (
            SetCalibration(name, fraction, per_channel)
            if fraction < 1.0
            else SetCalibration(name, per_channel=per_channel)
        )
        if edit.apply(config).calibration != config.calibration:
            found.edits.append(edit)
    elif kind:
        found.remarks.append(f"calibration_type {kind}: thresholds stay those of the workbench")
