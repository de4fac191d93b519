"""Weights of a unit as codes: batch normalisation folded in, scales per output channel, the bias for the accumulator.

Made once per content of the tensors and kept between plans. Where training or a quantized file gave scales, they rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qworkbench.emulator.fingerprint import Packed, digest
from qworkbench.emulator.plan import Quantity
from qworkbench.graph.folding import folded_weight_bias
from qworkbench.graph.fusion import FusedGroup
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.numerics.weights import quantize_bias, quantize_weight

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit


def weight_codes(
    builder: PlanBuilder, unit: Unit, node: Node, source: Quantity
) -> tuple[Packed, np.ndarray, np.ndarray | None]:
    """Return packed weight codes, their scales per output channel, and the int32 bias."""
    dtype = builder.placement[unit.anchor].weight_dtype or "int8"
    channels = source.scale if source.per_channel else None
    token = builder.memo.anchored(builder.graph, unit, builder.placement.canonical)
    key = (token, dtype, None if channels is None else channels.tobytes())
    made = builder.memo.folded(key, lambda: _folded(builder, unit, node, dtype, channels))
    packed, s_w, real_bias = made
    builder.weights[unit.name] = Quantity(dtype, s_w, 0)
    if real_bias is None:
        return packed, s_w, None
    wide, s_x = source.dtype == dtype == "int16", scale_in(source)
    # the same object for the same scale: kernels keep what they make of it
    bias = builder.memo.folded(("bias", *key, wide, s_x), lambda: _bias(real_bias, s_x, s_w, wide=wide))
    return packed, s_w, bias


def _bias(real: np.ndarray, s_x: float, s_w: np.ndarray, *, wide: bool) -> np.ndarray:
    """Return the bias on the scale of the sums; that of a `wide` sum is wide, where int32 would saturate."""
    if wide:
        return np.asarray(np.rint(real.astype(np.float64) / (s_x * s_w.astype(np.float64))))
    return quantize_bias(real, s_x, s_w)[0]


def _folded(
    builder: PlanBuilder, unit: Unit, node: Node, dtype: str, channels: np.ndarray | None
) -> tuple[Packed, np.ndarray, np.ndarray | None]:
    """Return weight codes, scales and the real bias of a unit, made once per content of its tensors."""
    graph, memo = builder.graph, builder.memo
    members = [node] + ([graph.nodes[unit.bn]] if unit.bn is not None else [])
    tensors = [graph.tensor(v) for m in members for v in m.inputs if v is not None and not graph.is_activation(v)]
    content = digest(
        [memo.tensor_digest(t) for t in tensors], [dict(m.attrs) for m in members], [m.op for m in members]
    )
    stored = trained_scales(graph, node)
    if stored is None and unit.bn is None:
        stored = stored_scales(graph, node, dtype)
    stored = stored if channels is None else None
    key = ("weight", content, dtype, stored, None if channels is None else channels.tobytes())
    made: tuple[Packed, np.ndarray, np.ndarray | None] = memo.get(
        key, lambda: _quantize(graph, unit, node, dtype, channels, stored, digest(unit.op, *key))
    )
    return made


def trained_scales(graph: Graph, node: Node) -> tuple[float, ...] | None:
    """Return the scales per output channel that training found for the weight of `node`."""
    found = graph.training.weight_scales.get(node.name)
    return None if found is None else tuple(found.tolist())


def stored_scales(graph: Graph, node: Node, dtype: str) -> tuple[float, ...] | None:
    """Return the scales that the model stores the weight of `node` with, where they are those of `dtype` codes."""
    weight = node.inputs[1]
    assert weight is not None
    stored = graph.values[weight].stored
    if stored is None or dtype != "int8" or (node.op == "ConvTranspose" and len(stored) > 1):
        return None
    shape = graph.shape(weight)
    channels = shape[1] if node.op == "Gemm" and not node.attrs["transB"] else shape[0]
    return stored if len(stored) in (1, channels) else None


def _quantize(
    graph: Graph,
    unit: Unit,
    node: Node,
    dtype: str,
    channels: np.ndarray | None,
    stored: tuple[float, ...] | None,
    name: bytes,
) -> tuple[Packed, np.ndarray, np.ndarray | None]:
    """Return codes, scales and bias; `name` is a digest of everything that they follow from."""
    group = FusedGroup(
        name=unit.name,
        anchor=unit.anchor,
        bn=unit.bn,
        add=None,
        residual=None,
        activation=None,
        members=tuple(m for m in (unit.anchor, unit.bn) if m is not None),
        tail=unit.bn or unit.anchor,
    )
    weight, bias = folded_weight_bias(graph, group, copy=False)
    if channels is not None:
        # scales per feature-map channel are folded into the weight, so the codes' own scale is 1 from here on
        shape = (-1, 1, 1, 1) if node.attrs["group"] == len(channels) > 1 else (1, -1, 1, 1)
        weight = (weight * channels.reshape(shape)).astype(np.float32)
    if unit.op == "ConvTranspose":
        codes, s_w = _quantize_transposed(weight, node.attrs["group"], dtype, stored)
    else:
        codes, s_w = quantize_weight(weight, 0, dtype, stored)
    return Packed(codes, name), s_w, bias


def _quantize_transposed(
    weight: np.ndarray, group: int, dtype: str, stored: tuple[float, ...] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Quantize a (in, out/group, kh, kw) weight per output channel, group by group."""
    each = weight.shape[1]
    parts = [
        quantize_weight(part, 1, dtype, stored[i * each : (i + 1) * each] if stored and len(stored) > 1 else stored)
        for i, part in enumerate(np.split(weight, group, axis=0))
    ]
    return np.ascontiguousarray(np.concatenate([p[0] for p in parts])), np.concatenate([p[1] for p in parts])


def scale_in(source: Quantity) -> float:
    """Return the scale that products with `source` have; 1 where its channels' scales are in the weight."""
    return 1.0 if source.per_channel else float(source.single)
