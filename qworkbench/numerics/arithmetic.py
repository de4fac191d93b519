"""What of the hardware's arithmetic is not public, as explicit parameters with defaults.

The same values reach the kernels and :mod:`qworkbench.numerics.reference`; every report lists them as assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Rounding = Literal["half_even", "half_away", "half_up"]
Multiplier = Literal["float32", "float64", "fixed", "pow2"]

ROUNDING_CODES: dict[str, int] = {"half_even": 0, "half_away": 1, "half_up": 2}
MULTIPLIER_CODES: dict[str, int] = {"float32": 0, "float64": 1, "fixed": 2, "pow2": 3}


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Switchable assumptions of the integer arithmetic.

    Attributes
    ----------
    rounding : "half_even" | "half_away" | "half_up"
        Of every requantize. ``half_even`` equals ONNX QLinearConv bit for bit.
    multiplier_int8, multiplier_int16 : "float32" | "float64" | "fixed" | "pow2"
        How the real multiplier ``s_x * s_w / s_y`` is applied where the output is int8 / int16. ``fixed`` is a 31-bit
        mantissa and a shift, ``pow2`` the nearest power of two.
    scale_denominator : 127 | 128
        Scale of a threshold T: ``T/127`` (post-training) or ``T/128`` (training plugin).
    """

    rounding: Rounding = "half_even"
    multiplier_int8: Multiplier = "float32"
    multiplier_int16: Multiplier = "float64"
    scale_denominator: Literal[127, 128] = 127

    def multiplier(self, dtype: str) -> Multiplier:
        """Return the multiplier model for an output of `dtype`."""
        return self.multiplier_int16 if dtype == "int16" else self.multiplier_int8


@dataclass(frozen=True, slots=True, eq=False)
class Requantize:
    """How an integer accumulator becomes an int8 / int16 code: ``clamp(round(acc * multiplier), low, high)``.

    Attributes
    ----------
    multiplier : numpy.ndarray
        float64, shape (1,) or (channels,), > 0. Models other than ``float64`` derive theirs from it: ``float32``
        casts it, ``fixed`` takes the 31-bit mantissa, ``pow2`` the nearest power of two.
    dtype : "int8" | "int16"
    low, high : int
        Clamp range in codes; a fused Relu raises `low` to 0, a fused Clip lowers `high`.
    rounding, kind : str
        See :class:`Arithmetic`.
    """

    multiplier: np.ndarray
    dtype: str
    low: int
    high: int
    rounding: Rounding = "half_even"
    kind: Multiplier = "float32"


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Second operand of an Add that is fused into a multiply-accumulate: it enters the int32 accumulator.

    ``acc += round_half_even(codes * ratio[c])``, the product in float64.

    Attributes
    ----------
    codes : numpy.ndarray
        int8 or int16, the shape of the output.
    ratio : numpy.ndarray
        float64, shape (1,) or (channels,): ``s_residual / (s_x * s_w[c])``, finite and >= 0.
    """

    codes: np.ndarray
    ratio: np.ndarray


@dataclass(frozen=True, slots=True)
class ConvGeometry:
    """Window of a convolution or pooling over H and W; pads are (top, left, bottom, right)."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1
    output_padding: tuple[int, int] = (0, 0)

    def output_size(self, height: int, width: int, *, ceil_mode: bool = False) -> tuple[int, int]:
        """Return the output height and width of a convolution (not transposed) or pooling window."""
        sizes = []
        for axis, length in enumerate((height, width)):
            begin, end = self.pads[axis], self.pads[axis + 2]
            reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            span = length + begin + end - reach
            steps = -(-span // self.strides[axis]) if ceil_mode else span // self.strides[axis]
            # torch and ONNX: a window that would start in the right padding is dropped
            if ceil_mode and steps * self.strides[axis] >= length + begin:
                steps -= 1
            sizes.append(steps + 1)
        return sizes[0], sizes[1]

    def transposed_output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the output height and width of a transposed convolution over a `height` x `width` input."""
        sizes = [
            (length - 1) * self.strides[axis]
            + self.dilations[axis] * (self.kernel[axis] - 1)
            + 1
            + self.output_padding[axis]
            - self.pads[axis]
            - self.pads[axis + 2]
            for axis, length in enumerate((height, width))
        ]
        return sizes[0], sizes[1]
