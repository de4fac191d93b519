"""What the integer modules share: codes in and out of numpy, the rescale, the output's scale as a buffer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qworkbench.emulator.cache import StepResult
from qworkbench.numerics.arithmetic import Arithmetic, Requantize
from qworkbench.numerics.dtypes import QMAX, QMIN
from qworkbench.qat.dtype import INTEGER_NAMES
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.base import OwnModule
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import FakeQuantize

ARITHMETIC = Arithmetic(scale_denominator=128)


class Quantized(OwnModule, nn.Module):
    """Base of the integer modules.

    Attributes
    ----------
    scale : Tensor or None
        Buffer, float32, (1,): scale of the output; None where the output keeps its input's scale or is not quantized.
    dtype : str or None
        ``"int8"`` or ``"int16"``.
    """

    scale: Tensor | None
    cast: nn.Module | None

    def __init__(self, post: nn.Module | None, owner: str) -> None:
        super().__init__()
        self.owner = owner
        self.inputs: nn.ModuleList | None = None
        self.dtype: str | None = None
        self.cast = post if isinstance(post, FakeCast) else None
        scale = None
        if isinstance(post, FakeQuantize):
            if not post.observed:
                raise QATError(
                    f"the output of {owner!r} was never observed, so it has no scale; run the prepared model on data "
                    "before convert_fx"
                )
            self.dtype = INTEGER_NAMES[post.dtype]
            scale = post.positive_scale.detach().clone()
        self.register_buffer("scale", scale)

    def read(self, *values: Any) -> list[Any]:
        """Return the operands in the dtypes that the operator reads."""
        if self.inputs is None:
            return list(values)
        rest = list(values)
        for number, step in enumerate(self.inputs[: len(rest)]):
            if isinstance(rest[number], Tensor) and not isinstance(rest[number], nn.Parameter):
                rest[number] = step(rest[number])
        return rest

    def requantize(self, multiplier: Any, low: int | None = None, high: int | None = None) -> Requantize:
        """Return the rescale by `multiplier` into the output's dtype."""
        assert self.dtype is not None
        return Requantize(
            np.atleast_1d(np.asarray(multiplier, np.float64)),
            self.dtype,
            QMIN[self.dtype] if low is None else low,
            QMAX[self.dtype] if high is None else high,
            ARITHMETIC.rounding,
            ARITHMETIC.multiplier(self.dtype),
        )

    @property
    def out_scale(self) -> np.float32:
        """The output's scale."""
        assert self.scale is not None
        return np.float32(self.scale.item())

    def ratio(self, source: np.float32) -> float:
        """Return ``source / out_scale`` in the arithmetic of the multiplier, as the emulator does."""
        assert self.dtype is not None
        real: Any = np.float32 if ARITHMETIC.multiplier(self.dtype) == "float32" else np.float64
        return float(real(source) / real(self.out_scale))

    def result(self, array: np.ndarray, device: torch.device) -> Any:
        """Return output codes as a QTensor."""
        assert self.scale is not None
        return QTensor.make(torch.from_numpy(np.ascontiguousarray(array)).to(device), self.scale.detach().clone())

    def extra_repr(self) -> str:
        """Return what print shows of this module."""
        return "" if self.scale is None else f"scale={float(self.scale):.6g}, dtype={self.dtype}"


def codes_of(x: Any, owner: str) -> tuple[np.ndarray, np.float32]:
    """Return the codes and the scale of `x`.

    Raises
    ------
    QATError
        If `x` is not quantized, or has one scale per channel.
    """
    if not isinstance(x, QTensor):
        raise QATError(
            f"{owner!r} got a float {type(x).__name__}; in a converted model its input must be quantized: put a "
            "QuantStub in front of it, or give the op before it a qconfig"
        )
    if x.q_scale().numel() != 1:
        raise QATError(f"{owner!r} reads a high-precision output; give the op before it a qconfig with an activation")
    return x.int_repr().detach().cpu().contiguous().numpy(), np.float32(x.q_scale().item())


def array_of(found: StepResult, owner: str) -> np.ndarray:
    """Return the array of a step; overflow of the accumulator is a warning."""
    if found.overflow:
        warnings.warn(f"int32 accumulator of {owner!r} overflowed at {found.overflow} elements", stacklevel=3)
    return found.outputs[0]


def float_of(x: Any) -> Any:
    """Return `x` in float where it is codes; lists and tuples too."""
    if isinstance(x, QTensor):
        return x.dequantize()
    return type(x)(float_of(part) for part in x) if type(x) in (list, tuple) else x
