"""A trace becomes a graph: every call by its handler, constants folded, dead helpers dropped.

A call without a handler, or in a form that its handler does not know, is carried through as an ``Opaque`` node with
the reason in its attributes; conversion never fails on an unknown operation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable
from qworkbench.graph.repeated import read_directly
from qworkbench.graph.structure import Slot, leaves, map_leaves
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.handlers import FUNCTIONS, MODULES
from qworkbench.graph.torch_frontend.trace import Call, Trace
from qworkbench.graph.torch_frontend.values import UnsupportedError


def _handler(call: Call) -> Callable[..., Any] | None:
    if call.opaque:
        return None
    return (MODULES if call.module is not None else FUNCTIONS).get(call.fn)


def _opaque(builder: Builder, call: Call, why: str) -> Any:
    attrs: dict[str, Any] = {"why": why}
    if call.inner_modules:
        attrs["inner_modules"] = call.inner_modules
    return builder.replay("Opaque", attrs)


def _convert_call(builder: Builder, call: Call) -> None:
    builder.call = call
    handler = _handler(call)
    if handler is None:
        why = "wrapped" if call.opaque else f"no operator for {call.source_op}"
        builder.bind(_opaque(builder, call, why))
        return
    kwargs = {key: value for key, value in call.kwargs.items() if key not in ("out", "inplace")}
    args: tuple[Any, ...] = call.args if call.module is None else (call.module, *call.args)
    mark = builder.mark()
    try:
        try:
            inspect.signature(handler).bind(builder, *args, **kwargs)
        except TypeError as error:
            raise UnsupportedError(f"arguments: {error}") from error
        builder.bind(handler(builder, *args, **kwargs))
    except UnsupportedError as reason:
        builder.rewind(mark)
        builder.bind(_opaque(builder, call, str(reason)))


def _live(nodes: list[Node], outputs: set[str]) -> list[Node]:
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if any(out in needed for out in node.outputs):
            kept.append(node)
            needed.update(v for v in node.inputs if v is not None)
    return kept[::-1]


def _output_names(result: Any) -> list[str]:
    found = [path for path, leaf in leaves(result) if isinstance(leaf, Slot)]
    return [".".join(path) if path else "output" for path in found]


def converted(trace: Trace, root: torch.nn.Module, batch: int, in_spec: Any, name: str) -> Graph:
    """Return the graph of `trace`.

    Parameters
    ----------
    trace : Trace
    root : nn.Module
        Owner of the parameters.
    batch : int
        Batch size of the example.
    in_spec : object
        Kept in the graph for reading samples.
    name : str
        Name of the model.
    """
    builder = Builder(trace, batch)
    for call in trace.calls:
        if not (builder.constants.is_constant_call(call) or builder.constants.is_generated_call(call)):
            _convert_call(builder, call)
    results = [leaf for _, leaf in leaves(trace.result) if isinstance(leaf, Slot)]
    outputs = tuple(builder.name_of(slot) for slot in results)
    nodes = _live(builder.nodes, set(outputs))
    positions = iter(range(len(results)))
    out_spec = map_leaves(lambda leaf: Slot(next(positions)) if isinstance(leaf, Slot) else leaf, trace.result)
    inputs = tuple(trace.values[i].name for i in trace.inputs)
    used = {*inputs, *outputs}.union(*({*n.inputs, *n.outputs} for n in nodes)) - {None}
    leaf_paths = {call.module_path for call in trace.calls if call.module_path is not None}
    graph = Graph(
        nodes=NodeTable(nodes),
        values={key: value for key, value in builder.values.items() if key in used},
        inputs=inputs,
        outputs=outputs,
        output_names=tuple(_output_names(trace.result)),
        root=root,
        batch=batch,
        source="torch",
        in_spec=in_spec,
        out_spec=out_spec,
        call_counts={p: n for p, n in trace.module_calls.items() if p in leaf_paths or _is_inner(trace, p)},
        name=name,
    )
    graph.check()
    return read_directly(graph)


def _is_inner(trace: Trace, path: str) -> bool:
    return any(path in call.inner_modules for call in trace.calls)
