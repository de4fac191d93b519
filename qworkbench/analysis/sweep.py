"""What a sweep over quantizers needs: how much memory, in which groups, how many samples at once.

With exactly one quantizer on, everything before it equals float, so the float prefix is computed once and each
quantizer costs its downstream cone only. Memory is bounded: where not all fit, quantizers are swept in groups.
:mod:`qworkbench.analysis.sweeping` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from qworkbench.analysis.comparable import Target
from qworkbench.analysis.distances import Distance, Metric
from qworkbench.analysis.packets import PACKET_BYTES
from qworkbench.analysis.program import FloatProgram
from qworkbench.analysis.quantizers import Quantizer
from qworkbench.analysis.segments import Segment, segments_of
from qworkbench.errors import AnalysisError

DEFAULT_BUDGET = 512 * 1024**2
PEAKS = 1000
EVEN = 16  # items of a packet, where more fit: rows of a matrix product come in such numbers
SAMPLES = 8  # that go together at least, where memory allows: weights are laid out, and looked at, once for all

Effects = dict[int, dict[str, Distance]]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What to sweep over.

    Attributes
    ----------
    program : FloatProgram
    targets : tuple of Target
        What is compared.
    quantizers : tuple of Quantizer
    metrics : tuple of Metric
    stacked : bool
        Whether variants may share a batch; see :func:`~qworkbench.analysis.stacking.can_stack`.
    budget : int
        Bytes for activations of reference and variants.
    """

    program: FloatProgram
    targets: tuple[Target, ...]
    quantizers: tuple[Quantizer, ...]
    metrics: tuple[Metric, ...]
    stacked: bool = True
    budget: int = DEFAULT_BUDGET
    _groups: list[tuple[int, ...]] = field(default_factory=list, init=False, repr=False)
    _segments: list[Segment] = field(default_factory=list, init=False, repr=False)

    # -- travelling
    def without_program(self) -> Sweep:
        """Return the sweep without its program, to be pickled."""
        return replace(self, program=None)  # type: ignore[arg-type]  # the worker puts one in before any use

    def with_program(self, program: FloatProgram) -> Sweep:
        """Return the sweep over `program`."""
        return replace(self, program=program)

    # -- structure
    def watched(self) -> dict[str, list[Target]]:
        """Return the targets by canonical value."""
        found: dict[str, list[Target]] = {}
        for target in self.targets:
            found.setdefault(self.program.placement.canonical[target.value], []).append(target)
        return found

    def segments(self) -> list[Segment]:
        """Return the units in segments."""
        if not self._segments:
            self._segments.extend(segments_of(self.program, self.watched()))
        return self._segments

    def starts(self, chosen: Sequence[int]) -> dict[str, list[int]]:
        """Return the quantizers `chosen` by the value where they act."""
        found: dict[str, list[int]] = {}
        for index in chosen:
            found.setdefault(self.quantizers[index].value, []).append(index)
        return found

    # -- memory
    def bytes_of(self, value: str) -> int:
        """Return the size of `value` for one sample."""
        return self.program.bytes_of(value, 1 if self.stacked else self.program.graph.batch)

    def bytes_of_all(self) -> int:
        """Return the size of all values together for one sample."""
        return sum(self.bytes_of(value) for unit in self.program.units for value in unit.outputs)

    def peak(self, chosen: Sequence[int]) -> int:
        """Return the largest number of bytes that a sweep over `chosen` quantizers holds at once, per sample.

        Reference and variants of what lives between segments, and inside a segment the reference, the variants that
        begin there, and one that passes through.
        """
        places = tuple(self.quantizers[index].value for index in chosen)
        key = (self.stacked, *(target.value for target in self.targets), None, *places)
        if key not in self.program.peaks:
            if len(self.program.peaks) > PEAKS:
                self.program.peaks.clear()
            self.program.peaks[key] = self._peak(chosen)
        return self.program.peaks[key]

    def _peak(self, chosen: Sequence[int]) -> int:
        starts = self.starts(chosen)
        ids = {name: frozenset(starts.get(name, ())) for name in self.program.graph.inputs}
        now = top = sum((1 + len(found)) * self.bytes_of(name) for name, found in ids.items())
        for segment in self.segments():
            begun: frozenset[int] = frozenset()
            for unit in segment.units:
                reach = frozenset().union(*(ids.get(v, frozenset()) for v in unit.inputs))
                for value in unit.outputs:
                    begun |= frozenset(starts.get(value, ()))
                    ids[value] = reach | frozenset(starts.get(value, ()))
            inside = sum((2 + len(ids[value] & begun)) * self.bytes_of(value) for value in segment.inner)
            leaving = sum(len(ids[value] - begun) * self.bytes_of(value) for value in segment.leaving)
            top = max(top, now + inside + leaving)
            now += sum((1 + len(ids[value])) * self.bytes_of(value) for value in segment.inner)
            now -= sum((1 + len(ids.pop(value, ()))) * self.bytes_of(value) for value in segment.dead if value in ids)
        return top

    def groups(self) -> list[tuple[int, ...]]:
        """Return the quantizers in as few groups as the budget allows, in topological order.

        Raises
        ------
        AnalysisError
            When not even one quantizer fits.
        """
        if self._groups:
            return self._groups
        waiting = [tuple(range(len(self.quantizers)))]
        found: list[tuple[int, ...]] = []
        while waiting:
            group = waiting.pop(0)
            need = self.peak(group)
            if need <= self.budget:
                found.append(group)
            elif len(group) <= 1:
                raise AnalysisError(
                    f"a memory budget of {self.budget / 2**20:.3g} MB is too small for this model; one sample with one "
                    f"quantizer on needs {need / 2**20:.3g} MB"
                )
            else:
                half = len(group) // 2
                waiting[:0] = [group[:half], group[half:]]
        self._groups.extend(group for group in found if group)
        return self._groups

    def samples_at_once(self) -> tuple[int, int]:
        """Return how many samples make a block, as many as fit the cache, and how many go through together."""
        room = (self.budget - self.budget // 8) // max((self.peak(group) for group in self.groups()), default=1)
        largest = max(self.bytes_of(value) for unit in self.program.units for value in unit.outputs)
        block = max(1, min(PACKET_BYTES // max(largest, 1), room))
        return block, block * max(1, min(-(-SAMPLES // block), room // block))

    def packet(self, segment: Segment, block: int) -> int:
        """Return how many items of `block` samples go through `segment` together."""
        if not self.stacked:
            return 1
        largest = block * max((self.bytes_of(value) for value in segment.inner), default=1)
        many = max(1, min(PACKET_BYTES, self.budget // 8) // max(largest, 1))
        return many if many < 2 * EVEN else many // EVEN * EVEN

    # -- running
    def run(
        self,
        feeds: Mapping[str, Tensor],
        group: Sequence[int],
        *,
        block: int = 0,
        kept: Mapping[str, Tensor] | None = None,
        keep: dict[str, Tensor] | None = None,
        tick: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Effects:
        """Return, per quantizer of `group` and target, the distance from float on `feeds`.

        Parameters
        ----------
        feeds : Mapping of str to Tensor
        group : sequence of int
        block : int
            Samples that stay together; 0 for all.
        kept : Mapping of str to Tensor, optional
            Every float value on `feeds`; units that no quantizer of `group` reaches are then passed over.
        keep : dict of str to Tensor, optional
            Receives every float value.
        tick : callable, optional
            Called with the name of each unit.
        cancelled : callable

        Raises
        ------
        Cancelled
        """
        from qworkbench.analysis.sweeping import Sweeping

        return Sweeping(self, feeds, group, block, kept, keep).run(tick, cancelled)
