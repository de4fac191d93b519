"""Multiply-accumulate operators on codes, by the emulator's kernels.

``acc = sum(q_x * q_w) + q_b (+ residual)``, output ``clamp(round(acc * s_x * s_w[c] / s_y))``; with no output scale the
int32 accumulator itself leaves, with scale ``s_x * s_w[c]``. The scale of the input is read off the data, so that a
graph can be edited after conversion.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from qworkbench.emulator import kernels
from qworkbench.emulator.fingerprint import Packed
from qworkbench.emulator.steps import STEPS
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize
from qworkbench.numerics.dtypes import NUMPY, QMAX, QMIN
from qworkbench.numerics.weights import conv_multiplier, quantize_bias
from qworkbench.qat.dtype import INTEGER_NAMES
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.base import TakesAdd
from qworkbench.qat.nn.qat import QuantizedOperator
from qworkbench.qat.nn.quantized.common import ARITHMETIC, Quantized, array_of, codes_of, float_of
from qworkbench.qat.nn.quantized.wide import is_dual, rescaled, wide_sum
from qworkbench.qat.nn.variants import GEOMETRY, Variant, out_first, own_layout, variants
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.absorb import absorbed
from qworkbench.qat.quantization.fake_quantize import FakeQuantize


class Operator(TakesAdd, Quantized):
    """A convolution, transposed convolution or linear layer on integers, with what is fused behind it.

    Attributes
    ----------
    weight : Tensor
        Buffer, int8 or int16 codes.
    weight_scale : Tensor
        Buffer, float32, (outputs,).
    bias : Tensor or None
        Buffer, float32; becomes int32 codes at the accumulator's scale.
    """

    variant: ClassVar[Variant]
    weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, source: Any, owner: str) -> None:
        super().__init__(source.activation_post_process, owner)
        weight, bias = _deployed(source)
        codes, scale = _weight_codes(source, weight, owner)
        self.register_buffer("weight", torch.from_numpy(codes))
        self.register_buffer("weight_scale", torch.from_numpy(scale))
        self.register_buffer("bias", None if bias is None else bias.detach().float().clone())
        self.relu = "" if source.relu is None else type(source.relu).__name__
        self.kind, self.params = _step(source)
        self.geometry = {name: value for name, value in source.__dict__.items() if name in GEOMETRY}
        self.swapped = source.swapped

    def forward(self, x: Any, other: Any = None) -> QTensor | Tensor:
        """Return the output codes; `other` enters the accumulator."""
        (x,) = self.read(x)
        q, s_x = codes_of(x, self.owner)
        s_w = self.weight_scale.cpu().numpy()
        weight = self.weight.cpu().numpy()
        if is_dual(q, weight):
            return self._dual(q, s_x, weight, s_w, other, x.device)
        params = dict(self.params)
        inputs = [q]
        ratio = None
        late = other is not None and self.scale is None and not isinstance(other, QTensor)
        if other is not None and not late:
            codes, s_other = codes_of(other, self.owner)
            ratio = np.float64(s_other) / (float(s_x) * s_w.astype(np.float64))
            inputs.append(codes)
        bias = None if self.bias is None else quantize_bias(self.bias.cpu().numpy(), float(s_x), s_w)[0]
        params |= {
            "weight": Packed(weight, b""),
            "bias": bias,
            "residual": ratio,
            "requantize": None if self.scale is None else self._rescale(s_x, s_w),
        }
        found = array_of(STEPS[self.kind](kernels, params, inputs, len(q)), self.owner)
        if self.scale is not None:
            return self.result(found, x.device)  # type: ignore[no-any-return]
        axis = found.ndim - 1 if self.kind == "gemm" else 1
        acc = QTensor.make(torch.from_numpy(found).to(x.device), torch.from_numpy(np.float32(s_x) * s_w), axis)
        if not self.relu and not late and self.cast is None:
            return acc
        return self._behind(acc.dequantize(), other if late else None)

    def _dual(
        self, q: np.ndarray, s_x: np.float32, weight: np.ndarray, s_w: np.ndarray, other: Any, device: torch.device
    ) -> QTensor | Tensor:
        """Do the same for int16 by int16; what enters the sum is added to the real numbers."""
        step = float(s_x) * s_w.astype(np.float64)
        bias = None if self.bias is None else self.bias.cpu().numpy().astype(np.float64) / step
        sums = wide_sum(self.kind, [q], weight=weight, bias=bias, **self.params)
        axis = sums.ndim - 1 if self.kind == "gemm" else 1
        if self.scale is not None and other is None:
            return self.result(rescaled(sums, self._rescale(s_x, s_w), axis), device)  # type: ignore[no-any-return]
        shape = [1] * sums.ndim
        shape[axis] = -1
        return self._behind(torch.from_numpy((sums * step.reshape(shape)).astype(np.float32)).to(device), other)

    def _behind(self, y: Tensor, other: Any) -> QTensor | Tensor:
        """Return what becomes of the sum in real numbers: an operand added, ReLU, and the output's codes or cast."""
        if other is not None:
            y = y + float_of(other)
        if self.relu:
            y = torch.clamp(y, 0.0, 6.0 if self.relu == "ReLU6" else torch.inf)
        if self.scale is not None and self.dtype is not None:
            codes = kernels.quantize(y.cpu().numpy(), self.out_scale, self.dtype, ARITHMETIC.rounding)
            return self.result(codes, y.device)  # type: ignore[no-any-return]
        return y if self.cast is None else self.cast(y)

    def real_weight(self) -> Tensor:
        """Return ``code * scale``, float32, in the operator's layout."""
        conv, groups = self.variant.conv, self.geometry.get("groups", 1)
        rows = out_first(conv, self.weight, groups).to(torch.float32)
        return own_layout(conv, rows * self.weight_scale.reshape(-1, *(1,) * (rows.ndim - 1)), groups).contiguous()

    def _rescale(self, s_x: np.float32, s_w: np.ndarray) -> Requantize:
        assert self.dtype is not None
        kind = ARITHMETIC.multiplier(self.dtype)
        multiplier = conv_multiplier(float(s_x), s_w, float(self.out_scale), kind)
        low, high = (0, QMAX[self.dtype]) if self.relu else (None, None)
        if self.relu == "ReLU6":
            high = int(np.clip(np.rint(6.0 / float(self.out_scale)), 0, QMAX[self.dtype]))
        return self.requantize(multiplier, low, high)


