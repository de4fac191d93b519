"""Numbers of an ONNX file as arrays and tensors: element types, half floats widened, strings refused.

The workbench computes in float32, so float16, bfloat16 and float8 arrive as float32 and packed 4-bit integers as 8-bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qworkbench.errors import FileFormatError

if TYPE_CHECKING:
    from onnx import TensorProto

HALF = frozenset({10, 16, 17, 18, 19, 20})
"""TensorProto element types that are widened to float32: float16, bfloat16 and the float8 kinds."""

_TORCH: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.uint16,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    11: torch.float64,
    12: torch.uint32,
    13: torch.uint64,
    21: torch.uint8,
    22: torch.int8,
    **dict.fromkeys(HALF, torch.float32),
}


def torch_dtype(element: int, what: str) -> torch.dtype:
    """Return the torch dtype of ONNX element type `element`.

    Raises
    ------
    FileFormatError
        For strings, complex numbers and unknown codes; `what` names the tensor.
    """
    if element not in _TORCH:
        raise FileFormatError(
            f"{what} holds ONNX element type {element}, which has no tensor here; cut it off the model"
        )
    return _TORCH[element]


def widened(array: np.ndarray) -> np.ndarray:
    """Return `array` in a type that torch computes with."""
    name = array.dtype.name
    if name in ("float16", "bfloat16") or name.startswith("float8"):
        return array.astype(np.float32)
    if name in ("int4", "int2"):
        return array.astype(np.int8)
    if name in ("uint4", "uint2"):
        return array.astype(np.uint8)
    return array


def array_of(tensor: TensorProto) -> np.ndarray:
    """Return the content of `tensor`.

    Raises
    ------
    FileFormatError
        When its bytes do not fill its shape, or it holds strings.
    """
    from onnx import numpy_helper

    torch_dtype(tensor.data_type, f"tensor {tensor.name!r}")
    try:
        return widened(np.asarray(numpy_helper.to_array(tensor)))
    except (ValueError, TypeError) as error:
        raise FileFormatError(
            f"tensor {tensor.name!r} of shape {tuple(tensor.dims)} is damaged: {error}; export the model again"
        ) from error


def as_tensor(array: Any) -> torch.Tensor:
    """Return a tensor of its own memory with the content of `array`."""
    return torch.from_numpy(np.array(widened(np.asarray(array)), order="C", copy=True))


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return `tensor` for an evaluator that works on numpy arrays."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
