"""Values of a trace that do not depend on the model's inputs, computed on real tensors.

A value is constant if everything it is made from is a parameter, a buffer or a literal, no size in it follows the
batch and nothing random takes part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qworkbench.graph.structure import Slot, fill, has_sym, leaves, slots
from qworkbench.graph.torch_frontend.functions import RANDOM
from qworkbench.graph.torch_frontend.trace import Call, Trace


class Constants:
    """Evaluates constant values of `trace` on demand and keeps them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._known: dict[int, Tensor] = {}
        self.producer: dict[int, Call] = {}
        self._constant: dict[int, bool] = {}
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
