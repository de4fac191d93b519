"""Operators that opset 11 has no name for, as the operators that exporters write for them.

The last piece carries the name, so that a file that is read again has the same names. From the opset on that has the
operator, it is written whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.errors import FileFormatError
from qworkbench.graph.node import Node
from qworkbench.toolchain.onnx_writer import Writer

Write = Callable[[Writer, Node], Any]


def _scalar(w: Writer, node: Node, value: float) -> str:
    return w.weight(np.asarray(value, np.float32), f"{node.name}/constant")


def _swish(w: Writer, node: Node) -> None:
    x = w.read(node.inputs[0])
    w.last(node, "Mul", [x, w.part(node, "Sigmoid", [x])])


def _hard_swish(w: Writer, node: Node) -> None:
    x = w.read(node.inputs[0])
    if w.opset >= 14:
        w.last(node, "HardSwish", [x])
    else:
        w.last(node, "Mul", [x, w.part(node, "HardSigmoid", [x], alpha=1 / 6, beta=0.5)])


def _mish(w: Writer, node: Node) -> None:
    x = w.read(node.inputs[0])
    if w.opset >= 18:
        w.last(node, "Mish", [x])
    else:
        w.last(node, "Mul", [x, w.part(node, "Tanh", [w.part(node, "Softplus", [x])])])


def _rsqrt(w: Writer, node: Node) -> None:
    w.last(node, "Reciprocal", [w.part(node, "Sqrt", [w.read(node.inputs[0])])])


def _gelu(w: Writer, node: Node) -> None:
    x, form = w.read(node.inputs[0]), node.attrs.get("approximate", "none")
    if w.opset >= 20:
        w.last(node, "Gelu", [x], approximate=form)
        return
    if form == "tanh":
        cube = w.part(node, "Pow", [x, _scalar(w, node, 3.0)])
        inner = w.part(node, "Add", [x, w.part(node, "Mul", [cube, _scalar(w, node, 0.044715)])])
        gate = w.part(node, "Tanh", [w.part(node, "Mul", [inner, _scalar(w, node, math.sqrt(2 / math.pi))])])
    else:
        gate = w.part(node, "Erf", [w.part(node, "Div", [x, _scalar(w, node, math.sqrt(2))])])
    doubled = w.part(node, "Mul", [x, w.part(node, "Add", [gate, _scalar(w, node, 1.0)])])
    w.last(node, "Mul", [doubled, _scalar(w, node, 0.5)])


def _gemm(w: Writer, node: Node) -> None:
    """Write Gemm on matrices, MatMul and Add on tensors of another rank."""
    x, weight, bias = (*node.inputs, None)[:3]
    assert x is not None
    assert weight is not None
    transposed = bool(node.attrs.get("transB", True))
    if len(w.graph.values[x].shape) == 2:
        inputs = [w.read(x), w.read(weight), *([] if bias is None else [w.read(bias)])]
        w.last(node, "Gemm", inputs, transB=int(transposed))
        return
    content = w.array(weight)
    if content is None:
        matrix = w.part(node, "Transpose", [w.read(weight)], perm=[1, 0]) if transposed else w.read(weight)
    else:
        matrix = w.weight(content.T, f"{node.name}/weight") if transposed else w.read(weight)
    if bias is None:
        w.last(node, "MatMul", [w.read(x), matrix])
    else:
        w.last(node, "Add", [w.part(node, "MatMul", [w.read(x), matrix]), w.read(bias)])


def _affine(w: Writer, node: Node, value: str, scale: str, bias: str) -> None:
    """Write ``value * scale + bias``, each where given, under the node's name."""
    steps = [(op, other) for op, other in (("Mul", scale), ("Add", bias)) if other]
    for i, (op, other) in enumerate(steps):
        value = (w.last if i == len(steps) - 1 else w.part)(node, op, [value, other])


