"""Float values that sweeps over the same samples share: kept whole per chunk of samples, under a bound of bytes.

With them a sweep of one op starts in the middle of the network: nothing before the op, and no float value behind it,
is computed again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from torch import Tensor

from qworkbench.analysis.program import FloatProgram
from qworkbench.graph.freshness import WeightWatch
from qworkbench.graph.ir import Graph
from qworkbench.placement.types import Placement


@dataclass
class References:
    """The last float program, and every value of it for the chunks that fit.

    Attributes
    ----------
    kept : OrderedDict of bytes to Mapping of str to Tensor
        Digest of the samples -> value -> tensor; the least recently used goes first.
    """

    kept: OrderedDict[bytes, dict[str, Tensor]] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)
    _program: FloatProgram | None = None
    _weights: WeightWatch | None = None

    def program(self, graph: Graph, placement: Placement) -> FloatProgram:
        """Return the float program of `graph`, the last one where neither units nor weights changed."""
        with self.lock:
            held, weights = self._program, self._weights
            if held is not None and held.graph is graph and weights is not None and not weights.written():
                if held.placement is placement:
                    return held
                if held.units == placement.units and held.placement.canonical == placement.canonical:
                    return held
            self.kept.clear()
            self._program, self._weights = FloatProgram(graph, placement), WeightWatch(graph)
            return self._program

    def get(self, key: bytes) -> Mapping[str, Tensor] | None:
        """Return every value on the samples `key`, if they are kept."""
        with self.lock:
            found = self.kept.get(key)
            if found is not None:
                self.kept.move_to_end(key)
            return found

    def put(self, key: bytes, values: dict[str, Tensor], budget: int) -> None:
        """Keep `values` where all that is kept stays within `budget` bytes; values never push out others."""
        size = sum(tensor.nbytes for tensor in values.values())
        with self.lock:
            if key not in self.kept and self.nbytes + size <= budget:
                self.kept[key] = values

    def shrink(self, budget: int) -> None:
        """Drop what does not fit `budget` bytes, the least recently used first."""
        with self.lock:
            while self.kept and self.nbytes > budget:
                self.kept.popitem(last=False)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(tensor.nbytes for values in self.kept.values() for tensor in values.values())
