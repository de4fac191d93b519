"""The float model in the units of a placement, fast enough to be run hundreds of times.

Batch normalisation is folded into the weights, convolutions run channels-last, residual and activation are applied in
place on the unit's own result. Values are canonical; results agree with the plain graph up to the rounding of float32.
Any weight may be replaced for one call. Knows nothing of codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from qworkbench.graph.execute import run_node
from qworkbench.graph.float_windows import WINDOWS
from qworkbench.graph.folding import folded_weight_bias
from qworkbench.graph.fusion import ANCHORS, FusedGroup
from qworkbench.graph.ir import Graph, Sym
from qworkbench.placement.types import Placement, Unit

_ONEDNN = hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def arranged(x: Tensor) -> Tensor:
    """Return `x` in the memory format that convolutions like: channels-last where it has two spatial axes."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x.contiguous()


class FloatProgram:
    """Runs the units of a placement one by one.

    Parameters
    ----------
    graph : Graph
    placement : Placement
        Of exactly this graph; only its units and canonical names are used.
    dtype : torch.dtype
        Of weights: float32, or float64 for a reference.

    Attributes
    ----------
    units : tuple of Unit
        Topological order.
    """

    def __init__(self, graph: Graph, placement: Placement, dtype: torch.dtype = torch.float32) -> None:
        self.graph, self.placement, self.dtype = graph, placement, dtype
        self.units = placement.units
        self._bytes: dict[tuple[str, int], int] = {}
        self._weights: dict[str, tuple[Tensor, Tensor | None]] = {}
        for unit in self.units:
            if self._is_weighted(unit):
                self._weights[unit.name] = self._folded(unit)

    def bytes_of(self, value: str, batch: int) -> int:
        """Return the size of `value` as float32."""
        key = value, batch
        if key not in self._bytes:
            self._bytes[key] = 4 * math.prod(self.graph.shape(value, batch))
        return self._bytes[key]

    def readers(self) -> dict[str, int]:
        """Return how many units read each value."""
        found: dict[str, int] = {}
        for unit in self.units:
            for value in dict.fromkeys(unit.inputs):
                found[value] = found.get(value, 0) + 1
        return found

    def weight(self, unit: Unit) -> Tensor:
        """Return the folded float weight of `unit`."""
        return self._weights[unit.name][0]

    def run(
        self,
        unit: Unit,
        operands: Mapping[str, Tensor],
        batch: int,
        *,
        weight: Tensor | None = None,
        finish: Callable[[Tensor], Tensor] | None = None,
        gradients: bool = False,
    ) -> tuple[Tensor, ...]:
        """Return the outputs of `unit`.

        Parameters
        ----------
        unit : Unit
        operands : Mapping of str to Tensor
            Canonical inputs; never changed.
        batch : int
        weight : Tensor, optional
            Instead of the float one, where the unit has a weight.
        finish : callable, optional
            Adds the residual, in place of ``operands[unit.residual]``, to the result of the convolution.
        gradients : bool
            Keep the history for a backward pass to the operands.
        """
        with torch.set_grad_enabled(gradients):
            if unit.name not in self._weights:
                return self._run_members(unit, operands, batch, gradients)
            node = self.graph.nodes[unit.anchor]
            own, bias = self._weights[unit.name]
            x = operands[unit.inputs[0]]
            used = own if weight is None else weight
            if (
                finish is None
                and unit.residual is None
                and not gradients
                and (fused := self._pointwise(unit, x, used, bias)) is not None
            ):
                return (fused,)
            if node.op == "Gemm":
                y = torch.nn.functional.linear(x, used, bias)
            else:
                y = WINDOWS[node.op](node.attrs, x, used, bias)
            if finish is not None:
                y = finish(y)
            elif unit.residual is not None:
                y += operands[unit.residual]
            return (self.activate(unit, y),)

    def _pointwise(self, unit: Unit, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """Return a 1x1 convolution and its clamp in one pass of oneDNN, twice as fast as both; None where it cannot."""
        node = self.graph.nodes[unit.anchor]
        plain = node.op == "Conv" and x.dim() == 4 and set(weight.shape[2:]) == {1} and node.attrs["group"] == 1
        if not plain or not _ONEDNN or x.dtype != torch.float32 or any(node.attrs["pads"]):
            return None
        clamp = self._clamp(unit)
        if clamp is None:
            return None
        ones = [1, 1]
        strides = list(node.attrs["strides"])
        made: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, bias, [0, 0], strides, ones, 1, *clamp, "")
        return made

    def _clamp(self, unit: Unit) -> tuple[str, list[float]] | None:
        if unit.activation is None:
            return "none", []
        node = self.graph.nodes[unit.activation]
        if node.op == "Relu":
            return "relu", []
        low, high = node.attrs.get("min"), node.attrs.get("max")
        return None if low is None or high is None else ("hardtanh", [float(low), float(high)])

    def activate(self, unit: Unit, y: Tensor) -> Tensor:
        """Apply the fused activation to `y` in place."""
        if unit.activation is None:
            return y
        node = self.graph.nodes[unit.activation]
        if node.op == "Relu":
            return y.relu_()
        low, high = node.attrs.get("min"), node.attrs.get("max")
        return y if low is None and high is None else y.clamp_(low, high)

    def reference(self, feeds: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        """Return every canonical value of the float model."""
        env = {name: arranged(feeds[name]) for name in feeds}
        for unit in self.units:
            made = self.run(unit, env, batch)
            env.update(zip(unit.outputs, made, strict=False))
        return env

    def _run_members(
        self, unit: Unit, operands: Mapping[str, Tensor], batch: int, gradients: bool
    ) -> tuple[Tensor, ...]:
        local = dict(operands)
        made: Sequence[Tensor] = ()
        for name in unit.members:
            node = self.graph.nodes[name]
            tensors = [self._operand(value, local) for value in node.inputs]
            made = run_node(self.graph, node, tensors, batch, gradients=gradients)
            local.update(zip(node.outputs, made, strict=False))
        return tuple(made)

    def _operand(self, value: str | None, local: Mapping[str, Tensor]) -> Tensor | None:
        if value is None:
            return None
        for name in (value, self.placement.canonical[value]):
            if name in local:
                return local[name]
        tensor = self.graph.tensor(value).detach()
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def _is_weighted(self, unit: Unit) -> bool:
        node = self.graph.nodes[unit.anchor]
        constants = [value for value in node.inputs[1:] if value is not None]
        return unit.op in ANCHORS and not any(self.graph.is_activation(value) for value in constants)

    def _folded(self, unit: Unit) -> tuple[Tensor, Tensor | None]:
        members = tuple(m for m in (unit.anchor, unit.bn) if m is not None)
        group = FusedGroup(unit.name, unit.anchor, unit.bn, None, None, None, members, members[-1])
        weight, bias = folded_weight_bias(self.graph, group)
        made = arranged(torch.from_numpy(weight)).to(self.dtype)
        return made, None if bias is None else torch.from_numpy(bias).to(self.dtype)


def follows_batch(graph: Graph, value: str) -> bool:
    """Tell whether the first axis of `value`, and no other, follows the batch."""
    shape = graph.values[value].shape
    return bool(shape) and isinstance(shape[0], Sym) and not any(isinstance(dim, Sym) for dim in shape[1:])
