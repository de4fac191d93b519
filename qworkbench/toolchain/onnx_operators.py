"""Operators of the vocabulary that ONNX has too, from opset 11 on, with its spelling of their attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.errors import FileFormatError
from qworkbench.graph.node import Node, Sym
from qworkbench.toolchain.onnx_writer import Writer

Write = Callable[[Writer, Node], Any]


def _inputs(w: Writer, node: Node) -> list[str]:
    """Return the tensors that `node` reads, absent ones at the end left out."""
    found = [w.read(v) for v in node.inputs]
    while found and not found[-1]:
        found.pop()
    return found


def _same(w: Writer, node: Node) -> None:
    w.last(node, node.op, _inputs(w, node))


def _attrs(*names: str) -> Write:
    def write(w: Writer, node: Node) -> None:
        attrs = {name: node.attrs.get(name) for name in names}
        w.last(node, node.op, _inputs(w, node), **{k: int(v) if isinstance(v, bool) else v for k, v in attrs.items()})

    return write


def _filled(w: Writer, node: Node, channels: int, slots: tuple[int, int]) -> list[str]:
    """Return the inputs with an absent scale as ones and an absent bias as zeros."""
    found = [w.read(v) for v in node.inputs]
    found += [""] * (max(slots) + 1 - len(found))
    for slot, content in zip(slots, (1.0, 0.0), strict=True):
        if not found[slot]:
            found[slot] = w.weight(np.full(channels, content, np.float32), f"{node.name}/{('scale', 'bias')[slot - 1]}")
    return found


def _norm(w: Writer, node: Node) -> None:
    channels = w.graph.shape(node.inputs[0] or "")[1]
    w.last(node, node.op, _filled(w, node, channels, (1, 2)), epsilon=node.attrs["epsilon"])


def _clip(w: Writer, node: Node) -> None:
    bounds = [node.attrs.get("min"), node.attrs.get("max")]
    dtype = np.dtype(w.graph.values[node.output].dtype)
    given = ["" if b is None else w.weight(np.asarray(b, dtype), f"{node.name}/bound") for b in bounds]
    while given and not given[-1]:
        given.pop()
    w.last(node, "Clip", [w.read(node.inputs[0]), *given])


def _prelu(w: Writer, node: Node) -> None:
    x, slope = node.inputs
    content = w.array(slope or "")
    rank = len(w.graph.values[x or ""].shape)
    if content is None:
        raise FileFormatError(f"{node.name!r} computes its slope, which PRelu cannot take here")
    shape = (content.size, *(1,) * (rank - 2)) if rank > 1 else (content.size,)
    w.last(node, "PRelu", [w.read(x), w.weight(content.reshape(shape), f"{node.name}/slope")])


def _arithmetic(w: Writer, node: Node) -> None:
    """Write two operands of one type; torch mixes types, ONNX does not."""
    dtype = w.graph.values[node.output].dtype
    w.last(node, node.op, [w.cast(v, dtype, node.name) for v in node.inputs if v is not None])


def compared(w: Writer, node: Node) -> list[str]:
    """Return the operands of a comparison in the type of the one that the model computes."""
    sources = [v for v in node.inputs if v is not None]
    dtype = next((w.graph.values[v].dtype for v in sources if w.graph.is_activation(v)), "float32")
    return [w.cast(v, dtype, node.name) for v in sources]


def _comparison(w: Writer, node: Node) -> None:
    if w.opset < 12 and node.op.endswith("OrEqual"):
        other = w.part(node, "Less" if node.op == "GreaterOrEqual" else "Greater", compared(w, node))
        w.last(node, "Not", [other])
    else:
        w.last(node, node.op, compared(w, node))


def _split(w: Writer, node: Node) -> None:
    x, sizes = w.read(node.inputs[0]), list(node.attrs["split"])
    if w.opset < 13:
        w.last(node, "Split", [x], axis=node.attrs["axis"], split=sizes)
    else:
        w.last(node, "Split", [x, w.ints(sizes, f"{node.name}/split")], axis=node.attrs["axis"])


def _slice(w: Writer, node: Node) -> None:
    rows = [node.attrs[name] for name in ("starts", "ends", "axes", "steps")]
    if any(isinstance(v, Sym) for row in rows for v in row):
        raise FileFormatError(f"{node.name!r} is cut at a position that follows the batch; export it at one batch size")
    given = [w.ints([max(min(v, 2**62), -(2**62)) for v in row], f"{node.name}/slice") for row in rows]
    w.last(node, "Slice", [w.read(node.inputs[0]), *given])


def _reshape(w: Writer, node: Node) -> None:
    w.last(node, "Reshape", [w.read(node.inputs[0]), w.shape(node, node.attrs["shape"], one_open=True)])


def _expand(w: Writer, node: Node) -> None:
    w.last(node, "Expand", [w.read(node.inputs[0]), w.shape(node, node.attrs["shape"])])


def _axes(since: int) -> Write:
    def write(w: Writer, node: Node) -> None:
        keepdims = {"keepdims": int(node.attrs["keepdims"])} if "keepdims" in node.attrs else {}
        axes = node.attrs.get("axes")
        if axes is None:
            w.last(node, node.op, [w.read(node.inputs[0])], **keepdims)
        else:
            w.with_axes(node, node.op, w.read(node.inputs[0]), axes, since, keepdims)

    return write


def _pad(w: Writer, node: Node) -> None:
    mode = node.attrs.get("mode", "constant")
    if mode == "wrap" and w.opset < 19:
        raise FileFormatError(f"{node.name!r} pads by wrapping around, which ONNX has since opset 19")
    dtype = np.dtype(w.graph.values[node.output].dtype)
    value = w.weight(np.asarray(node.attrs.get("value", 0.0), dtype), f"{node.name}/value")
    pads = w.ints(node.attrs["pads"], f"{node.name}/pads")
    w.last(node, "Pad", [w.read(node.inputs[0]), pads, *([value] if mode == "constant" else [])], mode=mode)


def _resize(w: Writer, node: Node) -> None:
    attrs, x = node.attrs, w.read(node.inputs[0])
    coordinates = attrs["coordinate_transformation_mode"]
    extra: dict[str, Any] = {}
    if attrs["mode"] == "nearest":
        extra["nearest_mode"] = "floor" if coordinates == "asymmetric" else "round_prefer_ceil"
    elif attrs["mode"] == "cubic":
        extra["cubic_coeff_a"] = -0.75
    roi = "" if w.opset >= 13 else w.weight(np.zeros(0, np.float32), f"{node.name}/roi")
    if attrs.get("scales") is not None:
        scales = np.asarray([1.0, 1.0, *attrs["scales"]], np.float32)
        inputs = [x, roi, w.weight(scales, f"{node.name}/scales")]
    else:
        empty = "" if w.opset >= 13 else w.weight(np.zeros(0, np.float32), f"{node.name}/scales")
        inputs = [x, roi, empty, w.shape(node, w.graph.values[node.output].shape)]
    w.last(node, "Resize", inputs, mode=attrs["mode"], coordinate_transformation_mode=coordinates, **extra)


def _stub(w: Writer, node: Node) -> None:
    """Write a marker of the training API as what it is in float."""
    w.last(node, "Identity", [w.read(node.inputs[0])])


_WINDOW = ("kernel_shape", "strides", "pads", "dilations")

OPERATORS: dict[str, Write] = {
    **dict.fromkeys(
        (
            "Relu Sigmoid Tanh Exp Log Sqrt Reciprocal Neg Abs Erf Sin Cos Tan Softplus Softsign Selu Floor Ceil Round "
            "Sign Asin Acos Atan Sinh Cosh Asinh Acosh Atanh MatMul GlobalAveragePool GlobalMaxPool Identity"
        ).split(),
        _same,
    ),
    **dict.fromkeys("Add Sub Mul Div Min Max".split(), _arithmetic),
    "Pow": _arithmetic,
    **dict.fromkeys("Equal Greater GreaterOrEqual Less LessOrEqual".split(), _comparison),
    "Conv": _attrs(*_WINDOW, "group"),
    "ConvTranspose": _attrs(*_WINDOW, "group", "output_padding"),
    "BatchNormalization": _norm,
    "InstanceNormalization": _norm,
    "HardSigmoid": _attrs("alpha", "beta"),
    "Elu": _attrs("alpha"),
    "LeakyRelu": _attrs("alpha"),
    "Clip": _clip,
    "PRelu": _prelu,
    "Concat": _attrs("axis"),
    "Split": _split,
    "Slice": _slice,
    "Gather": _attrs("axis"),
    "Reshape": _reshape,
    "Flatten": _attrs("axis"),
    "Transpose": _attrs("perm"),
    "Squeeze": _axes(13),
    "Unsqueeze": _axes(13),
    "Expand": _expand,
    "Pad": _pad,
    "DepthToSpace": _attrs("blocksize", "mode"),
    "MaxPool": _attrs(*_WINDOW, "ceil_mode"),
    "AveragePool": _attrs("kernel_shape", "strides", "pads", "ceil_mode", "count_include_pad"),
    "Resize": _resize,
    "ReduceSum": _axes(13),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin"), _axes(18)),
    **dict.fromkeys(("ArgMax", "ArgMin"), _attrs("axis", "keepdims")),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "Dropout"), _stub),
}
"""Writers by operator."""
