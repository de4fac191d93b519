"""The float graph as an ONNX file for the vendor's converter: same node names, opset 11, unit convs included.

What opset 11 has no operator for is written as its pieces, ``<name>/Sigmoid`` and ``<name>`` for a Swish. Operators
that were carried out of an ONNX file are written as they were; a carried torch call has no ONNX form.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.errors import FileFormatError
from qworkbench.files import write_bytes
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym
from qworkbench.toolchain.onnx_carried import write_carried
from qworkbench.toolchain.onnx_operators import OPERATORS
from qworkbench.toolchain.onnx_pieces import PIECES
from qworkbench.toolchain.onnx_writer import Writer

if TYPE_CHECKING:
    from onnx import ModelProto

LARGEST = 2**31 - 1
"""Bytes that one protobuf file can hold."""
OLDEST_OPSET, NEWEST_OPSET = 11, 20


def to_onnx(graph: Graph, path: str | Path, *, opset: int = 11) -> Path:
    """Write `graph` as an ONNX file.

    Parameters
    ----------
    graph : Graph
        From either front end, edited or not.
    path : str or Path
        An existing file is replaced only when the new one is complete.
    opset : int
        11 (default) to 20.

    Returns
    -------
    Path

    Raises
    ------
    FileFormatError
        An operator without an ONNX form, weights above 2 GB, or a path that cannot be written.
    """
    target = Path(path)
    model = model_of(graph, opset)
    size = model.ByteSize()
    if size > LARGEST:
        raise FileFormatError(f"the model has {size} bytes, more than the 2 GB that one ONNX file can hold")
    return write_bytes(target, model.SerializeToString())


def model_of(graph: Graph, opset: int = 11) -> ModelProto:
    """Return `graph` as an ONNX model in memory; see :func:`to_onnx`."""
    from qworkbench.graph.onnx_frontend.file import onnx_module

    helper = onnx_module().helper
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise FileFormatError(
            f"opset must be {OLDEST_OPSET} to {NEWEST_OPSET}, got {opset}; the converter reads 10 and 11"
        )
    writer = Writer(graph, opset)
    for node in graph.nodes:
        if node.call is not None:
            write_carried(writer, node)
        elif node.op in PIECES:
            PIECES[node.op](writer, node)
        elif node.op in OPERATORS:
            OPERATORS[node.op](writer, node)
        else:
            raise FileFormatError(f"{node.name!r} is a {node.op}, which has no ONNX form; end the model in front of it")
    outputs = [writer.model_output(name, value) for name, value in zip(graph.output_names, graph.outputs, strict=True)]
    made = helper.make_graph(
        writer.nodes,
        graph.name,
        [_info(helper, graph, name, name) for name in graph.inputs],
        [_info(helper, graph, name, value) for name, value in zip(outputs, graph.outputs, strict=True)],
        list(writer.initializers.values()),
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in {"": opset, **writer.domains}.items()]
    model: ModelProto = helper.make_model(made, opset_imports=imports, ir_version=8, producer_name="qworkbench")
    return model


def _info(helper: Any, graph: Graph, shown: str, value: str) -> Any:
    entry = graph.values[value]
    dims = [("batch" if d.factor == 1 else f"{d.factor}*batch") if isinstance(d, Sym) else d for d in entry.shape]
    return helper.make_tensor_value_info(shown, Writer.element(entry.dtype), dims)
