"""Every quantizer of a plan by name: outputs and weights, with the codes that they would write.

One per tensor that is rounded and one per weight. An op that hands integers through (MaxPool, Reshape ...) has none of
its own: its codes are those of its input. Knows nothing of how their effect is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from qworkbench.emulator.fingerprint import digest
from qworkbench.graph.fusion import ANCHORS
from qworkbench.graph.vocabulary import family
from qworkbench.numerics.dtypes import QMAX, QMIN
from qworkbench.placement.scale_groups import keeps_scale

if TYPE_CHECKING:
    import torch

    from qworkbench.emulator.plan import Plan, Step
    from qworkbench.graph.ir import Graph
    from qworkbench.numerics.arithmetic import Rounding
    from qworkbench.placement.types import Placement, Unit

SensitiveType = Literal["activation", "weight"]


@dataclass(frozen=True, slots=True, eq=False)
class Quantizer:
    """One place where numbers become codes.

    Attributes
    ----------
    name : str
        Node: the one that has the weight, or the last named op of the fused unit that makes the tensor; a model input.
    op : str
        ``Conv``, or ``Conv+Add+Relu`` where several are fused.
    kind : "activation" | "weight"
    value : str
        Canonical value that is quantized, or that the unit with the weight makes.
    unit : str or None
        None for a model input.
    dtype : "int8" | "int16"
    scale : numpy.ndarray
        float32: (1,), or one per channel.
    axis : int
        Channel axis of `scale`.
    rounding : str
    content : bytes
        Digest: equal digests have equal effects on equal inputs.
    codes : numpy.ndarray or None
        Of a weight: what the plan holds.
    groups : int
        Of a transposed convolution, whose weight is (in, out / groups, kernel); 0 for every other weight.
    folded : numpy.ndarray or None
        Scales per input channel that the plan folded into the weight before it was rounded.
    """

    name: str
    op: str
    kind: SensitiveType
    value: str
    unit: str | None
    dtype: str
    scale: np.ndarray
    axis: int
    rounding: Rounding
    content: bytes
    codes: np.ndarray | None = None
    groups: int = 0
    folded: np.ndarray | None = None

    def weight(self) -> np.ndarray:
        """Return the fake-quantized weight ``codes * scale`` (float32, the layout of the folded float weight)."""
        assert self.codes is not None
        real = self.codes.astype(np.float32)
        tail = (1,) * (real.ndim - 2)
        if self.groups:
            shape = (self.groups, real.shape[0] // self.groups, real.shape[1], *real.shape[2:])
            scale = self.scale.reshape(self.groups, 1, real.shape[1], *tail)
            return np.asarray((real.reshape(shape) * scale).reshape(real.shape))
        real *= self.scale.reshape(-1, 1, *tail)
        if self.folded is not None:
            real /= self.folded.reshape((-1, 1, *tail) if real.shape[1] == 1 < self.folded.size else (1, -1, *tail))
        return real

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``s * clamp(round(x / s), qmin, qmax)``, the fake-quantized `x` (same shape and dtype)."""
        import torch

        if self.rounding == "half_even" and self.scale.size == 1 and x.dtype == torch.float32 and x.numel():
            return self._in_one_pass(x)
        shape = [1] * x.dim()
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale = torch.from_numpy(self.scale.astype(np.float32)).to(x.dtype).reshape(shape if x.dim() else ())
        ratio = x / scale
        if self.rounding == "half_up":
            ratio = torch.floor(ratio) + (ratio - torch.floor(ratio) >= 0.5).to(x.dtype)
        elif self.rounding == "half_away":
            size = ratio.abs()
            ratio = torch.sign(ratio) * (torch.floor(size) + (size - torch.floor(size) >= 0.5).to(x.dtype))
        else:
            ratio = torch.round(ratio)
        return ratio.clamp_(QMIN[self.dtype], QMAX[self.dtype]).mul_(scale)

    def _in_one_pass(self, x: torch.Tensor) -> torch.Tensor:
        """Return :meth:`apply` of a float32 tensor with one scale, in the memory format of `x`."""
        import torch

        from qworkbench.analysis.fake_quant import half_even

        last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
        lying = x.permute(0, 2, 3, 1) if last else x.contiguous()
        flat = half_even(lying.reshape(-1).numpy(), float(self.scale.flat[0]), QMIN[self.dtype], QMAX[self.dtype])
        made = torch.from_numpy(flat).reshape(lying.shape)
        return made.permute(0, 3, 1, 2) if last else made


