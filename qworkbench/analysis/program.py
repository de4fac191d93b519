"""The float model in the units of a placement, fast enough to be run hundreds of times.

Batch normalisation is folded into the weights, convolutions run channels-last, residual and activation are applied in
place on the unit's own result. Values are canonical; results agree with the plain graph up to the rounding of float32.
Any weight may be replaced for one call. Knows nothing of codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from qworkbench.analysis import onednn
from qworkbench.analysis.quantizers import flops_of
from qworkbench.analysis.winograd import Rooms, Winograd, fits
from qworkbench.graph.execute import run_node
from qworkbench.graph.float_windows import WINDOWS
from qworkbench.graph.folding import folded_weight_bias
from qworkbench.graph.fusion import ANCHORS, FusedGroup
from qworkbench.graph.ir import Graph
from qworkbench.placement.types import Placement, Unit

if TYPE_CHECKING:
    from qworkbench.analysis.segments import Segment

WORTH_PREPARING = 24  # images, for which a weight is transformed
MOST_TRANSFORMED = 256 * 1024**2  # bytes of transformed weights


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
    segments, peaks
        What sweeps found out about these units, kept for the next sweep.
    """

    def __init__(self, graph: Graph, placement: Placement, dtype: torch.dtype = torch.float32) -> None:
        self.graph, self.placement, self.dtype = graph, placement, dtype
        self.units = placement.units
        self.segments: dict[frozenset[str], tuple[Segment, ...]] = {}
        self.peaks: dict[tuple[object, ...], int] = {}
        self._bytes: dict[tuple[str, int], int] = {}
        self._weights: dict[str, tuple[Tensor, Tensor | None]] = {}
        self._laid_out: dict[str, Tensor] = {}
        self._changes: dict[str, Winograd | None] = {}
        self._fused: dict[str, onednn.Clamp | None] = {}  # units that oneDNN convolves, with their activation
        for unit in self.units:
            if self._is_weighted(unit):
                self._weights[unit.name] = weight, _ = self._folded(unit)
                node = self.graph.nodes[unit.anchor]
                if node.op == "Conv" and onednn.takes(node.attrs, weight):
                    self._fused[unit.name] = self._clamp(unit)

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

    @cached_property
    def flops(self) -> dict[str, int]:
        """Arithmetic of every unit on one sample, by name."""
        return {unit.name: flops_of(self.graph, unit, 1) for unit in self.units}

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
        with nullcontext() if torch.is_grad_enabled() == gradients else torch.set_grad_enabled(gradients):
            if unit.name not in self._weights:
                return self._run_members(unit, operands, batch, gradients)
            own = self._weights[unit.name][0]
            x = operands[unit.inputs[0]]
            clamp = self._fused.get(unit.name)
            if finish is None and unit.residual is None and not gradients and clamp is not None:
                return (self._convolved(unit, x, weight, clamp),)
            y = self._history(unit, x, own if weight is None else weight) if gradients else self.linear(unit, x, weight)
            if finish is not None:
                y = finish(y)
            elif unit.residual is not None:
                y += operands[unit.residual]
            return (self.activate(unit, y),)

    def linear(self, unit: Unit, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the convolution of `unit` with its bias, before residual and activation."""
        return self._convolved(unit, x, weight, onednn.NO_CLAMP)

    def change(self, unit: Unit, batch: int) -> Winograd | None:
        """Return what convolves changes of the input of `unit` faster than a whole input, for `batch` images."""
        if unit.name not in self._fused:
            return None
        height, width = self.graph.shape(unit.outputs[0], 1)[2:]
        if not Winograd.pays(batch, height, width) or (unit.name not in self._changes and batch < WORTH_PREPARING):
            return None
        if unit.name not in self._changes:
            node, weight = self.graph.nodes[unit.anchor], self.weight(unit)
            held = sum(change.nbytes for change in self._changes.values() if change is not None)
            takes = fits(weight, node.attrs) and held + 4 * weight.nbytes <= MOST_TRANSFORMED
            self._changes[unit.name] = Winograd(weight, node.attrs["pads"][:2]) if takes else None
        return self._changes[unit.name]

    def changed(
        self, unit: Unit, winograd: Winograd, x: Tensor, plain_x: Tensor, plain_y: Tensor, rows: np.ndarray,
        finish: Callable[[Tensor], Tensor] | None, rooms: Rooms,
    ) -> Tensor:  # fmt: skip
        """Return what :meth:`run` would for `x`, from the :meth:`linear` result `plain_y` of `plain_x`."""
        if finish is not None:
            return self.activate(unit, finish(winograd.apply(x, plain_x, plain_y, rows, rooms=rooms)))
        low, high = self._bounds(unit)
        return winograd.apply(x, plain_x, plain_y, rows, low, high, rooms)

    def _convolved(self, unit: Unit, x: Tensor, weight: Tensor | None, clamp: onednn.Clamp) -> Tensor:
        own, bias = self._weights[unit.name]
        if unit.name not in self._fused or x.dtype != torch.float32:
            return self._history(unit, x, own if weight is None else weight)
        attrs = self.graph.nodes[unit.anchor].attrs
        if weight is None:
            if unit.name not in self._laid_out:
                self._laid_out[unit.name] = onednn.laid_out(attrs, own, list(x.shape))
            weight = self._laid_out[unit.name]
        return onednn.convolution(attrs, x, weight, bias, clamp)

    def _history(self, unit: Unit, x: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution by torch, whose history a backward pass can follow."""
        node, bias = self.graph.nodes[unit.anchor], self._weights[unit.name][1]
        if node.op == "Gemm":
            return torch.nn.functional.linear(x, weight, bias)
        return WINDOWS[node.op](node.attrs, x, weight, bias)

    def _clamp(self, unit: Unit) -> onednn.Clamp | None:
        if unit.activation is None:
            return onednn.NO_CLAMP
        if self.graph.nodes[unit.activation].op == "Relu":
            return "relu", []
        low, high = self._bounds(unit)
        return None if math.inf in (-low, high) else ("hardtanh", [low, high])

    def _bounds(self, unit: Unit) -> tuple[float, float]:
        if unit.activation is None:
            return -math.inf, math.inf
        node = self.graph.nodes[unit.activation]
        if node.op == "Relu":
            return 0.0, math.inf
        low, high = node.attrs.get("min"), node.attrs.get("max")
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)

    def activate(self, unit: Unit, y: Tensor) -> Tensor:
        """Apply the fused activation to `y` in place."""
        if unit.activation is None:
            return y
        if self.graph.nodes[unit.activation].op == "Relu":
            return y.relu_()
        low, high = self._bounds(unit)
        return y if (low, high) == (-math.inf, math.inf) else y.clamp_(low, high)

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
