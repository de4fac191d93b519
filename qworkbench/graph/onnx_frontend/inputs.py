"""The inputs of an ONNX file: fixed sizes as they are, a symbolic first axis as the batch, the rest from the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qworkbench.errors import CaptureError, FileFormatError, unknown_name
from qworkbench.graph.node import Dim, Shape, Sym
from qworkbench.graph.onnx_frontend.tensors import torch_dtype

if TYPE_CHECKING:
    import torch
    from onnx import GraphProto, ValueInfoProto


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its name, its shape (``Sym`` for a symbolic first axis) and dtype; `batch` is what the caller gave."""

    name: str
    shape: Shape
    dtype: torch.dtype
    batch: int | None


def inputs_of(graph: GraphProto, shapes: Mapping[str, Sequence[int]]) -> list[Input]:
    """Return the inputs of `graph` that are no initializers.

    Parameters
    ----------
    graph : GraphProto
    shapes : Mapping of str to sequence of int
        Sizes for axes that the file leaves open; -1 leaves the first axis to the batch.

    Raises
    ------
    CaptureError
        An open axis without a size, or a size against the file's.
    FileFormatError
        An input that is no tensor of numbers.
    """
    stored = {tensor.name for tensor in graph.initializer}
    found = [value for value in graph.input if value.name not in stored]
    for name in shapes:
        if name not in {value.name for value in found}:
            raise CaptureError(str(unknown_name("input", name, [value.name for value in found])))
    return [_input(value, shapes.get(value.name)) for value in found]


def _input(value: ValueInfoProto, given: Sequence[int] | None) -> Input:
    name = value.name
    if not value.type.HasField("tensor_type"):
        raise FileFormatError(f"input {name!r} is no tensor; models take tensors here")
    tensor = value.type.tensor_type
    dtype = torch_dtype(tensor.elem_type, f"input {name!r}")
    if not tensor.HasField("shape"):
        if given is None:
            raise CaptureError(f"the file gives no shape for input {name!r}; pass input_shapes={{{name!r}: (1, ...)}}")
        return Input(name, tuple(int(d) for d in given), dtype, None)
    declared = [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]
    labels = [d.dim_param or "?" for d in tensor.shape.dim]
    shown = ", ".join(str(d or text) for d, text in zip(declared, labels, strict=True))
    if given is not None and len(given) != len(declared):
        raise CaptureError(f"input {name!r} has shape ({shown}), got {tuple(given)}; give one size per axis")
    shape: list[Dim] = []
    for axis, size in enumerate(declared):
        wanted = None if given is None or int(given[axis]) < 1 else int(given[axis])
        if size is not None and wanted not in (None, size):
            raise CaptureError(
                f"the file fixes axis {axis} of input {name!r} at {size}, got {wanted}; the shape is ({shown})"
            )
        if axis == 0 and size is None:
            shape.append(Sym())
        elif size is None and wanted is None:
            raise CaptureError(
                f"input {name!r} has shape ({shown}): axis {axis} is open; give sizes, e.g. "
                f"input_shapes={{{name!r}: {_example(declared)}}}"
            )
        else:
            shape.append(size or wanted or 1)
    batch = int(given[0]) if given and shape and isinstance(shape[0], Sym) and int(given[0]) > 0 else None
    return Input(name, tuple(shape), dtype, batch)


def _example(declared: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(d or (1 if axis == 0 else 224) for axis, d in enumerate(declared))
