r"""Colour conversion between RGB and centred YUV444, BT.601.

ITU-R BT.601 fixes the luma weights 0.299, 0.587, 0.114. With R, G, B in 0..255, ``full`` swing is

.. math:: Y = 0.299 R + 0.587 G + 0.114 B - 128, \quad U = (B - Y') / 1.772, \quad V = (R - Y') / 1.402,

Y' being the luma before the subtraction, and ``studio`` swing scales Y' by 219/255 and offsets it by 16 - 128, and
scales U and V by 224/255. All matrices follow from these numbers; the way back is their exact inverse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from qworkbench.errors import unknown_name
from qworkbench.numerics.dtypes import QMAX, QMIN
from qworkbench.qat.errors import QATError
from qworkbench.qat.qtensor import QTensor

LUMA = (0.299, 0.587, 0.114)
SWINGS = {"studio": (219 / 255, 224 / 255, 16.0 - 128.0), "full": (1.0, 1.0, -128.0)}


def yuv_matrix(swing: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the float64 (3, 3) matrix and (3,) offset of ``yuv = matrix @ rgb + offset``."""
    if swing not in SWINGS:
        raise unknown_name("swing", str(swing), SWINGS)
    gain_y, gain_c, offset = SWINGS[swing]
    red, green, blue = LUMA
    luma = np.array([red, green, blue])
    u = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    v = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    return np.stack([luma * gain_y, u * gain_c, v * gain_c]), np.array([offset, 0.0, 0.0])


def rgb2centered_yuv(input: Tensor, swing: str = "studio") -> Tensor:  # noqa: A002 (the public name)
    """Convert RGB images to centred YUV444 BT.601, for training.

    Parameters
    ----------
    input : Tensor
        (N, 3, H, W) or (3, H, W), R G B, 0..255.
    swing : "studio" | "full"
        ``studio``: Y in -112..107, U and V in -112..112. ``full``: -128..127, what the BPU takes.

    Returns
    -------
    Tensor
        Same shape, float, not rounded.
    """
    return _to_yuv(input, swing, (0, 1, 2))


def bgr2centered_yuv(input: Tensor, swing: str = "studio") -> Tensor:  # noqa: A002
    """Convert BGR images to centred YUV444 BT.601; see :func:`rgb2centered_yuv`."""
    return _to_yuv(input, swing, (2, 1, 0))


def centered_yuv2rgb(
    input: Tensor,  # noqa: A002
    swing: str = "studio",
    mean: Sequence[float] | Tensor = (128.0,),
    std: Sequence[float] | Tensor = (128.0,),
    q_scale: float | Tensor = 1.0 / 128.0,
) -> QTensor:
    """Convert centred YUV444 to normalised, quantized RGB; for deployment, behind a QuantStub of scale 1.

    Three steps: convert to RGB by the inverse of `swing`; normalise, ``(rgb - mean) / std``; quantize,
    ``clamp(round(x / q_scale), -128, 127)``.

    Parameters
    ----------
    input : QTensor or Tensor
        (N, 3, H, W), Y U V; codes of scale 1, or the numbers themselves.
    swing : "studio" | "full"
    mean, std : sequence of float or Tensor
        One value, or one per channel of the result.
    q_scale : float or Tensor
        Scale of the result: the one that the QuantStub had in training.

    Returns
    -------
    QTensor
        int8, scale `q_scale`.
    """
    return _from_yuv(input, swing, mean, std, q_scale, (0, 1, 2))


def centered_yuv2bgr(
    input: Tensor,  # noqa: A002
    swing: str = "studio",
    mean: Sequence[float] | Tensor = (128.0,),
    std: Sequence[float] | Tensor = (128.0,),
    q_scale: float | Tensor = 1.0 / 128.0,
) -> QTensor:
    """Convert centred YUV444 to normalised, quantized BGR; see :func:`centered_yuv2rgb`."""
    return _from_yuv(input, swing, mean, std, q_scale, (2, 1, 0))


def _check(image: Tensor) -> None:
    if image.ndim < 3 or image.shape[-3] != 3:
        raise QATError(f"a colour image has shape (N, 3, H, W) or (3, H, W), got {tuple(image.shape)}")


def _to_yuv(image: Tensor, swing: str, order: tuple[int, ...]) -> Tensor:
    matrix, offset = yuv_matrix(swing)
    _check(image)
    dtype = image.dtype if image.dtype == torch.float64 else torch.float32
    weights = torch.as_tensor(matrix[:, list(order)], dtype=dtype, device=image.device)
    shift = torch.as_tensor(offset, dtype=dtype, device=image.device).reshape(3, 1, 1)
    return torch.einsum("oc,...chw->...ohw", weights, image.to(dtype)) + shift


def _from_yuv(
    image: Tensor,
    swing: str,
    mean: Sequence[float] | Tensor,
    std: Sequence[float] | Tensor,
    q_scale: float | Tensor,
    order: tuple[int, ...],
) -> QTensor:
    matrix, offset = yuv_matrix(swing)
    yuv = image.dequantize() if isinstance(image, QTensor) else image
    _check(yuv)
    inverse = torch.as_tensor(np.linalg.inv(matrix)[list(order)], dtype=torch.float64, device=yuv.device)
    shift = torch.as_tensor(offset, dtype=torch.float64, device=yuv.device).reshape(3, 1, 1)
    rgb = torch.einsum("oc,...chw->...ohw", inverse, yuv.double() - shift)
    centre, spread = (
        torch.as_tensor(value, dtype=torch.float64, device=yuv.device).reshape(-1, 1, 1) for value in (mean, std)
    )
    scale = torch.as_tensor(q_scale, dtype=torch.float32, device=yuv.device).reshape(1)
    if not bool((spread > 0).all()) or not bool((scale > 0).all()):
        raise QATError(f"std and q_scale must be > 0, got {std} and {q_scale}; the defaults are 128 and 1/128")
    codes = torch.round((rgb - centre) / spread / scale.double()).clamp(QMIN["int8"], QMAX["int8"])
    return QTensor.make(codes.to(torch.int8), scale)
