"""A workbench written as a PTQ configuration: a file of its own, or an existing one changed key by key.

What the file has no key for is told, line by line. Knows configurations, no files; what the keys mean is told by
:mod:`qworkbench.workbench.ptq_reading`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qworkbench.graph.batching import input_shapes
from qworkbench.toolchain.ptq_schema import HB_COMPILE_MARCHES
from qworkbench.toolchain.ptq_yaml import PtqYaml
from qworkbench.workbench.config import Config
from qworkbench.workbench.ptq_inputs import input_keys
from qworkbench.workbench.ptq_reading import OPTIMIZATION, names_of, reading
from qworkbench.workbench.ptq_shape import shape_keys

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph


CALIBRATION = ("calibration_type", "max_percentile", "per_channel")


def writing(
    config: Config, graph: Graph, base: PtqYaml | None = None, *, chosen: bool = True
) -> tuple[PtqYaml, list[str]]:
    """Return a configuration that reproduces `config`, and one line per setting for which the file has no key.

    `base` is changed key by key, so its comments and other keys stay; without one a whole file is made, with the keys
    that the tools require. Where nobody has `chosen` a calibration method, a search that `base` asks for stays.
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
    kept: str | None = None
    if base is not None:
        said, shape = reading(base, config, graph), shape_keys(config, graph, base)
        kept = None if chosen else _own_way(base)
        agrees = not said.edits and (said.search is None or kept is not None) and base.get("march") == config.march
        if agrees and not shape and kind is not None:
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
        **({} if base is None else shape_keys(config, graph, base)),
    }
    if kept is not None:
        wanted = {name: value for name, value in wanted.items() if name not in CALIBRATION}
    for name, value in wanted.items():
        before = document.get(name)
        same = before is not None and _same(name, before, value)
        if not same and not (value is None and before in ("", False, 1.0)):
            document = document.set(name, value)
    document.rules()
    return document, lost


def _own_way(base: PtqYaml) -> str | None:
    """Return the calibration type of `base` where it is not a method but leaves the choice to the tool."""
    kind = base.get("calibration_type")
    return None if kind in ("max", "kl", None, "") else str(kind)


def _same(name: str, before: Any, value: Any) -> bool:
    if name in ("run_on_cpu", "run_on_bpu"):
        return sorted(names_of(before)) == sorted(names_of(value))
    return bool(before == value)


def _without_operators(value: Any) -> str | None:
    """Return the words that are not written as ``node_info`` instead."""
    words = [w.strip() for w in str(value or "").split(",") if w.strip() and not OPTIMIZATION.fullmatch(w.strip())]
    return ",".join(words) or None


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
