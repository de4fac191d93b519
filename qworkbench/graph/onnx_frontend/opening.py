"""``open_onnx``: what a workbench does with a path. The example fills open axes, and the graph is checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qworkbench.errors import CalibrationError, CaptureError
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.ir import Graph
from qworkbench.graph.onnx_frontend.file import Source, load_source
from qworkbench.graph.onnx_frontend.pipeline import from_source
from qworkbench.graph.onnx_frontend.verify import check_onnx
from qworkbench.graph.structure import leaves


def open_onnx(
    path: str | Path,
    example: Any = None,
    *,
    input_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    name: str | None = None,
    recompose: bool = True,
) -> Graph:
    """Read an ONNX file for a user who may hold an example, and compare it with onnxruntime where that is installed.

    Parameters
    ----------
    path : str or Path
    example : tensor, array, tuple or dict, optional
        As the model takes it; its sizes fill the axes that the file leaves open, and the comparison runs on it.
    input_shape : sequence of int, or Mapping of str to sequence of int, optional
        Sizes of open axes: of the only input, or by input name. Wins over the example.
    name : str, optional
    recompose : bool

    Raises
    ------
    FileFormatError
        As :func:`read_onnx` does.
    CaptureError
        An open axis without a size, an example that does not fit, or a graph that disagrees with onnxruntime.
    """
    source = load_source(path)
    shapes = _shapes(source, example, input_shape)
    graph = from_source(source, input_shapes=shapes, name=name, recompose=recompose)
    feeds = None
    if example is not None:
        try:
            feeds = feeds_of(graph, example)
        except CalibrationError as error:
            raise CaptureError(f"the example does not fit the model: {error}") from error
    check_onnx(graph, source, feeds)
    return graph


def _shapes(
    source: Source, example: Any, given: Sequence[int] | Mapping[str, Sequence[int]] | None
) -> dict[str, Sequence[int]]:
    proto = source.model.graph
    stored = {tensor.name for tensor in proto.initializer}
    declared = {v.name: v.type.tensor_type.shape.dim for v in proto.input if v.name not in stored}
    names = list(declared)
    if isinstance(given, Mapping):
        return dict(given)
    if given is not None:
        if len(names) != 1:
            raise CaptureError(
                f"the model has {len(names)} inputs ({', '.join(names)}); give input_shape as a dict by name"
            )
        return {names[0]: tuple(given)}
    tensors = [leaf for _, leaf in leaves(example) if hasattr(leaf, "shape")]
    if isinstance(example, Mapping) and set(names) <= set(example):
        tensors = [example[name] for name in names]
    if len(tensors) != len(names):
        return {}
    shapes = {n: tuple(int(d) for d in t.shape) for n, t in zip(names, tensors, strict=True)}
    # sizes that the file fixes are checked against the sample later, with the wording of samples
    return {
        n: tuple(-1 if d.dim_value > 0 else size for d, size in zip(declared[n], shape, strict=True))
        for n, shape in shapes.items()
        if len(declared[n]) == len(shape)
    }
