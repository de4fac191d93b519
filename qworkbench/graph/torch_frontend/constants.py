"""Values of a trace that do not depend on the model's inputs, computed on real tensors.

A value is constant if everything it is made from is a parameter, a buffer or a literal, no size in it follows the
batch and nothing random takes part. It is generated if sizes in it follow the batch, it is made by functions from
literals and constants alone, and every batch element holds the same: a mask of ones, positions counted from it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qworkbench.graph.node import Sym
from qworkbench.graph.structure import Slot, fill, has_sym, leaves, slots
from qworkbench.graph.torch_frontend.batch import FIRST, SECOND
from qworkbench.graph.torch_frontend.functions import RANDOM
from qworkbench.graph.torch_frontend.trace import Call, Trace


class Constants:
    """Evaluates constant values of `trace` on demand and keeps them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._known: dict[int, Tensor] = {}
        self.producer: dict[int, Call] = {}
        self._constant: dict[int, bool] = {}
        self._made: dict[tuple[int, int], Tensor] = {}
        for index, value in enumerate(trace.values):
            self._constant[index] = value.tensor is not None
        for call in trace.calls:
            made = slots(call.result)
            reads = slots((call.args, call.kwargs))
            free = call.fn in RANDOM or has_sym((call.args, call.kwargs))
            constant = not free and not call.depends and all(self._constant[i] for i in reads)
            for index in made:
                self.producer[index] = call
                self._constant[index] = constant
        self._generated = self._find_generated()
        if not all(self._repeats(index) for index in self._read_outside()):
            self._generated.clear()

    def _find_generated(self) -> set[int]:
        found: set[int] = set()
        for call in self._trace.calls:
            made, reads = slots(call.result), slots((call.args, call.kwargs))
            free = call.fn in RANDOM or call.depends or call.module is not None or call.opaque
            known = all(self._constant[i] or i in found for i in reads)
            if made and not free and known and not self.is_constant_call(call):
                found.update(made)
        return found

    def _read_outside(self) -> set[int]:
        """Return the generated values that something else reads."""
        reads = set(slots(self._trace.result))
        for call in self._trace.calls:
            if not self.is_generated_call(call):
                reads.update(slots((call.args, call.kwargs)))
        return reads & self._generated

    def _repeats(self, slot: int) -> bool:
        try:
            once = self.once(slot)
            return all(torch.equal(once.expand_as(t), t) for t in (self._at(slot, b) for b in (FIRST, SECOND)))
        except Exception:  # noqa: BLE001 -- what cannot be computed ahead stays a call
            return False

    def is_generated(self, slot: int) -> bool:
        """Tell whether the value `slot` is one content repeated along the batch."""
        return slot in self._generated

    def is_generated_call(self, call: Call) -> bool:
        """Tell whether `call` makes such values only."""
        made = slots(call.result)
        return bool(made) and all(i in self._generated for i in made)

    def once(self, slot: int) -> Tensor:
        """Return the content of the generated value `slot` for one batch element, axes kept."""
        shape = self._trace.values[slot].shape
        return self._at(slot, FIRST)[tuple(slice(0, 1) if isinstance(d, Sym) else slice(None) for d in shape)]

    def _at(self, slot: int, batch: int) -> Tensor:
        if self._constant[slot]:
            return self.tensor(slot)
        if (slot, batch) not in self._made:
            call = self.producer[slot]
            needed = {i: self._at(i, batch) for i in slots((call.args, call.kwargs))}
            with torch.no_grad():
                made = call.func(*fill(call.args, needed, batch), **fill(call.kwargs, needed, batch))
            for (_, leaf), (_, tensor) in zip(leaves(call.result), leaves(made), strict=True):
                if isinstance(leaf, Slot):
                    self._made[leaf.index, batch] = tensor.detach()
        return self._made[slot, batch]

    def is_constant(self, slot: int) -> bool:
        """Tell whether the value `slot` is constant."""
        return self._constant[slot]

    def is_constant_call(self, call: Call) -> bool:
        """Tell whether `call` makes constants only."""
        made = slots(call.result)
        return bool(made) and all(self._constant[i] for i in made)

    def tensor(self, slot: int) -> Tensor:
        """Return the content of the constant value `slot`."""
        value = self._trace.values[slot]
        if value.tensor is not None:
            return value.tensor.detach()
        if slot not in self._known:
            call = self.producer[slot]
            needed = {i: self.tensor(i) for i in slots((call.args, call.kwargs))}
            with torch.no_grad():
                made = call.func(*fill(call.args, needed, 0), **fill(call.kwargs, needed, 0))
            for (_, leaf), (_, tensor) in zip(leaves(call.result), leaves(made), strict=True):
                if isinstance(leaf, Slot):
                    self._known[leaf.index] = tensor.detach()
        return self._known[slot]