class QuantizerMemo:
    """Quantizers of earlier plans, so that those of the next one are made where something changed."""

    def __init__(self, keep: int = 20_000) -> None:
        self._keep = keep
        self._held: dict[tuple[object, ...], Quantizer] = {}

    def get(self, key: tuple[object, ...], make: Callable[[], Quantizer]) -> Quantizer:
        """Return the quantizer under `key`, which holds everything that it is made of."""
        found = self._held.get(key)
        if found is None:
            if len(self._held) >= self._keep:
                self._held.clear()
            found = self._held[key] = make()
        return found


def quantizers_of(
    graph: Graph, placement: Placement, plan: Plan, rounding: Rounding, memo: QuantizerMemo | None = None
) -> tuple[Quantizer, ...]:
    """Return the quantizers of `plan` in topological order: a unit's weight before its output."""
    memo = memo or QuantizerMemo()
    weights: dict[str, Step] = {}
    for step in plan.steps:
        if "weight" in step.params:
            weights.setdefault(step.unit, step)
    found = [
        made
        for name in graph.inputs
        if (made := _activation(graph, plan, rounding, memo, name, _stub(graph, name), "Input", None)) is not None
    ]
    for unit in placement.units:
        on_bpu = placement[unit.anchor].on == "BPU"
        if on_bpu and unit.op in ANCHORS and unit.name in plan.weights:
            found.append(_weight(graph, plan, memo, unit, weights[unit.name]))
        if on_bpu and keeps_scale(unit.op):
            continue
        for value in unit.outputs:
            made = _activation(graph, plan, rounding, memo, value, unit.name, op_type(graph, unit), unit.name)
            if made is not None:
                found.append(made)
    return tuple(found)


def op_type(graph: Graph, unit: Unit) -> str:
    """Return ``Conv+Add+Relu`` for a fused unit, the operator for a single node."""
    ops = [graph.nodes[name].op for name in unit.members]
    return "+".join(op for op in ops if family(op) != "transparent") or unit.op


def _stub(graph: Graph, name: str) -> str:
    """Return the quantization stub behind an input, where the model has one: that is the name that users know."""
    stubs = [node.name for node, _ in graph.users(name) if node.op == "QuantizeLinear"]
    return stubs[0] if len(stubs) == 1 else name


def _activation(
    graph: Graph,
    plan: Plan,
    rounding: Rounding,
    memo: QuantizerMemo,
    value: str,
    name: str,
    op: str,
    unit: str | None,
) -> Quantizer | None:
    keys = (f"{value}@{dtype}" for dtype in ("int8", "int16"))
    quantity = next((plan.quantities[key] for key in keys if key in plan.quantities), None)
    if quantity is None or not graph.values[value].dtype.startswith("float"):
        return None
    dtype, scale, axis = quantity.dtype, quantity.scale, quantity.axis

    def make() -> Quantizer:
        content = digest("activation", value, dtype, scale, axis, rounding)
        return Quantizer(name, op, "activation", value, unit, dtype, scale, axis, rounding, content)

    return memo.get((quantity, value, name, op, unit, rounding), make)


def _weight(graph: Graph, plan: Plan, memo: QuantizerMemo, unit: Unit, step: Step) -> Quantizer:
    quantity, source = plan.weights[unit.name], plan.quantities[step.inputs[0]]
    packed = step.params["weight"]
    folded = source.scale if source.per_channel else None
    node = graph.nodes[unit.anchor]

    def make() -> Quantizer:
        return Quantizer(
            unit.anchor,
            op_type(graph, unit),
            "weight",
            unit.outputs[0],
            unit.name,
            quantity.dtype,
            quantity.scale,
            quantity.axis,
            "half_even",
            digest("weight", unit.anchor, packed, quantity.scale, folded),
            packed.array,
            int(node.attrs["group"]) if node.op == "ConvTranspose" else 0,
            folded,
        )

    return memo.get((packed, quantity, source, unit, node), make)


def flops_of(graph: Graph, unit: Unit, batch: int = 1) -> int:
    """Return the arithmetic of one unit: 2 per multiply-accumulate of a gemm-like anchor, else 1 per output element."""
    node = graph.nodes[unit.anchor]
    elements = math.prod(graph.shape(unit.outputs[0], batch))
    if node.op in ("Conv", "Gemm") and node.inputs[1] is not None:
        weight = graph.shape(node.inputs[1], batch)
        depth = math.prod(weight[1:]) if node.op == "Conv" or node.attrs.get("transB", True) else weight[0]
        return 2 * elements * depth
    if node.op == "ConvTranspose" and node.inputs[0] is not None and node.inputs[1] is not None:
        return 2 * math.prod(graph.shape(node.inputs[0], batch)) * math.prod(graph.shape(node.inputs[1], batch)[1:])
    if node.op == "MatMul" and node.inputs[0] is not None:
        return 2 * elements * graph.shape(node.inputs[0], batch)[-1]
    return elements
