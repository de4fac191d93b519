"""What a user may hand to a workbench as the model, and the graph that comes of it.

A module is captured with its example. A path is read as ONNX; its example is optional, since the file declares shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.errors import CaptureError, FileFormatError

if TYPE_CHECKING:
    import torch

    from qworkbench.graph.ir import Graph

InputShape = Sequence[int] | Mapping[str, Sequence[int]]


def graph_of(
    model: torch.nn.Module | str | Path,
    example: Any,
    *,
    name: str | None = None,
    input_shape: InputShape | None = None,
) -> Graph:
    """Return the graph of `model`, checked against what it was made from.

    Parameters
    ----------
    model : torch.nn.Module, str or Path
        A module, or the path of an ``.onnx`` file.
    example : tensor, array, tuple or dict
        None only for a file; nothing is invented in its place.
    name : str, optional
    input_shape : sequence of int, or Mapping of str to sequence of int, optional
        Sizes of axes that an ONNX file leaves open, where there is no example to take them from.

    Raises
    ------
    CaptureError
        A model that cannot be captured or read.
    FileFormatError
        A path that is no ONNX file, or a damaged one.
    """
    if isinstance(model, (str, Path)):
        from qworkbench.graph.onnx_frontend import open_onnx

        if Path(model).suffix.lower() in (".pt", ".pth", ".pkl", ".bin", ".ckpt"):
            raise FileFormatError(
                f"{str(model)!r} is a torch file, which can run code when it is loaded; load it yourself and pass the "
                "module, or export it to ONNX"
            )
        return open_onnx(model, example, input_shape=input_shape, name=name)
    from qworkbench.graph.torch_frontend import capture

    if input_shape is not None:
        raise CaptureError("input_shape is for ONNX files; a module takes its sizes from the example")
    return capture(model, example, name=name)
