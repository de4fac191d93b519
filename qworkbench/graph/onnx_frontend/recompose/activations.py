"""Activations that exporters write as products: Swish, HardSwish, Mish, and Gelu in its two forms."""

from __future__ import annotations

import math

from qworkbench.graph.node import Node
from qworkbench.graph.onnx_frontend.recompose.match import Match, Reader


def swish(r: Reader, node: Node) -> Match | None:
    """Match ``x * sigmoid(x)``."""
    return _gated(r, node, "Sigmoid", "Swish")


def hard_swish(r: Reader, node: Node) -> Match | None:
    """Match ``x * hardsigmoid(x)`` with the constants 1/6 and 1/2, also written as ``x * clip(x + 3, 0, 6) / 6``."""
    for x, gate in _sides(node):
        inner = r.maker(gate, "HardSigmoid")
        if inner is not None and inner.inputs[0] == x and (inner.attrs["alpha"], inner.attrs["beta"]) == (1 / 6, 0.5):
            return Match(node, (inner,), "HardSwish", (x,))
    return _clipped(r, node)


def _clipped(r: Reader, node: Node) -> Match | None:
    taken: list[Node] = []
    if node.op == "Mul":
        for x, gate in _sides(node):
            scaled = _sixth(r, gate)
            clip = r.maker(scaled[1], "Clip") if scaled is not None else None
            if scaled is not None and clip is not None and _shifted(r, clip, x, taken):
                return Match(node, (scaled[0], clip, *taken), "HardSwish", (x,))
    scaled = _sixth(r, node.output) if node.op in ("Div", "Mul") else None
    product = r.maker(scaled[1], "Mul") if scaled is not None else None
    if product is None:
        return None
    for x, gate in _sides(product):
        clip = r.maker(gate, "Clip")
        if clip is not None and _shifted(r, clip, x, taken):
            return Match(node, (product, clip, *taken), "HardSwish", (x,))
    return None


def _sixth(r: Reader, value: str | None) -> tuple[Node, str | None] | None:
    node = r.maker(value, "Div", "Mul")
    if node is None:
        return None
    if node.op == "Div":
        return (node, node.inputs[0]) if r.is_number(node.inputs[1], 6.0) else None
    x = r.parted(node, 1 / 6)
    return None if x is None else (node, x)


def _shifted(r: Reader, clip: Node, x: str | None, taken: list[Node]) -> bool:
    add = r.maker(clip.inputs[0], "Add")
    if (clip.attrs["min"], clip.attrs["max"]) != (0.0, 6.0) or add is None or r.parted(add, 3.0) != x:
        return False
    taken.append(add)
    return True


def mish(r: Reader, node: Node) -> Match | None:
    """Match ``x * tanh(softplus(x))``."""
    if node.op != "Mul":
        return None
    for x, gate in _sides(node):
        tanh = r.maker(gate, "Tanh")
        inner = r.maker(tanh.inputs[0], "Softplus") if tanh is not None else None
        if tanh is not None and inner is not None and inner.inputs[0] == x:
            return Match(node, (tanh, inner), "Mish", (x,))
    return None


def gelu(r: Reader, node: Node) -> Match | None:
    """Match ``0.5 * x * (1 + erf(x / sqrt(2)))`` with its factors in any order."""
    found = _halved(r, node)
    if found is None:
        return None
    x, gate, taken = found
    add = r.maker(gate, "Add")
    erf = r.maker(r.parted(add, 1.0), "Erf") if add is not None else None
    inner = r.maker(erf.inputs[0], "Div", "Mul") if erf is not None else None
    if add is None or erf is None or inner is None:
        return None
    if inner.op == "Div":
        same = inner.inputs[0] == x and r.is_number(inner.inputs[1], math.sqrt(2))
    else:
        same = r.parted(inner, math.sqrt(0.5)) == x
    return Match(node, (*taken, add, erf, inner), "Gelu", (x,), {"approximate": "none"}) if same else None


def gelu_tanh(r: Reader, node: Node) -> Match | None:
    """Match ``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))``."""
    found = _halved(r, node)
    if found is None:
        return None
    x, gate, taken = found
    add = r.maker(gate, "Add")
    tanh = r.maker(r.parted(add, 1.0), "Tanh") if add is not None else None
    scaled = r.maker(tanh.inputs[0], "Mul") if tanh is not None else None
    inner = r.maker(r.parted(scaled, math.sqrt(2 / math.pi)), "Add") if scaled is not None else None
    if add is None or tanh is None or scaled is None or inner is None:
        return None
    for first, cubed in _sides(inner):
        parts: list[Node] = []
        if first == x and _is_cubic(r, cubed, x, parts):
            nodes = (*taken, add, tanh, scaled, inner, *parts)
            return Match(node, nodes, "Gelu", (x,), {"approximate": "tanh"})
    return None


def _is_cubic(r: Reader, value: str | None, x: str | None, taken: list[Node]) -> bool:
    """Tell whether `value` is ``0.044715 * x ** 3``."""
    factors = r.factors(value, taken)
    numbers = [f for f in factors if r.is_number(f, 0.044715)]
    rest = [f for f in factors if f not in numbers]
    if len(numbers) != 1:
        return False
    if rest == [x, x, x]:
        return True
    power = r.maker(rest[0], "Pow") if len(rest) == 1 else None
    if power is None or power.inputs[0] != x or not r.is_number(power.inputs[1], 3.0):
        return False
    taken.append(power)
    return True


def _halved(r: Reader, node: Node) -> tuple[str | None, str | None, list[Node]] | None:
    """Return x and the gate of a product ``0.5 * x * gate``."""
    taken: list[Node] = []
    factors = r.factors(node.output, taken) if node.op == "Mul" else []
    halves = [f for f in factors if r.is_number(f, 0.5)]
    rest = [f for f in factors if f not in halves]
    if len(halves) != 1 or len(rest) != 2:
        return None
    x, gate = rest if r.maker(rest[1], "Add") is not None and _opens(r, rest[1]) else rest[::-1]
    return x, gate, [n for n in taken if n.name != node.name]


def _opens(r: Reader, value: str | None) -> bool:
    add = r.maker(value, "Add")
    return add is not None and r.maker(r.parted(add, 1.0), "Erf", "Tanh") is not None


def _gated(r: Reader, node: Node, gate_op: str, op: str) -> Match | None:
    if node.op != "Mul":
        return None
    for x, gate in _sides(node):
        inner = r.maker(gate, gate_op)
        if inner is not None and inner.inputs[0] == x:
            return Match(node, (inner,), op, (x,))
    return None


def _sides(node: Node) -> list[tuple[str | None, str | None]]:
    if len(node.inputs) != 2:
        return []
    first, second = node.inputs
    return [(first, second), (second, first)]
