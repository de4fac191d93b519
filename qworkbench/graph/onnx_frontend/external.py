"""Weights beside the model file: read only from the model's own folder, never through a link or a way out of it.

The location in an ONNX file is text that anyone may have written, so it is checked before anything is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from qworkbench.errors import FileFormatError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto


def tensors_of(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield every tensor of `graph`: initializers, attributes and those of nested graphs."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for nested in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
                yield from tensors_of(nested)


def load_external(model: ModelProto, folder: Path | None) -> bool:
    """Read external tensors of `model` into it; tell whether there were any.

    Parameters
    ----------
    model : ModelProto
        Changed in place.
    folder : Path or None
        Folder of the model file; None where the model came as bytes.

    Raises
    ------
    FileFormatError
        A location outside of the folder, a link, a missing file, or one that is too short.
    """
    found = False
    opened: dict[str, Path] = {}
    for tensor in tensors_of(model.graph):
        if tensor.data_location != 1:
            continue
        found = True
        where = {entry.key: entry.value for entry in tensor.external_data}
        location = where.get("location", "")
        if location not in opened:
            opened[location] = _checked(location, tensor.name, folder)
        tensor.raw_data = _bytes(tensor, opened[location], where)
        del tensor.external_data[:]
        tensor.ClearField("data_location")
    return found


def _checked(location: str, name: str, folder: Path | None) -> Path:
    if folder is None:
        raise FileFormatError(
            f"tensor {name!r} lies in another file, {location!r}, which bytes cannot name; pass the path of the model"
        )
    windows, posix = PureWindowsPath(location), PurePosixPath(location)
    parts = (*windows.parts, *posix.parts)
    if not location or windows.drive or windows.root or posix.is_absolute() or ".." in parts or "\0" in location:
        raise FileFormatError(
            f"tensor {name!r} points to {location!r}, outside of the model's folder; weights must lie beside the model"
        )
    path = folder / location
    inside = path.resolve().is_relative_to(folder.resolve())
    if path.is_symlink() or not inside:
        raise FileFormatError(f"tensor {name!r} points to {location!r}, which is a link; put a copy beside the model")
    if not path.is_file():
        raise FileFormatError(
            f"the weights file {location!r} of tensor {name!r} is missing; it belongs beside the model file"
        )
    return path


def _bytes(tensor: TensorProto, path: Path, where: dict[str, str]) -> bytes:
    try:
        offset, size = int(where.get("offset", "0")), path.stat().st_size
        length = int(where.get("length") or size - offset)
    except ValueError:
        raise FileFormatError(f"tensor {tensor.name!r} has an offset or length that is not a number") from None
    if offset < 0 or length < 0 or offset + length > size:
        raise FileFormatError(
            f"tensor {tensor.name!r} needs bytes {offset} to {offset + length} of {path.name!r}, which has {size}; "
            "copy the weights file again"
        )
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)
