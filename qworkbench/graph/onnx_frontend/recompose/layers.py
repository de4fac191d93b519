"""Layers that exporters take apart: linear layers on any rank, layer and group normalisation."""

from __future__ import annotations

import torch

from qworkbench.graph.node import Node, Sym
from qworkbench.graph.onnx_frontend.recompose.match import Match, Reader


def gemm(r: Reader, node: Node) -> Match | None:
    """Match a product with a constant matrix, and the bias per column that is added to it."""
    if node.op == "Add":
        for value, other in ((node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])):
            product = r.maker(value, "MatMul")
            weight = _matrix(r, product)
            bias = r.constant(other)
            if product is None or weight is None or bias is None or r.only_user(product) is not node:
                continue
            columns = weight.shape[1]
            if columns > 1 and bias.numel() == columns and bias.dim() and bias.shape[-1] == columns:
                return _linear(node, (product,), product, other, bias)
        return None
    if _matrix(r, node) is None or _has_bias(r, node):
        return None
    return Match(node, (), "Gemm", (node.inputs[0], node.inputs[1], None), {"transB": False})


def _linear(node: Node, taken: tuple[Node, ...], product: Node, name: str | None, bias: torch.Tensor) -> Match:
    x, weight = product.inputs[:2]
    attrs = {"transB": False}
    if bias.dim() == 1:
        return Match(node, taken, "Gemm", (x, weight, name), attrs)
    flat = f"{node.name}.bias"
    return Match(node, taken, "Gemm", (x, weight, flat), attrs, {flat: bias.reshape(-1)})


def _matrix(r: Reader, node: Node | None) -> torch.Tensor | None:
    """Return the constant matrix on the right of a MatMul of at least two axes."""
    if node is None or node.op != "MatMul" or not r.graph.is_activation(node.inputs[0]):
        return None
    weight, x = r.constant(node.inputs[1]), node.inputs[0]
    rank = len(r.graph.values[x].shape) if x is not None else 0
    return weight if weight is not None and weight.dim() == 2 and rank >= 2 else None


def _has_bias(r: Reader, product: Node) -> bool:
    user = r.only_user(product)
    found = gemm(r, user) if user is not None and user.op == "Add" else None
    return found is not None and product in found.taken


def layer_norm(r: Reader, node: Node) -> Match | None:
    """Match ``(x - mean) / sqrt(variance + epsilon)`` over the last axes, with ``* scale`` and ``+ bias`` behind it."""
    core = _standardised(r, node)
    if core is None:
        return None
    x, shape, epsilon, taken = core
    last, scale, bias = node, None, None
    user = r.only_user(node)
    if user is not None and user.op == "Mul" and user.call is None:
        found = _affine(r, user, node.output, shape)
        if found is not None:
            taken, last, scale = [*taken, node], user, found
    behind = r.only_user(last)
    if behind is not None and behind.op == "Add" and scale is not None:
        found = _affine(r, behind, last.output, shape)
        if found is not None:
            taken, last, bias = [*taken, last], behind, found
    attrs = {"normalized_shape": shape, "epsilon": epsilon}
    return Match(last, tuple(taken), "LayerNormalization", (x, scale, bias), attrs)


def _affine(r: Reader, node: Node, value: str, shape: tuple[int, ...]) -> str | None:
    """Return the constant of `shape` that `node` combines with `value`."""
    if len(node.inputs) != 2 or value not in node.inputs:
        return None
    other = node.inputs[1] if node.inputs[0] == value else node.inputs[0]
    content = r.constant(other)
    return other if content is not None and tuple(content.shape) == shape else None


def _standardised(r: Reader, node: Node) -> tuple[str, tuple[int, ...], float, list[Node]] | None:
    """Return x, the normalised shape, epsilon and the inner nodes of ``(x - mean) / sqrt(variance + epsilon)``."""
    if node.op != "Div":
        return None
    centred, root = r.maker(node.inputs[0], "Sub"), r.maker(node.inputs[1], "Sqrt")
    add = r.maker(root.inputs[0], "Add") if root is not None else None
    if centred is None or root is None or add is None:
        return None
    for variance, epsilon in ((add.inputs[0], add.inputs[1]), (add.inputs[1], add.inputs[0])):
        mean, amount = r.maker(variance, "ReduceMean"), r.number(epsilon)
        square = r.maker(mean.inputs[0], "Pow", "Mul") if mean is not None else None
        if mean is None or square is None or amount is None:
            continue
        again = r.maker(square.inputs[0], "Sub")
        squared = r.is_number(square.inputs[1], 2.0) if square.op == "Pow" else square.inputs[0] == square.inputs[1]
        inner = _centred(r, centred)
        if again is None or not squared or inner is None or _centred(r, again) is None:
            continue
        x, first, axes = inner
        other = _centred(r, again)
        if (
            other is None
            or other[0] != x
            or other[2] != axes
            or mean.attrs["axes"] != axes
            or not mean.attrs["keepdims"]
        ):
            continue
        shape = _last_axes(r, x, axes)
        if shape is not None:
            return x, shape, amount, [centred, root, add, mean, square, again, first, other[1]]
    return None


