"""The float model with a choice of its quantizers on, and how far its outputs are then from float.

What debugging by regions measures with; which choices are worth a try is :mod:`.partial`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from qworkbench.analysis.comparable import targets_of
from qworkbench.analysis.distances import Distance, Function, Metric, metric_of
from qworkbench.analysis.program import FloatProgram, arranged
from qworkbench.analysis.quantizers import Quantizer, quantizers_of
from qworkbench.errors import AnalysisError, unknown_name

if TYPE_CHECKING:
    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.numerics.arithmetic import Rounding
    from qworkbench.placement.types import Placement


class FakeQuantized:
    """The float model with a choice of quantizers on.

    Parameters
    ----------
    graph, placement, plan
        Of one configuration.
    feeds : Mapping of str to Tensor
    metric : str or callable
        Distance from float that counts, of the worst output.
    rounding : str
        Of activations.
    """

    def __init__(
        self,
        graph: Graph,
        placement: Placement,
        plan: Plan,
        feeds: Mapping[str, Tensor],
        metric: str | Function = "COSINE",
        rounding: Rounding = "half_even",
    ) -> None:
        self.program = FloatProgram(graph, placement)
        self.quantizers = quantizers_of(graph, placement, plan, rounding)
        if not self.quantizers:
            raise AnalysisError("nothing is quantized, since every op runs on the CPU; send some to the BPU first")
        self.metric: Metric = metric_of(metric)
        self.placement = placement
        self.feeds = {name: arranged(tensor) for name, tensor in feeds.items()}
        self.targets = targets_of(graph)
        self.batch = next(iter(feeds.values())).shape[0] if feeds else graph.batch
        self._reference = self._outputs(frozenset())

    def region(self, patterns: Sequence[str]) -> frozenset[int]:
        """Return the quantizers of the ops that match a pattern (``"layer1.*"``), whole fused ops included.

        Raises
        ------
        UnknownNameError
            When a pattern matches no op.
        """
        found: set[int] = set()
        names = [self._names(quantizer) for quantizer in self.quantizers]
        for pattern in patterns:
            hit = {i for i, own in enumerate(names) if any(fnmatchcase(name, pattern) for name in own)}
            if not hit:
                raise unknown_name("quantized op matches", pattern, [q.name for q in self.quantizers])
            found |= hit
        return frozenset(found)

    def distances(self, off: Collection[int]) -> dict[str, float]:
        """Return the distance from float per output with every quantizer on but `off`."""
        on = frozenset(range(len(self.quantizers))) - frozenset(off)
        made = self._outputs(on)
        found = {}
        for target in self.targets:
            distance = Distance()
            distance.add(self._reference[target.name].numpy(), made[target.name].numpy(), [self.metric])
            found[target.name] = distance.value(self.metric)
        return found

    def worst(self, off: Collection[int]) -> float:
        """Return the distance of the worst output."""
        return max(self.distances(off).values(), key=self.metric.badness)

    def _names(self, quantizer: Quantizer) -> tuple[str, ...]:
        if quantizer.unit is None:
            return (quantizer.name, quantizer.value)
        unit = self.placement.unit_of(quantizer.name) if quantizer.name in self.placement.nodes else None
        return (quantizer.name,) if unit is None else (quantizer.name, unit.name, *unit.members)

    def _outputs(self, on: Collection[int]) -> dict[str, Tensor]:
        acts: dict[str, Quantizer] = {}
        weights: dict[str, Quantizer] = {}
        for index in on:
            quantizer = self.quantizers[index]
            if quantizer.kind == "weight":
                weights[str(quantizer.unit)] = quantizer
            else:
                acts[quantizer.value] = quantizer
        left = self.program.readers()
        wanted = {self.placement.canonical[t.value] for t in self.targets}
        env: dict[str, Tensor] = {}
        for name, tensor in self.feeds.items():
            env[name] = acts[name].apply(tensor) if name in acts else tensor
        for unit in self.program.units:
            weight = None
            if unit.name in weights:
                weight = arranged(torch.from_numpy(weights[unit.name].weight())).to(self.program.dtype)
            made = self.program.run(unit, env, self.batch, weight=weight)
            for value, tensor in zip(unit.outputs, made, strict=False):
                env[value] = acts[value].apply(tensor) if value in acts else tensor
            for value in dict.fromkeys(unit.inputs):
                left[value] -= 1
                if not left[value] and value not in wanted:
                    env.pop(value, None)
        return {t.name: env[self.placement.canonical[t.value]].contiguous() for t in self.targets}
