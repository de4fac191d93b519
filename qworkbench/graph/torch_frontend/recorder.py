"""What a trace says: which tensor is which value, and the calls that made or wrote it.

Knows names, views and in-place writes through the ledger, but not how a call is noticed: that is :mod:`tracer`'s work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from qworkbench.graph.structure import Slot, leaves, map_leaves
from qworkbench.graph.torch_frontend.functions import RANDOM, same
from qworkbench.graph.torch_frontend.ledger import Ledger
from qworkbench.graph.torch_frontend.location import hidden, user_location
from qworkbench.graph.torch_frontend.naming import Namer
from qworkbench.graph.torch_frontend.taint import Taint
from qworkbench.graph.torch_frontend.trace import Call, Trace, TracedValue


def tensors_in(tree: Any) -> list[Tensor]:
    """Return the tensors at the leaves of `tree`."""
    return [leaf for _, leaf in leaves(tree) if isinstance(leaf, Tensor)]


class Recorder:
    """Writes one run of a model's ``forward`` into a :class:`Trace`.

    Parameters
    ----------
    root : nn.Module
    taint : Taint or None
        Dispatcher-level shadow of what depends on the inputs, for runs on real tensors.
    observe : callable, optional
        Called with the name of each call and its result, for comparisons.
    """

    def __init__(
        self, root: nn.Module, taint: Taint | None = None, observe: Callable[[str, Any], None] | None = None
    ) -> None:
        super().__init__()
        self.trace = Trace()
        self._root, self._taint, self._observe = root, taint, observe
        self._ledger = Ledger(self._emit_view)
        self._namer = Namer()
        self._scopes = [""]
        self._silent = 0
        self._inside_wrapped: list[str] | None = None
        self._calls: Counter[str] = Counter()
        self._method_of: tuple[nn.Module, str] | None = None
        self._weights: dict[int, tuple[str, Tensor]] = {}
        for name, tensor in [
            *root.named_parameters(remove_duplicate=False),
            *root.named_buffers(remove_duplicate=False),
        ]:
            self._weights.setdefault(id(tensor), (name, tensor))
        self._paths: dict[nn.Module, str] = {}
        for path, module in root.named_modules(remove_duplicate=False):
            self._paths.setdefault(module, path)

    # -- values -----------------------------------------------------------------------------------------------------
    def _value(self, value: TracedValue) -> int:
        self.trace.values.append(value)
        return len(self.trace.values) - 1

    def add_input(self, name: str, tensor: Tensor) -> int:
        """Declare `tensor` as the model input `name`."""
        slot = self._value(TracedValue("input", tuple(tensor.shape), tensor.dtype, name, depends=True))
        self._ledger.add(tensor, slot)
        self.trace.inputs.append(slot)
        return slot

    def slot_of(self, tensor: Tensor) -> int:
        """Return the value that `tensor` holds; parameters, buffers and constants are declared on first use."""
        known = self._ledger.find(tensor)
        if known is not None:
            return known
        shape = tuple(tensor.shape)
        if id(tensor) in self._weights:
            name, _ = self._weights[id(tensor)]
            kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
            slot = self._value(TracedValue(kind, shape, tensor.dtype, name, tensor))  # type: ignore[arg-type]
        elif isinstance(tensor, FakeTensor) or (self._taint is not None and self._taint.holds(tensor)):
            raise hidden(shape, user_location(), self._scopes[-1])
        else:
            slot = self._value(TracedValue("constant", shape, tensor.dtype, tensor=tensor.detach()))
        self._ledger.add(tensor, slot)
        return slot

    def template(self, tree: Any) -> Any:
        """Return `tree` with tensors replaced by slots of their values."""
        return map_leaves(lambda leaf: Slot(self.slot_of(leaf)) if isinstance(leaf, Tensor) else leaf, tree)

    def _depends(self, tree: Any) -> bool:
        return any(self.trace.values[self.slot_of(t)].depends for t in tensors_in(tree))

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Suspend writing."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    # -- calls ------------------------------------------------------------------------------------------------------
    def _note(self, call: Call) -> None:
        used = [leaf.index for _, leaf in leaves((call.args, call.kwargs)) if isinstance(leaf, Slot)]
        call.depends = any(self.trace.values[i].depends for i in used) or call.fn in RANDOM
        self.trace.calls.append(call)

    def _emit_view(self, call: Call, shaped_like: Tensor) -> int:
        call.name = self._namer.unique(call.name)
        self._note(call)
        slot = self._value(TracedValue("activation", tuple(shaped_like.shape), shaped_like.dtype, depends=call.depends))
        call.result = Slot(slot)
        return slot

    def _made(self, call: Call, result: Any, sources: list[Tensor]) -> Any:
        """Write `call` down with its `result`; returned-unchanged inputs become views of their own."""
        self._note(call)
        given = {id(t) for t in sources}

        def own(leaf: Any) -> Any:
            known = isinstance(leaf, Tensor) and (id(leaf) in given or self._ledger.find(leaf) is not None)
            return same(leaf) if known else leaf

        if any(id(t) in given or self._ledger.find(t) is not None for t in tensors_in(result)):
            result = map_leaves(own, result)
        items = list(result) if isinstance(result, (tuple, list)) else [result]
        for tensor in tensors_in(result):
            slot = self._value(TracedValue("activation", tuple(tensor.shape), tensor.dtype, depends=call.depends))
            self._ledger.add(tensor, slot)
        for i, item in enumerate(items):
            if isinstance(item, Tensor):
                self._ledger.link(item, sources, call, i if isinstance(result, (tuple, list)) else None)
        call.result = self.template(result)
        if self._observe is not None:
            self._observe(call.name, result)
        return result

    def _written(self, call: Call, target: Tensor) -> None:
        """Write down the in-place `call` that changed `target`."""
        self.slot_of(target)
        self._note(call)
        slot = self._value(TracedValue("activation", tuple(target.shape), target.dtype, depends=call.depends))
        call.result = Slot(slot)
        self._ledger.write(target, slot, call.name)
        if self._observe is not None:
            self._observe(call.name, target)

    def finish(self, result: Any) -> Trace:
        """Close the trace with what the model returned."""
        self.trace.result = self.template(result)
        self.trace.module_calls = dict(self._calls)
        return self.trace