def _layer_norm(w: Writer, node: Node) -> None:
    x, scale, bias = (w.read(v) for v in (*node.inputs, None, None)[:3])
    rank, shape = len(w.graph.values[node.inputs[0] or ""].shape), tuple(node.attrs["normalized_shape"])
    if w.opset >= 17:
        ones = scale or w.weight(np.ones(shape, np.float32), f"{node.name}/scale")
        inputs = [x, ones, *([bias] if bias else [])]
        w.last(node, "LayerNormalization", inputs, axis=rank - len(shape), epsilon=node.attrs["epsilon"])
        return
    axes = list(range(rank - len(shape), rank))
    centred = w.part(node, "Sub", [x, w.part(node, "ReduceMean", [x], axes=axes, keepdims=1)])
    square = w.part(node, "Pow", [centred, _scalar(w, node, 2.0)])
    variance = w.part(node, "ReduceMean", [square], axes=axes, keepdims=1)
    root = w.part(node, "Sqrt", [w.part(node, "Add", [variance, _scalar(w, node, node.attrs["epsilon"])])])
    if not scale and not bias:
        w.last(node, "Div", [centred, root])
    else:
        _affine(w, node, w.part(node, "Div", [centred, root]), scale, bias)


def _group_norm(w: Writer, node: Node) -> None:
    """Write GroupNormalization as InstanceNormalization of the groups; ONNX's own took one scale per group at first."""
    x, scale, bias = (*node.inputs, None, None)[:3]
    assert x is not None
    groups, shape = node.attrs["num_groups"], w.graph.values[x].shape
    split = w.part(node, "Reshape", [w.read(x), w.ints([0, groups, -1], f"{node.name}/shape")])
    ones = w.weight(np.ones(groups, np.float32), f"{node.name}/one")
    zeros = w.weight(np.zeros(groups, np.float32), f"{node.name}/zero")
    norm = w.part(node, "InstanceNormalization", [split, ones, zeros], epsilon=node.attrs["epsilon"])
    target = w.shape(node, shape, one_open=True)
    if scale is None and bias is None:
        w.last(node, "Reshape", [norm, target])
        return
    column = (-1, *(1,) * (len(shape) - 2))
    affine = []
    for value, hint in ((scale, "scale"), (bias, "bias")):
        content = None if value is None else w.array(value)
        affine.append("" if content is None else w.weight(content.reshape(column), f"{node.name}/{hint}"))
    _affine(w, node, w.part(node, "Reshape", [norm, target]), affine[0], affine[1])


def _softmax(w: Writer, node: Node) -> None:
    """Write a softmax over one axis; before opset 13 ONNX's ran over all axes from ``axis`` on."""
    x, axis = w.read(node.inputs[0]), node.attrs["axis"]
    shape = w.graph.values[node.output].shape
    rank = len(shape)
    if w.opset >= 13 or all(d == 1 for d in shape[axis + 1 :]):
        w.last(node, node.op, [x], axis=axis)
        return
    perm = [a for a in range(rank) if a != axis] + [axis]
    made = w.part(node, node.op, [w.part(node, "Transpose", [x], perm=perm)], axis=rank - 1)
    w.last(node, "Transpose", [made], perm=[perm.index(a) for a in range(rank)])


def _space_to_depth(w: Writer, node: Node) -> None:
    x, block = node.inputs[0] or "", node.attrs["blocksize"]
    if node.attrs.get("mode", "DCR") == "DCR":
        w.last(node, "SpaceToDepth", [w.read(x)], blocksize=block)
        return
    n, c, h, width = w.graph.values[x].shape
    assert isinstance(c, int)
    assert isinstance(h, int)
    assert isinstance(width, int)
    cut = w.part(
        node, "Reshape", [w.read(x), w.shape(node, (n, c, h // block, block, width // block, block), one_open=True)]
    )
    moved = w.part(node, "Transpose", [cut], perm=[0, 1, 3, 5, 2, 4])
    shape = (n, c * block * block, h // block, width // block)
    w.last(node, "Reshape", [moved, w.shape(node, shape, one_open=True)])


def _adaptive_pool(_: Writer, node: Node) -> None:
    size = tuple(node.attrs["output_size"])
    raise FileFormatError(
        f"{node.name!r} pools to {size} over windows of unequal size, which no ONNX operator does; choose an input "
        "size that the output size divides"
    )


PIECES: dict[str, Write] = {
    "Swish": _swish,
    "HardSwish": _hard_swish,
    "Mish": _mish,
    "Rsqrt": _rsqrt,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    "SpaceToDepth": _space_to_depth,
    "AdaptiveAvgPool": _adaptive_pool,
}
"""Writers by operator."""
