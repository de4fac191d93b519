"""Colour and memory formats of camera images as plain arrays: RGB, BGR, YUV444, NV12, gray.

BT.601 as published: full range (Y, U, V in 0 ... 255, U and V centred at 128) or video range (Y 16 ... 235, U and V
16 ... 240). The coefficients of the board's own converters are not public. Knows no models.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from qworkbench.errors import CalibrationError

Space = Literal["regular", "bt601_video"]

_KR, _KB = 0.299, 0.114
_KG = 1.0 - _KR - _KB
_TO_YUV = np.array(
    [
        [_KR, _KG, _KB],
        [-_KR / (2 * (1 - _KB)), -_KG / (2 * (1 - _KB)), 0.5],
        [0.5, -_KG / (2 * (1 - _KR)), -_KB / (2 * (1 - _KR))],
    ]
)
_RANGE = {"regular": (0.0, 1.0, 1.0), "bt601_video": (16.0, 219.0 / 255.0, 224.0 / 255.0)}


def yuv_to_rgb(space: Space = "regular") -> tuple[np.ndarray, np.ndarray]:
    """Return (matrix, offset): ``rgb = matrix @ (yuv - 128) + offset``, float64, (3, 3) and (3,)."""
    black, luma, chroma = _RANGE[space]
    matrix = np.linalg.inv(_TO_YUV) / np.array([luma, chroma, chroma])
    return matrix, matrix[:, 0] * (128.0 - black)


def rgb_to_yuv444(image: np.ndarray, space: Space = "regular") -> np.ndarray:
    """Return uint8 (H, W, 3) YUV of a uint8 (H, W, 3) RGB image; rounded half to even."""
    black, luma, chroma = _RANGE[space]
    yuv = image.astype(np.float64) @ _TO_YUV.T * np.array([luma, chroma, chroma]) + np.array([black, 128.0, 128.0])
    return np.asarray(np.clip(np.rint(yuv), 0, 255), np.uint8)


def yuv444_to_nv12(yuv: np.ndarray) -> np.ndarray:
    """Return uint8 (H * 3 / 2, W): the Y plane, then U and V by turns, each the mean of two by two pixels.

    Raises
    ------
    CalibrationError
        For an odd height or width.
    """
    height, width = yuv.shape[:2]
    if height % 2 or width % 2:
        raise CalibrationError(f"NV12 needs an even height and width, got {height} x {width}; crop or resize the image")
    four = yuv[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).astype(np.int64).sum(axis=(1, 3))
    chroma = ((four + 2) // 4).astype(np.uint8).reshape(height // 2, width)
    return np.concatenate([yuv[..., 0], chroma])


def nv12_to_yuv444(nv12: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W, 3) of an NV12 array (H * 3 / 2, W); chroma is repeated over two by two pixels.

    Raises
    ------
    CalibrationError
        For an array that is no NV12 image.
    """
    rows, width = nv12.shape
    if rows % 3 or width % 2:
        raise CalibrationError(f"an NV12 image has shape (H * 3 / 2, W) with even H and W, got {nv12.shape}")
    height = rows * 2 // 3
    chroma = nv12[height:].reshape(height // 2, width // 2, 2).repeat(2, axis=0).repeat(2, axis=1)
    return np.concatenate([nv12[:height, :, None], chroma], axis=2)
