"""What a PTQ configuration means for a workbench, and how a workbench is written as one.

Read: march, ``run_on_cpu``, ``run_on_bpu``, ``node_info`` (both forms), the calibration method and the ``optimization``
words that name operators. Every other key stays in the file and is reported. Knows configurations and edits, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qworkbench.calibration.search import SEARCHES
from qworkbench.errors import FileFormatError, nearest, unknown_name
from qworkbench.graph.batching import input_shapes
from qworkbench.march import MARCHES, get_march
from qworkbench.placement.types import DtypeRequest
from qworkbench.toolchain.ptq_schema import GROUPS, HB_COMPILE_MARCHES, KEYS
from qworkbench.toolchain.ptq_yaml import PtqYaml
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits import (
    Edit,
    SetBatch,
    SetCalibration,
    SetDtype,
    SetInputDtype,
    SetMarch,
    SetPlacement,
)
from qworkbench.workbench.ptq_inputs import input_edits, input_keys

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph

USED = {
    *("march", "node_info", "run_on_cpu", "run_on_bpu"),
    *("calibration_type", "max_percentile", "per_channel", "optimization"),
    *("input_name", "input_type_rt", "input_type_train", "input_layout_train", "input_space_and_range"),
    *("norm_type", "mean_value", "scale_value", "std_value", "input_batch"),
}
_OPTIMIZATION = re.compile(r"set_(?P<op>\w+)_(?P<side>input|output)_(?P<dtype>int8|int16)")
_INFO_KEYS = ("ON", "InputType", "OutputType")


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
        for name in _names(document.get(key)):
            _known(name, graph, key)
            if on.get(name, where) != where:
                raise FileFormatError(f"{name!r} is in run_on_cpu and in run_on_bpu; keep one")
            on[name] = where
    dtypes: dict[str, dict[str, str]] = {}
    legal = get_march(march if march in MARCHES else config.march).dtypes
    _optimization(document.get("optimization"), graph, on, dtypes, found.remarks)
    for name, info in _node_info(document.get("node_info")).items():
        _known(name, graph, "node_info")
        if "ON" in info:
            on[name] = info["ON"].lower()
        dtypes.setdefault(name, {}).update(_dtypes_of(name, info, legal))
    found.edits += [SetPlacement(name, "auto") for name in config.on if name not in on]
    found.edits += [SetPlacement(name, where) for name, where in on.items() if config.on.get(name) != where]
    found.edits += dtype_edits(config, dtypes, ("input", "output"))
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


def writing(config: Config, graph: Graph, base: PtqYaml | None = None) -> tuple[PtqYaml, list[str]]:
    """Return a configuration that reproduces `config`, and one line per setting for which the file has no key.

    `base` is changed key by key, so its comments and other keys stay; without one a whole file is made, with the keys
    that the tools require.
    """
    document = base or PtqYaml(_fresh(config, graph))
    method = config.calibration
    lost = [
        f"{u.node}: a unit conv {u.where} it is part of the model; export it with to_onnx" for u in config.unit_convs
    ]
    lost += [f"{name}: a fixed scale has no key in a PTQ configuration" for name in config.scales]
    lost += [f"{name}: calibration {m.describe()} of one node has no key" for name, m in config.methods.items()]
    lost += [f"{name}: weight {wish.weight} has no key" for name, wish in config.dtypes.items() if wish.weight]
    kind = {"max": "max", "max-percentile": "max", "kl": "kl"}.get(method.name)
    if kind is None:
        lost.append(f"calibration {method.name} is not one of the file's types; the file says max")
    info = {
        name: {
            **({"InputType": wish.input} if wish.input else {}),
            **{f"InputType{slot}": dtype for slot, dtype in wish.slots},
            **({"OutputType": wish.output} if wish.output else {}),
        }
        for name, wish in sorted(config.dtypes.items())
    }
    if base is not None:
        said = reading(base, config, graph)
        if not said.edits and said.search is None and base.get("march") == config.march and kind is not None:
            return base, lost
    wanted: dict[str, Any] = {
        "march": config.march,
        "run_on_cpu": ";".join(sorted(n for n, where in config.on.items() if where == "cpu")) or None,
        "run_on_bpu": ";".join(sorted(n for n, where in config.on.items() if where == "bpu")) or None,
        "node_info": {name: parts for name, parts in info.items() if parts} or None,
        "calibration_type": kind or "max",
        "max_percentile": method.fraction if method.fraction < 1.0 else None,
        "per_channel": True if method.per_channel else None,
        "optimization": _without_operators(document.get("optimization")),
        "input_batch": config.batching.input_batch if config.batching.input_batch != 1 else None,
        **input_keys(config, graph, base),
    }
    for name, value in wanted.items():
        before = document.get(name)
        same = before is not None and _same(name, before, value)
        if not same and not (value is None and before in ("", False, 1.0)):
            document = document.set(name, value)
    document.rules()
    return document, lost


def _same(name: str, before: Any, value: Any) -> bool:
    if name in ("run_on_cpu", "run_on_bpu"):
        return sorted(_names(before)) == sorted(_names(value))
    return bool(before == value)


def _names(value: Any) -> list[str]:
    return [name.strip() for name in str(value or "").split(";") if name.strip()]


def _known(name: str, graph: Graph, key: str) -> None:
    if name not in graph.nodes:
        raise unknown_name(f"node (asked for in {key})", name, graph.nodes.names())


def _node_info(value: Any) -> dict[str, dict[str, str]]:
    """Read ``n1:int16;n2:int16``, or ``{node: {'ON': .., 'InputType': .., 'OutputType': ..}}``."""
    if not value:
        return {}
    if isinstance(value, str):
        found = {}
        for entry in _names(value):
            name, _, dtype = entry.rpartition(":")
            if not name:
                raise FileFormatError(f"node_info entry {entry!r} is not 'node:int16'; or write a mapping of nodes")
            found[name] = {"OutputType": dtype}
        return found
    if not isinstance(value, Mapping) or not all(isinstance(info, Mapping) for info in value.values()):
        raise FileFormatError(f"node_info must be 'node:int16;...' or a mapping of nodes to mappings, got {value!r}")
    # YAML 1.1 reads a bare ON as True
    return {
        str(name): {"ON" if key is True else str(key): str(entry) for key, entry in info.items()}
        for name, info in value.items()
    }


def dtype_edits(config: Config, asked: Mapping[str, Mapping[str, str]], parts: tuple[str, ...]) -> list[Edit]:
    """Return the edits after which `config` asks exactly for `asked` in `parts` ("input", "output", "weight").

    `asked` maps nodes to wishes by part; single inputs are parts called ``input 0``, ``input 1``.
    """
    edits: list[Edit] = []
    for name in dict.fromkeys((*config.dtypes, *asked)):
        wish, want = config.dtypes.get(name, DtypeRequest()), asked.get(name, {})
        whole = {part: want.get(part, "auto") for part in parts if getattr(wish, part) != want.get(part)}
        if whole:
            edits.append(SetDtype(name, **whole))
        slots = {int(part.split()[1]): dtype for part, dtype in want.items() if part.startswith("input ")}
        had = dict(wish.slots)
        changed = (slot for slot in sorted({*slots, *had}) if had.get(slot) != slots.get(slot))
        edits += [SetInputDtype(name, slot, slots.get(slot, "auto")) for slot in changed]
    return edits


def _dtypes_of(name: str, info: Mapping[str, str], legal: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in info.items():
        part = re.fullmatch(r"InputType(\d*)|(OutputType)", key)
        if key == "ON":
            if value.upper() not in ("BPU", "CPU"):
                raise FileFormatError(f"node_info of {name!r}: ON must be BPU or CPU, got {value!r}")
        elif part is None:
            hint = nearest(key, _INFO_KEYS, count=1)
            also = f"; did you mean {hint[0]!r}?" if hint else ""
            raise FileFormatError(f"node_info of {name!r}: no key {key!r}{also} known: {', '.join(_INFO_KEYS)}")
        elif value not in legal:
            hint = nearest(value, legal, count=1)
            also = f"; did you mean {hint[0]!r}?" if hint else ""
            raise FileFormatError(
                f"node_info of {name!r}: {key} must be one of {', '.join(legal)}, got {value!r}{also}"
            )
        else:
            found["output" if part[2] else f"input {part[1]}" if part[1] else "input"] = value
    return found


def _optimization(
    value: Any, graph: Graph, on: dict[str, str], dtypes: dict[str, dict[str, str]], remarks: list[str]
) -> None:
    for word in (part.strip() for part in str(value or "").split(",") if part.strip()):
        match = _OPTIMIZATION.fullmatch(word)
        nodes = [] if match is None else [node for node in graph.nodes if node.op == match["op"]]
        if match is None or not nodes:
            remarks.append(f"optimization {word}: without effect here")
            continue
        for node in nodes:
            dtypes.setdefault(node.name, {})[match["side"]] = match["dtype"]
            if node.op == "Softmax":
                on.setdefault(node.name, "bpu")


def _without_operators(value: Any) -> str | None:
    """Return the words that are not written as ``node_info`` instead."""
    words = [w.strip() for w in str(value or "").split(",") if w.strip() and not _OPTIMIZATION.fullmatch(w.strip())]
    return ",".join(words) or None


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


def _fresh(config: Config, graph: Graph) -> str:
    shapes = ["x".join(map(str, shape)) for shape in input_shapes(graph, config.batching).values()]
    many = len(graph.inputs)
    later = config.march in HB_COMPILE_MARCHES
    return f"""# PTQ configuration of {graph.name}, written by qworkbench
model_parameters:
  onnx_model: '{graph.name}.onnx'
  march: '{config.march}'
  output_model_file_prefix: '{graph.name}'
input_parameters:
  input_name: '{";".join(graph.inputs)}'
  input_shape: '{";".join(shapes)}'
  input_type_rt: '{";".join(["featuremap"] * many)}'
  input_type_train: '{";".join(["featuremap"] * many)}'
  input_layout_train: '{";".join(["NCHW"] * many)}'
calibration_parameters:
  cal_data_dir: '{";".join(f"./{name}_f32" for name in graph.inputs)}'
  calibration_type: 'max'
compiler_parameters:
  compile_mode: 'latency'
  optimize_level: '{"O2" if later else "O3"}'
"""