def _centred(r: Reader, node: Node) -> tuple[str, Node, tuple[int, ...]] | None:
    """Return x, the mean node and its axes of ``x - mean(x)``."""
    x, mean = node.inputs[0], r.maker(node.inputs[1], "ReduceMean")
    if x is None or mean is None or mean.inputs[0] != x or not mean.attrs["keepdims"]:
        return None
    return x, mean, tuple(mean.attrs["axes"])


def _last_axes(r: Reader, x: str, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    shape = r.graph.values[x].shape
    if not axes or axes != tuple(range(len(shape) - len(axes), len(shape))):
        return None
    found = [d for d in shape[axes[0] :] if not isinstance(d, Sym)]
    return tuple(found) if len(found) == len(axes) else None


def group_norm(r: Reader, node: Node) -> Match | None:
    """Match Reshape, InstanceNormalization by 1 and 0, Reshape back, with ``* scale`` and ``+ bias`` behind it."""
    norm = r.maker(node.inputs[0], "InstanceNormalization") if node.op == "Reshape" else None
    split = r.maker(norm.inputs[0], "Reshape") if norm is not None else None
    if norm is None or split is None or split.inputs[0] is None:
        return None
    x = split.inputs[0]
    shape, groups = r.graph.values[x].shape, r.graph.values[split.output].shape[1]
    scale, bias = r.constant(norm.inputs[1]), r.constant(norm.inputs[2])
    plain = scale is not None and bias is not None and bool((scale == 1).all()) and not bool(bias.any())
    whole = r.graph.values[node.output].shape == shape and r.graph.values[split.output].shape[0] == shape[0]
    channels = shape[1]
    if not plain or not whole or not isinstance(groups, int) or not isinstance(channels, int) or channels % groups:
        return None
    taken, last = [split, norm], node
    names: list[str | None] = [None, None]
    constants: dict[str, torch.Tensor] = {}
    for slot, (op, hint) in enumerate((("Mul", "scale"), ("Add", "bias"))):
        user = r.only_user(last)
        found = _per_channel(r, user, last.output, channels, len(shape)) if user is not None and user.op == op else None
        if user is None or found is None:
            break
        taken, last = [*taken, last], user
        names[slot] = f"{node.name}.{hint}"
        constants[f"{node.name}.{hint}"] = found
    attrs = {"num_groups": groups, "epsilon": norm.attrs["epsilon"]}
    return Match(last, tuple(taken), "GroupNormalization", (x, *names), attrs, constants)


def moved_softmax(r: Reader, node: Node) -> Match | None:
    """Match a softmax over the last axis between two Transposes that bring another axis there and back."""
    softmax = r.maker(node.inputs[0], "Softmax", "LogSoftmax") if node.op == "Transpose" else None
    before = r.maker(softmax.inputs[0], "Transpose") if softmax is not None else None
    if softmax is None or before is None:
        return None
    there, back = tuple(before.attrs["perm"]), tuple(node.attrs["perm"])
    if tuple(there[axis] for axis in back) != tuple(range(len(there))):
        return None
    return Match(node, (softmax, before), softmax.op, (before.inputs[0],), {"axis": there[softmax.attrs["axis"]]})


def pool_of_one(_: Reader, node: Node) -> Match | None:
    """Match an average over windows of one element, which an adaptive pool to its own size becomes."""
    if node.op != "AveragePool":
        return None
    attrs = node.attrs
    plain = set(attrs["kernel_shape"]) == {1} and set(attrs["strides"]) == {1} and not any(attrs["pads"])
    return Match(node, (), "Identity", (node.inputs[0],)) if plain else None


def _per_channel(r: Reader, node: Node, value: str, channels: int, rank: int) -> torch.Tensor | None:
    if len(node.inputs) != 2 or value not in node.inputs:
        return None
    content = r.constant(node.inputs[1] if node.inputs[0] == value else node.inputs[0])
    if content is None or content.numel() != channels or content.dim() < rank - 1:
        return None
    return content.reshape(-1) if content.shape[-(rank - 1)] == channels else None
