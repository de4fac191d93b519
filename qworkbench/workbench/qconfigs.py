"""The state of a workbench for the training side: a QconfigSetter with its dtypes and scales, or the code of it.

A name here is a module of the model that ``prepare`` makes. Where the workbench holds the float model, a copy of it is
prepared and its operators are matched with the graph's, one by one in the order in which the model calls them.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qworkbench.errors import CalibrationError, EditError
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.placement.units import is_marker

if TYPE_CHECKING:
    import torch

    from qworkbench.qat.quantization.qconfig_setter import QconfigSetter
    from qworkbench.workbench.session import Workbench

CHAINS = ("Softmax", "LayerNormalization")
WIDTHS = {"int8": ("qint8", 128), "int16": ("qint16", 32768)}


def qconfig_rules(workbench: Workbench, method: str) -> dict[str, dict[str, Any]]:
    """Return what ``ModuleNameTemplate`` takes: dtype and threshold of each module's output, dtype of its weight.

    Raises
    ------
    CalibrationError
        Before any calibration.
    EditError
        A model from a file, or one whose operators cannot be matched with its prepared form.
    """
    if workbench.statistics is None:
        raise CalibrationError("scales are not known yet; calibrate first: %qwb calibrate DATA, or wb.calibrate(data)")
    plan = workbench._stages.plan(workbench.config)
    placement, graph = workbench.placement, workbench.graph
    found: dict[str, dict[str, Any]] = {}
    for name, path in _paths(workbench, method).items():
        if name not in graph.nodes or graph.nodes[name].op == "DequantizeLinear":
            continue
        value = placement.canonical[graph.nodes[name].output]
        placed = placement[name]
        rule = found.setdefault(path, {})
        unit = placement.unit_of(name) if placed.on != "NONE" else None
        if unit is not None and unit.tail == unit.bn:
            value = placement.canonical[graph.nodes[unit.tail].output]
        inner = unit is not None and unit.tail not in (name, unit.bn)
        if placed.weight_dtype in WIDTHS and placed.weight_dtype != "int8":
            rule["weight"] = WIDTHS[placed.weight_dtype][0]
        if inner:
            continue
        quantity = next((plan.quantities[k] for d in WIDTHS if (k := f"{value}@{d}") in plan.quantities), None)
        if quantity is None:
            rule["output"] = "float16" if placed.dtype == "float16" else None
            rule.pop("threshold", None)
        elif not quantity.per_channel:
            dtype, steps = WIDTHS[quantity.dtype]
            rule |= {"output": dtype, "threshold": float(quantity.single) * steps}
    return {path: rule for path, rule in found.items() if rule}


def qconfig_setter(workbench: Workbench, method: str) -> QconfigSetter:
    """Return the setter; see :meth:`qworkbench.Workbench.qconfig_setter`."""
    from qworkbench.qat.quantization import get_qconfig
    from qworkbench.qat.quantization.observer import MinMaxObserver
    from qworkbench.qat.quantization.qconfig_setter import ModuleNameTemplate, QconfigSetter

    reference = get_qconfig(observer=MinMaxObserver, in_dtype=None)
    rules: dict[str, Any] = {"": "qint8", **_given(qconfig_rules(workbench, method))}
    return QconfigSetter(reference, [ModuleNameTemplate(rules, freeze=True)], enable_optimize=False)


def qconfig_code(workbench: Workbench, method: str) -> str:
    """Return Python text that sets the march and makes the same setter."""
    rules = _given(qconfig_rules(workbench, method))
    lines = [
        '"""Dtypes and fixed scales of a workbench; pass `setter` to prepare(..., qconfig_setter=setter)."""',
        "",
        "import qworkbench.qat as horizon",
        "from qworkbench.qat.quantization import MinMaxObserver, get_qconfig",
        "from qworkbench.qat.quantization.qconfig_setter import ModuleNameTemplate, QconfigSetter",
        "",
        f"horizon.march.set_march({workbench.march!r})",
        f"# names are those of prepare(..., method={method!r})",
        "rules = {",
        "    '': 'qint8',",
        *(f"    {path!r}: {rule!r}," for path, rule in rules.items()),
        "}",
        "setter = QconfigSetter(",
        "    reference_qconfig=get_qconfig(observer=MinMaxObserver, in_dtype=None),",
        "    templates=[ModuleNameTemplate(rules, freeze=True)],",
        "    enable_optimize=False,",
        ")",
    ]
    return "\n".join(lines) + "\n"


def _given(rules: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {path: rule for path, rule in rules.items() if path}


def _paths(workbench: Workbench, method: str) -> dict[str, str]:
    """Map nodes to the modules of the prepared model that write their outputs, in order."""
    from qworkbench.workbench.trained import module_of_nodes, open_prepared

    if workbench._trained is not None:
        return module_of_nodes(workbench._trained)
    model = workbench.model
    if isinstance(model, str) or not hasattr(model, "named_modules"):
        raise EditError("a qconfig names the modules of a torch model; load the module instead of a file")
    prepared = open_prepared(_prepared(workbench, model, method), _positional(model, workbench.example))
    base = workbench.base_graph
    paths = module_of_nodes(prepared)
    left = _by_op(_flat(base, {}))
    right = _by_op(_flat(prepared.graph, {n: p for n, p in paths.items() if _in_chain(prepared.chains, n)}))
    found: dict[str, str] = {}
    for op in {**left, **right}:
        ours, theirs = left.get(op, []), right.get(op, [])
        if len(ours) != len(theirs):
            raise EditError(
                f"the prepared model has {len(theirs)} operators of kind {op}, the graph {len(ours)}; a qconfig cannot "
                "be written for it"
            )
        # what kept its name is itself; a convolution fused with an addition moved to the addition's place
        same = {paths[b] for b in theirs if paths.get(b) in ours}
        rest = [b for b in theirs if paths.get(b) not in same]
        found |= {name: name for name in same}
        moved = zip((a for a in ours if a not in same), rest, strict=False)
        found |= {a: paths[b] for a, b in moved if b in paths}
    order = {name: index for index, name in enumerate(base.nodes.names())}
    return dict(sorted(found.items(), key=lambda item: order[item[0]]))


def _by_op(nodes: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for op, name in nodes:
        found.setdefault(op, []).append(name)
    return found


def _in_chain(chains: tuple[str, ...], name: str) -> bool:
    return any(name == chain or name.startswith(f"{chain}.") for chain in chains)


def _prepared(workbench: Workbench, model: Any, method: str) -> torch.nn.Module:
    """Return a copy of `model`, prepared on the march of the workbench."""
    from qworkbench.qat.march import _set, set_march
    from qworkbench.qat.quantization import prepare
    from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig

    before, example = list(_set), _positional(model, workbench.example)
    try:
        set_march(workbench.march)
        made: torch.nn.Module = prepare(
            copy.deepcopy(model).eval(),
            example,
            {"": default_qat_8bit_fake_quant_qconfig},
            method,
            check_result=None,
        )
    finally:
        _set[:] = before
    return made


def _positional(model: Any, example: Any) -> tuple[Any, ...]:
    """Return `example` as the positional arguments of ``forward``; one by name comes from a saved state."""
    if not isinstance(example, Mapping):
        return example if isinstance(example, tuple) else (example,)
    try:
        bound = inspect.signature(model.forward).bind(**example)
    except TypeError as error:
        raise EditError(f"the example does not fit forward of the model: {error}") from None
    return bound.args


def _flat(graph: Graph, chained: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (op, node) in order; the pieces of a chain, which share a path in `chained`, are one; BN is absorbed."""
    nodes: list[Node] = list(graph.nodes)
    for index, node in enumerate(nodes):
        path = chained.get(node.name)
        if node.op in ("BatchNormalization", "Identity", "Dropout"):
            continue
        if path is None:
            yield ("chain" if node.op in CHAINS else node.op if not is_marker(node.op) else "stub"), node.name
        elif index + 1 == len(nodes) or chained.get(nodes[index + 1].name) != path:
            yield "chain", node.name
