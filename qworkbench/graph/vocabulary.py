"""The operators of the graph: ONNX names, their inputs and attributes, and the family that placement and emulation use.

One table that the front ends write to and everything downstream reads. An operator outside it is carried through as
``Opaque`` (or under its ONNX name with family ``other``) and runs on the CPU.

Conventions: `pads` are ONNX style, all begins then all ends; axes are never negative; shapes may hold ``Sym``;
booleans are bool; a scalar operand is a 0-d constant value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "gemm",  # multiply-accumulate: int32 accumulator
    "norm",  # affine per channel or statistics
    "lut",  # one input, one output, elementwise function: a table on integers
    "elementwise",  # two operands, broadcasting
    "pool",
    "resize",
    "movement",  # integers pass through unchanged
    "concat",
    "reduce",
    "softmax",
    "stub",  # quantize / dequantize markers of the training API: identity in float
    "transparent",  # removed at inference
    "other",
]


@dataclass(frozen=True, slots=True)
class OpSpec:
    """An operator: `inputs` in order (``?`` optional, ``*`` repeated), `attrs` by name with their meaning."""

    name: str
    family: Family
    inputs: tuple[str, ...]
    attrs: tuple[str, ...] = ()


def _specs() -> dict[str, OpSpec]:
    window = ("kernel_shape", "strides", "pads")
    rows = [
        # weight (out, in/group, *kernel); attrs are tuples over the spatial axes
        OpSpec("Conv", "gemm", ("x", "weight", "bias?"), (*window, "dilations", "group")),
        # weight (in, out/group, *kernel)
        OpSpec("ConvTranspose", "gemm", ("x", "weight", "bias?"), (*window, "dilations", "group", "output_padding")),
        # y = x @ weight.T + bias over the last axis, x of any rank >= 1; transB False: weight is (in, out)
        OpSpec("Gemm", "gemm", ("x", "weight", "bias?"), ("transB",)),
        OpSpec("MatMul", "gemm", ("a", "b")),
        OpSpec("BatchNormalization", "norm", ("x", "scale?", "bias?", "mean", "var"), ("epsilon",)),
        OpSpec("LayerNormalization", "norm", ("x", "scale?", "bias?"), ("normalized_shape", "epsilon")),
        OpSpec("GroupNormalization", "norm", ("x", "scale?", "bias?"), ("num_groups", "epsilon")),
        OpSpec("InstanceNormalization", "norm", ("x", "scale?", "bias?"), ("epsilon",)),
        *(
            OpSpec(name, "lut", ("x",))
            for name in (
                "Relu Sigmoid HardSwish Swish Mish Tanh Exp Log Sqrt Rsqrt Reciprocal Neg Abs Erf Sin Cos Tan Softplus "
                "Softsign Selu Floor Ceil Round Sign Asin Acos Atan Sinh Cosh Asinh Acosh Atanh"
            ).split()
        ),
        OpSpec("HardSigmoid", "lut", ("x",), ("alpha", "beta")),  # clamp(alpha * x + beta, 0, 1)
        OpSpec("Gelu", "lut", ("x",), ("approximate",)),  # "none" | "tanh"
        OpSpec("Elu", "lut", ("x",), ("alpha",)),
        OpSpec("LeakyRelu", "lut", ("x",), ("alpha",)),
        OpSpec("Clip", "lut", ("x",), ("min", "max")),  # float or None
        OpSpec("Pow", "lut", ("x", "exponent")),  # a table when the exponent is a scalar constant
        OpSpec("PRelu", "elementwise", ("x", "slope")),
        *(OpSpec(name, "elementwise", ("x", "y")) for name in "Add Sub Mul Div Min Max".split()),
        *(OpSpec(name, "elementwise", ("x", "y")) for name in "Equal Greater GreaterOrEqual Less LessOrEqual".split()),
        OpSpec("Concat", "concat", ("x*",), ("axis",)),
        OpSpec("Split", "movement", ("x",), ("axis", "split")),  # split: sizes, one output each
        OpSpec("Slice", "movement", ("x",), ("axes", "starts", "ends", "steps")),  # ends may exceed the dim
        OpSpec("Gather", "movement", ("x", "indices"), ("axis",)),  # 0-d indices drop the axis
        OpSpec("Reshape", "movement", ("x",), ("shape",)),  # may hold Sym; one -1 allowed
        OpSpec("Flatten", "movement", ("x",), ("axis",)),
        OpSpec("Transpose", "movement", ("x",), ("perm",)),
        OpSpec("Squeeze", "movement", ("x",), ("axes",)),
        OpSpec("Unsqueeze", "movement", ("x",), ("axes",)),
        OpSpec("Expand", "movement", ("x",), ("shape",)),
        OpSpec("Pad", "movement", ("x",), ("pads", "mode", "value")),  # pads over all axes, ONNX order
        OpSpec("DepthToSpace", "movement", ("x",), ("blocksize", "mode")),  # "CRD" (pixel shuffle) | "DCR"
        OpSpec("SpaceToDepth", "movement", ("x",), ("blocksize", "mode")),  # torch pixel_unshuffle is "CRD"
        OpSpec("MaxPool", "pool", ("x",), (*window, "dilations", "ceil_mode")),
        OpSpec("AveragePool", "pool", ("x",), (*window, "ceil_mode", "count_include_pad")),
        OpSpec("AdaptiveAvgPool", "pool", ("x",), ("output_size",)),  # only where AveragePool cannot say it
        OpSpec("GlobalAveragePool", "pool", ("x",)),
        OpSpec("GlobalMaxPool", "pool", ("x",)),
        # mode "nearest" | "linear" | "cubic"; size: spatial output size; scales: spatial factors;
        # coordinate_transformation_mode is one of asymmetric, half_pixel, pytorch_half_pixel, align_corners
        OpSpec("Resize", "resize", ("x",), ("mode", "size", "scales", "coordinate_transformation_mode")),
        *(
            OpSpec(name, "reduce", ("x",), ("axes", "keepdims"))
            for name in "ReduceMean ReduceSum ReduceMax ReduceMin".split()
        ),
        OpSpec("ArgMax", "reduce", ("x",), ("axis", "keepdims")),
        OpSpec("ArgMin", "reduce", ("x",), ("axis", "keepdims")),
        OpSpec("Softmax", "softmax", ("x",), ("axis",)),
        OpSpec("LogSoftmax", "softmax", ("x",), ("axis",)),
        OpSpec("QuantizeLinear", "stub", ("x",)),
        OpSpec("DequantizeLinear", "stub", ("x",)),
        OpSpec("Dropout", "transparent", ("x",), ("ratio",)),
        OpSpec("Identity", "transparent", ("x",)),
    ]
    return {row.name: row for row in rows}


OPS: dict[str, OpSpec] = _specs()


def family(op: str) -> Family:
    """Return the family of `op`; ``"other"`` for operators outside the table."""
    spec = OPS.get(op)
    return "other" if spec is None else spec.family
