"""``read_onnx``: the steps from a file to a graph, in order.

The batch stays symbolic where the file leaves the first axis open and all sizes follow it; where they do not, the graph
holds one batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from qworkbench.errors import FileFormatError
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import NodeTable, Sym, Value, resolve
from qworkbench.graph.onnx_frontend.convert import Converter
from qworkbench.graph.onnx_frontend.file import Source, load_source
from qworkbench.graph.onnx_frontend.importer import Importer, dtype_name
from qworkbench.graph.onnx_frontend.inputs import Input, inputs_of
from qworkbench.graph.onnx_frontend.known import FIRST, SECOND, BatchMismatchError, Known
from qworkbench.graph.onnx_frontend.naming import Names
from qworkbench.graph.onnx_frontend.order import ordered, reads
from qworkbench.graph.onnx_frontend.recompose import recomposed
from qworkbench.graph.onnx_frontend.reference import Evaluators
from qworkbench.graph.onnx_frontend.tensors import array_of


def read_onnx(
    source: str | Path | bytes,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    name: str | None = None,
    recompose: bool = True,
) -> Graph:
    """Read an ONNX model as a graph of named operators.

    Nodes keep the names of the file; ``Graph.tensor_names`` maps values to the file's tensors. Weights are constants in
    float32 or wider. An operator outside the vocabulary is carried under its ONNX name, or as ``Opaque``, and run by
    torch or by onnx.reference on the CPU.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or its content.
    input_shapes : Mapping of str to sequence of int, optional
        Sizes of axes that the file leaves open. An open first axis is the batch and stays symbolic; its size here is
        the batch of the example.
    name : str, optional
        Name of the model; the file's name by default.
    recompose : bool
        Put operators together that exporters take apart (Swish, Gelu, LayerNormalization ...), so that the graph is
        the one that the torch front end captures.

    Raises
    ------
    FileFormatError
        The file is damaged, not ONNX, or holds a needed operator that nothing can run.
    CaptureError
        An open axis without a size, or a size that contradicts the file.
    """
    return from_source(load_source(source), input_shapes=input_shapes, name=name, recompose=recompose)


def from_source(
    source: Source,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    name: str | None = None,
    recompose: bool = True,
) -> Graph:
    """Return the graph of a parsed file; see :func:`read_onnx`."""
    proto = source.model.graph
    inputs = inputs_of(proto, input_shapes or {})
    given = [i.batch for i in inputs if i.batch is not None]
    batch = given[0] if given else next((s[0] for s in (i.shape for i in inputs) if s and isinstance(s[0], int)), 1)
    contents = {tensor.name: Known((array_of(tensor),)) for tensor in proto.initializer}
    symbolic = any(isinstance(d, Sym) for i in inputs for d in i.shape)
    if symbolic:
        try:
            graph = _converted(source, inputs, contents, (FIRST, SECOND), batch)
        except BatchMismatchError:
            symbolic = False
    if not symbolic:
        inputs = [replace(i, shape=resolve(i.shape, batch)) for i in inputs]
        try:
            graph = _converted(source, inputs, contents, (batch,), batch)
        except BatchMismatchError as error:
            raise FileFormatError(f"the model cannot be read: {error}") from error
    graph = replace(graph, name=name or source.title)
    return recomposed(graph) if recompose else graph


def _converted(
    source: Source, inputs: Sequence[Input], contents: Mapping[str, Known], batches: tuple[int, ...], batch: int
) -> Graph:
    proto = source.model.graph
    outputs = [value.name for value in proto.output]
    given = {i.name for i in inputs} | set(contents)
    nodes = ordered(proto.node, given, outputs)
    names = Names(i.name for i in inputs)
    names.reserve(nodes)
    importer = Importer(names, batches, frozenset(n for node in nodes for n in reads(node)) | set(outputs))
    importer.known.update(contents)
    for entry in inputs:
        value = Value(entry.name, "input", entry.shape, dtype_name(entry.dtype))
        importer.declare(value, tuple(resolve(entry.shape, b) for b in batches), entry.name)
    converter = Converter(
        importer,
        Evaluators(source.opsets | {"": source.opset}, source.model.ir_version),
        source.opsets | {"": source.opset},
    )
    converter.run(nodes)
    made = tuple(importer.value(name) for name in outputs)
    return _finished(importer, tuple(i.name for i in inputs), made, tuple(outputs), batch)


def _finished(
    importer: Importer, inputs: tuple[str, ...], outputs: tuple[str, ...], names: tuple[str, ...], batch: int
) -> Graph:
    """Return the graph without nodes whose outputs nothing reads."""
    needed, kept = set(outputs), []
    for node in reversed(importer.nodes):
        if any(out in needed for out in node.outputs):
            kept.append(node)
            needed.update(v for v in node.inputs if v is not None)
    used = needed | set(inputs) | {out for node in kept for out in node.outputs}
    graph = Graph(
        nodes=NodeTable(reversed(kept)),
        values={key: value for key, value in importer.values.items() if key in used},
        inputs=inputs,
        outputs=outputs,
        output_names=names,
        batch=batch,
        source="onnx",
        tensor_names={key: tensor for key, tensor in importer.tensor_names.items() if key in used},
    )
    graph.check()
    return graph
