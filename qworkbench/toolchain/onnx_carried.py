"""Carried operators on their way back into a file: those of a file as they were, torch's where attributes tell all.

A torch call that was only recorded (``masked_fill`` is a Where with other arguments) is left to torch's own exporter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qworkbench.errors import FileFormatError
from qworkbench.graph.node import Node, Sym
from qworkbench.graph.onnx_frontend.carried import FUNCTIONS, recurrent
from qworkbench.graph.onnx_frontend.reference import ReferenceCall
from qworkbench.graph.replay import Replay
from qworkbench.toolchain.onnx_traced import is_torch_call, write_traced
from qworkbench.toolchain.onnx_writer import Writer

_TOLD = ("Cast", "ReduceL1", "ReduceL2", "GridSample", "TopK")
"""Operators whose attributes say everything, whichever front end carried them."""
_SINCE = {"GridSample": 16, "ScatterElements": 11, "GatherND": 11, "ScatterND": 11}


def write_carried(w: Writer, node: Node) -> None:
    """Write a node that has a call of its own.

    Raises
    ------
    FileFormatError
        A torch call without an ONNX form, or an operator that this opset does not have in the file's form.
    """
    if isinstance(node.call, ReferenceCall):
        _copied(w, node, node.call)
        return
    func = node.call.func if isinstance(node.call, Replay) else None
    from_onnx = node.source_op.startswith("onnx:") and (func is recurrent or func in FUNCTIONS.values())
    if not from_onnx and (node.op == "Opaque" or node.op not in _TOLD):
        if not is_torch_call(node):
            raise FileFormatError(
                f"{node.name!r} ({node.source_op}) is code of your own that was kept whole; it has no ONNX form, so "
                "end the model in front of it"
            )
        write_traced(w, node)
        return
    if w.opset < _SINCE.get(node.op, 1):
        raise FileFormatError(f"{node.name!r} is a {node.op}, which ONNX has since opset {_SINCE[node.op]}")
    inputs = [w.read(v) for v in node.inputs]
    if node.op in ("LSTM", "GRU"):
        _recurrent(w, node, inputs)
    else:
        _plain(w, node, inputs)


def _plain(w: Writer, node: Node, inputs: list[str]) -> None:
    attrs: dict[str, Any] = {k: int(v) if isinstance(v, bool) else v for k, v in node.attrs.items() if k != "why"}
    op = "Div" if node.op == "Opaque" else node.op
    if op == "Cast":
        attrs = {"to": w.element(attrs["to"])}
    elif op in ("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"):
        w.with_axes(node, op, inputs[0], attrs["axes"], 18, {"keepdims": attrs["keepdims"]})
        return
    elif op == "Tile":
        inputs, attrs = [*inputs, w.shape(node, _static(node, attrs["repeats"]))], {}
    elif op == "TopK":
        inputs = [*inputs, w.ints([attrs.pop("k")], f"{node.name}/k")]
    elif op == "CumSum":
        inputs = [*inputs, w.weight(np.asarray(attrs.pop("axis"), np.int64), f"{node.name}/axis")]
    elif op == "GridSample" and w.opset >= 20:
        attrs["mode"] = {"bilinear": "linear", "bicubic": "cubic"}.get(attrs["mode"], attrs["mode"])
    elif op == "ScatterND" and (w.opset < 16 or attrs.get("reduction") == "none"):
        if attrs.pop("reduction", "none") != "none":
            raise FileFormatError(f"{node.name!r} adds while it scatters, which ONNX has since opset 16")
    elif op == "Div":
        attrs = {}
    w.last(node, op, inputs, **attrs)


def _static(node: Node, values: Sequence[Any]) -> Sequence[int]:
    if any(isinstance(v, Sym) for v in values):
        raise FileFormatError(f"{node.name!r} repeats as often as the batch; export it at one batch size")
    return values


def _recurrent(w: Writer, node: Node, inputs: list[str]) -> None:
    assert isinstance(node.call, Replay)
    _, direction, slots, *_ = node.call.args
    given = iter(inputs[3:])
    bias, hidden, cell = (next(given) if there else "" for there in slots)
    full = [*inputs[:3], bias, "", hidden, cell]
    while not full[-1]:
        full.pop()
    extra = {"linear_before_reset": 1} if node.op == "GRU" else {}
    w.last(node, node.op, full, hidden_size=node.attrs["hidden_size"], direction=direction, **extra)


def _copied(w: Writer, node: Node, call: ReferenceCall) -> None:
    """Write the file's own node again, if it means the same in this opset."""
    from onnx import defs

    proto = type(call.node)()
    proto.CopyFrom(call.node)
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    source = call.evaluators.opsets.get(domain, 1)
    if domain == "":
        try:
            same = (
                defs.get_schema(proto.op_type, w.opset, "").since_version
                == defs.get_schema(proto.op_type, source, "").since_version
            )
        except defs.SchemaError:
            same = False
        if not same or any(a.HasField("g") or a.graphs for a in proto.attribute):
            raise FileFormatError(
                f"{node.name!r} ({proto.op_type}) was read at opset {source} and means something else, or nothing, at "
                f"opset {w.opset}; pass opset={source}, or end the model in front of it"
            )
    else:
        w.domains[domain] = source
    by_name = dict(zip(call.names, node.inputs, strict=True))
    made = iter(node.outputs)
    proto.name = node.name
    proto.input[:] = [w.read(by_name[name]) if name else "" for name in proto.input]
    proto.output[:] = [w.made(next(made)) if name else "" for name in proto.output]
    w.nodes.append(proto)
