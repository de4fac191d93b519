"""The check against onnxruntime: the graph must compute what the file computes, or the first wrong node is named.

onnxruntime runs without optimisation. A file with quantized activations is compared with itself without quantization,
since the graph holds the real numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qworkbench.errors import CaptureError, QWorkbenchError
from qworkbench.graph.execute import run_float
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import resolve
from qworkbench.graph.onnx_frontend.file import Source, load_source
from qworkbench.graph.onnx_frontend.tensors import HALF, array_of, as_array, as_tensor
from qworkbench.graph.torch_frontend.selfcheck import difference

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_INTEGERS = (2, 3, 4, 5)  # uint8, int8, uint16, int16
TOLERANCE = 1e-4
"""Largest accepted ``max |graph - onnxruntime| / max |onnxruntime|``."""
HALF_TOLERANCE = 2e-2
"""The same for a file that computes in half precision, which the graph widens."""


def verify_onnx(graph: Graph, path: str | Path | bytes, feeds: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Return, per output, how far `graph` is from what onnxruntime computes from the file.

    Parameters
    ----------
    graph : Graph
        As :func:`read_onnx` returned it.
    path : str, Path or bytes
        The file that it was read from.
    feeds : Mapping of str to Tensor
        Inputs by name.

    Returns
    -------
    dict of str to float
        ``max |graph - onnxruntime| / max |onnxruntime|`` by output name; infinite where shapes differ.

    Raises
    ------
    QWorkbenchError
        When onnxruntime is not installed or refuses the file.
    """
    return _distances(graph, _float_view(load_source(path)), feeds)


def check_onnx(graph: Graph, source: Source, feeds: Mapping[str, torch.Tensor] | None = None) -> None:
    """Compare `graph` with onnxruntime once; nothing happens where onnxruntime is missing or cannot run the file.

    Parameters
    ----------
    graph : Graph
    source : Source
        The parsed file.
    feeds : Mapping of str to Tensor, optional
        Random numbers of the declared shapes (zeros for integer inputs) unless given.

    Raises
    ------
    CaptureError
        Naming the first node that differs by more than :data:`TOLERANCE`.
    """
    quantized = any(n.op_type.startswith(("QLinear", "QGemm")) for n in source.model.graph.node)
    if find_spec("onnxruntime") is None or quantized:
        return
    model = _float_view(source)
    sample = drawn(graph) if feeds is None else feeds
    try:
        distances = _distances(graph, model, sample)
    except QWorkbenchError:
        return
    allowed = HALF_TOLERANCE if _is_half(model) else TOLERANCE
    worst = max(distances, key=lambda name: distances[name], default=None)
    if worst is None or distances[worst] <= allowed:
        return
    where = _first_difference(graph, model, sample, allowed)
    raise CaptureError(
        f"the graph differs from what onnxruntime computes by {distances[worst]:.2g} at output {worst!r} (allowed "
        f"{allowed:g}, relative to its largest value); {where}; try recompose=False, and report the file"
    )


def drawn(graph: Graph) -> dict[str, torch.Tensor]:
    """Return feeds for a comparison: repeatable random numbers, zeros for integer inputs."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name in graph.inputs:
        entry = graph.values[name]
        dtype, shape = getattr(torch, entry.dtype), resolve(entry.shape, graph.batch)
        real = torch.randn(shape, generator=generator, dtype=dtype) if dtype.is_floating_point else None
        found[name] = torch.zeros(shape, dtype=dtype) if real is None else real
    return found


def _is_half(model: ModelProto) -> bool:
    infos = (*model.graph.input, *model.graph.output)
    casts = (a.i for n in model.graph.node if n.op_type == "Cast" for a in n.attribute if a.name == "to")
    return any(i.type.tensor_type.elem_type in HALF for i in infos) or any(to in HALF for to in casts)


def _float_view(source: Source) -> ModelProto:
    """Return the model with quantize and dequantize of activations taken out.

    A quantizer that clamps at zero becomes a Relu, which it stands for.
    """
    stubs = ("QuantizeLinear", "DequantizeLinear")
    if not any(node.op_type in stubs for node in source.model.graph.node):
        return source.model
    model = type(source.model)()
    model.CopyFrom(source.model)
    stored = {t.name for t in model.graph.initializer}
    stored |= {o for n in model.graph.node if n.op_type == "Constant" for o in n.output}
    zeros = {t.name: array_of(t) for t in model.graph.initializer if t.data_type in _INTEGERS}
    inputs = {i.name for i in model.graph.input}
    for node in model.graph.node:
        if node.op_type in stubs and node.input[0] not in stored:
            clamps = node.op_type == "QuantizeLinear" and node.input[0] not in inputs and _clamps(node, zeros)
            del node.input[1:], node.attribute[:]
            node.op_type, node.domain = "Relu" if clamps else "Identity", ""
    del model.graph.value_info[:]
    return model


def _clamps(node: NodeProto, known: Mapping[str, np.ndarray]) -> bool:
    """Tell whether the smallest code of a quantizer stands for zero."""
    if len(node.input) < 3 or not node.input[2]:
        return True  # zero points are uint8 0 by default
    zero = known.get(node.input[2])
    return zero is not None and bool((zero == np.iinfo(zero.dtype).min).all())


def _session(model: ModelProto) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise QWorkbenchError("the comparison needs onnxruntime; pip install 'qworkbench[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise QWorkbenchError(f"onnxruntime cannot load the model: {line}") from error


def _run(model: ModelProto, feeds: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    session = _session(model)
    kinds = {"tensor(float16)": "float16"}
    given = {i.name: as_array(feeds[i.name]).astype(kinds.get(i.type, feeds[i.name].numpy().dtype))
             for i in session.get_inputs()}  # fmt: skip
    names = [output.name for output in session.get_outputs()]
    try:
        made = session.run(None, given)
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise QWorkbenchError(f"onnxruntime cannot run the model: {line}") from error
    return {name: as_tensor(array) for name, array in zip(names, made, strict=True) if hasattr(array, "dtype")}


def _distances(graph: Graph, model: ModelProto, feeds: Mapping[str, torch.Tensor]) -> dict[str, float]:
    want = _run(model, feeds)
    env = run_float(graph, dict(feeds), keep=graph.outputs)
    pairs = zip(graph.output_names, graph.outputs, strict=True)
    return {name: difference(env[value], want[name]) for name, value in pairs if name in want}


def _first_difference(graph: Graph, model: ModelProto, feeds: Mapping[str, torch.Tensor], allowed: float) -> str:
    """Return a clause that names the first node whose number differs from the file's."""
    from onnx import ValueInfoProto

    copy = type(model)()
    copy.CopyFrom(model)
    there = {output.name for output in copy.graph.output}
    made = {out for node in copy.graph.node for out in node.output}
    names = {v: graph.tensor_names[v] for n in graph.nodes for v in n.outputs if graph.tensor_names.get(v) in made}
    copy.graph.output.extend(ValueInfoProto(name=t) for t in names.values() if t not in there)
    try:
        want = _run(copy, feeds)
    except QWorkbenchError as error:
        return f"which node it is cannot be told ({error})"
    env = run_float(graph, dict(feeds))
    for node in graph.nodes:
        for value in node.outputs:
            tensor = names.get(value)
            if tensor in want and difference(env[value], want[tensor]) > allowed:
                return f"the first node that differs is {node.name!r} ({node.source_op})"
    return "no single node differs"
