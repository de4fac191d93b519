"""What a PTQ configuration declares about an image input, and what follows from it.

The board hands over an image in its runtime type (``input_type_rt``), the model was trained on another one
(``input_type_train``) after ``(pixel - mean) * scale``. The converter puts a node in front of the model that does both
at once on ``pixel - 128`` as int8: a 1 x 1 convolution, whose weight and bias :meth:`Preprocess.affine` gives. Source:
the public documents of the PTQ configuration. The integer form is :mod:`qworkbench.emulator.preprocess`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qworkbench.errors import CalibrationError, unknown_name
from qworkbench.numerics.image import nv12_to_yuv444, rgb_to_yuv444, yuv444_to_nv12, yuv_to_rgb

CHANNELS = {"rgb": 3, "bgr": 3, "yuv444": 3, "nv12": 3, "gray": 1, "featuremap": 0}
RUNTIME = {
    "rgb": ("rgb", "bgr", "nv12", "yuv444"),
    "bgr": ("bgr", "rgb", "nv12", "yuv444"),
    "yuv444": ("yuv444", "nv12"),
    "gray": ("gray",),
    "featuremap": ("featuremap",),
}
"""Runtime types that the tools accept for each training type."""
SPACES = ("regular", "bt601_video")
LAYOUTS = ("NCHW", "NHWC")
FITS = ("exact", "resize", "crop")


@dataclass(frozen=True, slots=True)
class Preprocess:
    """One input's declaration.

    Attributes
    ----------
    rt, train : str
        ``input_type_rt`` and ``input_type_train``.
    mean, scale : tuple of float
        Subtracted, then multiplied; empty, one number, or one per channel of the training type, in its order.
    layout : "NCHW" | "NHWC"
        Of the model's input.
    space : "regular" | "bt601_video"
        Range of YUV images at runtime.
    fit : "exact" | "resize" | "crop"
        What happens to an image of another size: refused; resized; or its shorter side resized and the middle cut out.
    """

    rt: str = "rgb"
    train: str = "rgb"
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    layout: str = "NCHW"
    space: str = "regular"
    fit: str = "exact"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("input_type_train", self.train, tuple(RUNTIME)),
            ("input_type_rt", self.rt, tuple(CHANNELS)),
            ("input_layout_train", self.layout, LAYOUTS),
            ("input_space_and_range", self.space, SPACES),
            ("fit", self.fit, FITS),
        ):
            if value not in known:
                raise unknown_name(what, value, known)
        if self.rt not in RUNTIME[self.train]:
            raise CalibrationError(
                f"a model trained on {self.train} takes {', '.join(RUNTIME[self.train])} at runtime, not {self.rt}"
            )
        if self.train == "featuremap" and (self.mean or self.scale):
            raise CalibrationError("a featuremap has neither mean nor scale; preprocess the data instead")
        for what, values in (("mean_value", self.mean), ("scale_value", self.scale)):
            if len(values) not in (0, 1, CHANNELS[self.train]):
                raise CalibrationError(
                    f"{what} needs 1 number or {CHANNELS[self.train]}, one per channel of {self.train}; "
                    f"got {len(values)}"
                )
            if not all(np.isfinite(values)):
                raise CalibrationError(f"{what} must be finite numbers, got {values}")

    def describe(self) -> str:
        """Return the declaration in words, as the configuration's keys would say it."""
        parts = [f"{self.rt} at runtime, trained on {self.train}"]
        for what, values in (("mean", self.mean), ("scale", self.scale)):
            parts += [f"{what} {' '.join(f'{value:.9g}' for value in values)}"] if values else []
        parts += [self.layout, *((f"range {self.space}",) if self.space != "regular" else ())]
        return ", ".join([*parts, "size exact" if self.fit == "exact" else f"fitted by {self.fit}"])

    @property
    def is_image(self) -> bool:
        """Tell whether there is a preprocess node at all."""
        return self.train != "featuremap"

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (weight, bias) of the node on ``pixel - 128``, float64, (C, C) and (C,), by training channel."""
        channels = CHANNELS[self.train]
        if self.rt in ("nv12", "yuv444") and self.train in ("rgb", "bgr"):
            weight, offset = yuv_to_rgb("bt601_video" if self.space == "bt601_video" else "regular")
            if self.train == "bgr":
                weight, offset = weight[::-1], offset[::-1]
        else:
            weight, offset = np.eye(channels), np.full(channels, 128.0)
            if self.rt != self.train and {self.rt, self.train} == {"rgb", "bgr"}:
                weight = weight[::-1]
        mean, scale = self._each(self.mean, 0.0), self._each(self.scale, 1.0)
        return weight * scale[:, None], (offset - mean) * scale

    def _each(self, values: Sequence[float], default: float) -> np.ndarray:
        return np.broadcast_to(np.asarray(values or (default,), np.float64), (CHANNELS[self.train],))

    def normalised(self, pixels: np.ndarray) -> np.ndarray:
        """Return ``(pixels - mean) * scale`` as float32; `pixels` are of the training type, (..., C, H, W)."""
        mean, scale = self._each(self.mean, 0.0), self._each(self.scale, 1.0)
        return np.asarray((pixels.astype(np.float64) - mean[:, None, None]) * scale[:, None, None], np.float32)

    def runtime(self, image: np.ndarray) -> np.ndarray:
        """Return what the board gets for an image.

        Parameters
        ----------
        image : numpy.ndarray
            uint8, (H, W, 3) RGB or (H, W) gray.

        Returns
        -------
        numpy.ndarray
            uint8: (H, W, 3) for rgb, bgr, yuv444; (H * 3 / 2, W) for nv12; (H, W) for gray.

        Raises
        ------
        CalibrationError
            An array that is no such image.
        """
        if not self.is_image:
            raise CalibrationError("the input is declared as a featuremap; give the array that the model takes")
        if image.dtype != np.uint8:
            raise CalibrationError(f"an image holds uint8 pixels, got {image.dtype}; use x.astype('uint8') if it does")
        if self.rt == "gray":
            if image.ndim == 3 and image.shape[2] == 3:
                return np.ascontiguousarray(rgb_to_yuv444(image)[..., 0])
            if image.ndim != 2:
                raise CalibrationError(f"a gray image has shape (H, W), got {image.shape}")
            return image
        if image.ndim == 2:
            image = image[..., None].repeat(3, axis=2)
        if image.ndim != 3 or image.shape[2] != 3:
            raise CalibrationError(f"an image has shape (H, W, 3) in RGB order, or (H, W), got {image.shape}")
        if self.rt in ("rgb", "bgr"):
            return image if self.rt == "rgb" else image[..., ::-1]
        yuv = rgb_to_yuv444(image, "bt601_video" if self.space == "bt601_video" else "regular")
        return yuv444_to_nv12(yuv) if self.rt == "nv12" else yuv

    def intermediate(self, runtime: np.ndarray) -> np.ndarray:
        """Return ``pixel - 128`` as int8, (1, C, H, W): what the node reads; `runtime` as :meth:`runtime` gives it."""
        pixels = nv12_to_yuv444(runtime) if self.rt == "nv12" else runtime
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return (planes[None].astype(np.int16) - 128).astype(np.int8)

    def floats(self, intermediate: np.ndarray) -> np.ndarray:
        """Return the node's output in float32, in the layout of the model's input."""
        weight, bias = self.affine()
        found = np.einsum("oc,nchw->nohw", weight, intermediate.astype(np.float64)) + bias[:, None, None]
        return self.laid_out(found.astype(np.float32))

    def laid_out(self, planes: np.ndarray) -> np.ndarray:
        """Return (N, C, H, W) in the layout of the model's input."""
        return np.ascontiguousarray(planes if self.layout == "NCHW" else planes.transpose(0, 2, 3, 1))

    def size_of(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return (H, W) of a model input of `shape`."""
        if len(shape) != 4:
            raise CalibrationError(f"an image input has four axes, this one has shape {tuple(shape)}")
        return (shape[2], shape[3]) if self.layout == "NCHW" else (shape[1], shape[2])

    def fitted(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return `image` in the (H, W) that the model takes, as `fit` says.

        Raises
        ------
        CalibrationError
            Another size under "exact".
        """
        height, width = image.shape[:2]
        if (height, width) == size:
            return image
        if self.fit == "exact":
            raise CalibrationError(
                f"the image is {height} x {width}, the model takes {size[0]} x {size[1]}; resize it as in training, "
                "or declare fit='resize' or 'crop' (%qwb input ... --fit resize)"
            )
        pillow = _pillow()
        picture = pillow.fromarray(image)
        if self.fit == "crop":
            factor = max(size[0] / height, size[1] / width)
            inner = max(size[1], round(width * factor)), max(size[0], round(height * factor))
            picture = picture.resize(inner, pillow.Resampling.BILINEAR)
            left, top = (inner[0] - size[1]) // 2, (inner[1] - size[0]) // 2
            return np.asarray(picture.crop((left, top, left + size[1], top + size[0])))
        return np.asarray(picture.resize((size[1], size[0]), pillow.Resampling.BILINEAR))


IMAGE_FILES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"}


def read_image(path: str | Path) -> np.ndarray:
    """Return an image file as uint8, (H, W, 3) RGB, or (H, W) where it is gray.

    Raises
    ------
    CalibrationError
        A file that cannot be read as an image.
    """
    pillow = _pillow()
    try:
        with pillow.open(path) as picture:
            return np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"))
    except (OSError, ValueError, pillow.DecompressionBombError) as error:
        raise CalibrationError(f"{Path(path).name!r} is no readable image: {error}") from None


def _pillow() -> Any:
    from PIL import Image  # matplotlib brings it

    return Image