class FloatOperator(TakesAdd, Quantized):
    """A convolution or linear layer in float16: weights are rounded to it, and so is the result."""

    def __init__(self, source: Any, owner: str) -> None:
        super().__init__(source.activation_post_process, owner)
        self.swapped = source.swapped
        self.operation = copy.deepcopy(source)
        self.operation.activation_post_process = None
        self.operation.input_post_process = None

    def forward(self, x: Any, other: Any = None) -> Any:
        """Return the float result, cast or quantized."""
        (x,) = self.read(x)
        y: Tensor = self.operation(float_of(x), None if other is None else float_of(other))
        if self.scale is None or self.dtype is None:
            return y if self.cast is None else self.cast(y)
        array = np.ascontiguousarray(y.detach().cpu().numpy(), np.float32)
        return self.result(kernels.quantize(array, self.out_scale, self.dtype, ARITHMETIC.rounding), y.device)


OPERATORS: dict[Variant, type[Operator]] = {
    v: type(v.name, (Operator,), {"variant": v, "__module__": __name__, "__doc__": f"{v.name} on integers."})
    for v in variants(bare=True)
}
globals().update({cls.__name__: cls for cls in OPERATORS.values()})


def _deployed(source: QuantizedOperator) -> tuple[Tensor, Tensor | None]:
    if source.bn is None:
        return source.weight.detach(), source.bias
    assert isinstance(source, nn.Module)
    return absorbed(source.weight, source.bias, source.bn, source)


def _weight_codes(source: QuantizedOperator, weight: Tensor, owner: str) -> tuple[np.ndarray, np.ndarray]:
    fake = source.weight_fake_quant
    if not isinstance(fake, FakeQuantize):
        raise QATError(f"{owner!r} has a weight that is not quantized; its qconfig needs a weight of qint8 or qint16")
    if not fake.observed:
        raise QATError(f"the weight of {owner!r} was never observed; run the prepared model once before convert_fx")
    name = INTEGER_NAMES[fake.dtype]
    rows = source.out_first(weight).cpu().numpy()
    scale = np.broadcast_to(fake.positive_scale.detach().cpu().numpy(), (rows.shape[0],)).astype(np.float32)
    codes = np.clip(np.rint(rows / scale.reshape(-1, *(1,) * (rows.ndim - 1))), QMIN[name], QMAX[name])
    laid = source.own_layout(torch.from_numpy(codes.astype(NUMPY[name])))
    return np.ascontiguousarray(laid.numpy()), np.ascontiguousarray(scale)


def _step(source: Any) -> tuple[str, dict[str, Any]]:
    """Return the kind of step and its geometry."""
    if isinstance(source, nn.Linear):
        return "gemm", {}
    if getattr(source, "padding_mode", "zeros") != "zeros":
        raise QATError(f"padding_mode {source.padding_mode!r} has no integer form; use an explicit Pad and zeros")
    pads: Any
    kernel, stride, dilation = tuple(source.kernel_size), tuple(source.stride), tuple(source.dilation)
    if isinstance(source.padding, str):
        spread = [d * (k - 1) if source.padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        pads = tuple(s // 2 for s in spread) + tuple(s - s // 2 for s in spread)
    else:
        pads = tuple(source.padding) * 2
    if isinstance(source, nn.Conv3d):
        return "conv3d", {"strides": stride, "pads": pads, "dilations": dilation, "group": source.groups}
    transposed = isinstance(source, nn.ConvTranspose2d)
    geometry = ConvGeometry(
        kernel, stride, pads, dilation, source.groups, tuple(source.output_padding) if transposed else (0, 0)
    )
    return "conv", {"geometry": geometry, "transposed": transposed}
