"""Where handlers put the nodes of the graph: names, shapes of outputs, the bookkeeping of one conversion.

A handler reads slots and literals and calls :meth:`Builder.emit`. Shapes of helper nodes are found by running their
kernel on meta tensors at two batch sizes; the last node of a call takes the shape that was traced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from qworkbench.graph.execute import run_node
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable, Shape, Sym, Value, resolve
from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import Slot, leaves, map_leaves
from qworkbench.graph.torch_frontend.batch import FIRST, SECOND
from qworkbench.graph.torch_frontend.values import Made, Operand, Values, dtype_name


class Builder(Values):
    """Turns the calls of one trace into nodes and values."""

    # -- nodes ------------------------------------------------------------------------------------------------------
    def emit(
        self,
        op: str,
        inputs: Sequence[Operand],
        attrs: Mapping[str, Any] | None = None,
        *,
        sub: str | None = None,
        replay: Replay | None = None,
    ) -> Slot:
        """Add a node with one output; the node without `sub` carries the name of the call."""
        return self.emit_many(op, inputs, attrs, 1, sub=sub, replay=replay, single=True)[0]

    def emit_many(
        self,
        op: str,
        inputs: Sequence[Operand],
        attrs: Mapping[str, Any] | None,
        outputs: int,
        *,
        sub: str | None = None,
        replay: Replay | None = None,
        single: bool = False,
    ) -> tuple[Slot, ...]:
        """Add a node with `outputs` outputs, named ``name:0`` ... unless `single`."""
        call = self.call
        names = tuple(self._value_name(operand) for operand in inputs)
        name = self._unique(call.name if sub is None else f"{call.name}.{sub}")
        made = (name,) if single else tuple(f"{name}:{i}" for i in range(outputs))
        node = Node(
            name=name,
            op=op,
            inputs=names,
            outputs=made,
            attrs=dict(attrs or {}),
            module_path=call.module_path,
            module_class=type(call.module).__name__ if call.module is not None else None,
            call_index=call.call_index,
            scope=call.scope,
            source_op=call.source_op,
            location=call.location,
            parent=None if sub is None else call.name,
            call=replay,
        )
        self.nodes.append(node)
        slots = []
        for out in made:
            index = self._fresh()
            self._names.add(out)
            self._journal.append((index, out))
            self._made[index] = Made(out, None, None, name)
            slots.append(Slot(index))
        if sub is not None:
            self._infer(node, slots)
        else:
            self._unshaped[name] = slots
        return tuple(slots)

    def replay(self, op: str, attrs: Mapping[str, Any] | None = None) -> Any:
        """Add the current call as one node that repeats it; returns its result with slots of the new values."""
        call = self.call
        order: dict[int, int] = {}

        def position(leaf: Any) -> Any:
            if not isinstance(leaf, Slot):
                return leaf
            return Slot(order.setdefault(leaf.index, len(order)))

        args, kwargs = map_leaves(position, (call.args, call.kwargs))
        count = sum(isinstance(leaf, Slot) for _, leaf in leaves(call.result))
        run = Replay(call.func, args, kwargs, self.batch)
        single = isinstance(call.result, Slot)
        made = iter(self.emit_many(op, [Slot(i) for i in order], attrs, count, replay=run, single=single))
        return map_leaves(lambda leaf: next(made) if isinstance(leaf, Slot) else leaf, call.result)

    def _infer(self, node: Node, slots: Sequence[Slot]) -> None:
        """Set shapes and dtypes of the outputs of `node` by running it on meta tensors."""
        shapes: list[list[tuple[int, ...]]] = []
        results: tuple[Tensor, ...] = ()
        graph = Graph(NodeTable(()), {}, (), (), ())
        for batch in (FIRST, SECOND) if self._symbolic else (self.batch,):
            tensors = [None if n is None else self._meta(n, batch) for n in node.inputs]
            results = run_node(graph, node, tensors, batch)
            shapes.append([tuple(r.shape) for r in results])
        for i, slot in enumerate(slots):
            dims = zip(*(found[i] for found in shapes), strict=True)
            shape = tuple(d[0] if d[0] == d[-1] else Sym(d[0] // FIRST) for d in dims)
            self._bind(slot, shape, results[i].dtype)

    def _meta(self, name: str, batch: int) -> Tensor:
        value = self.values[name]
        return torch.empty(resolve(value.shape, batch), dtype=getattr(torch, value.dtype), device="meta")

    def _bind(self, slot: Slot, shape: Shape, dtype: torch.dtype) -> None:
        made = self._made[slot.index]
        made.shape, made.dtype = shape, dtype
        self.values[made.name] = Value(made.name, "activation", shape, dtype_name(dtype), made.producer)

    # -- one call ---------------------------------------------------------------------------------------------------
    def mark(self) -> tuple[int, int]:
        """Return a point to go back to with :meth:`rewind`."""
        return len(self.nodes), len(self._journal)

    def rewind(self, mark: tuple[int, int]) -> None:
        """Forget everything made since `mark`."""
        for node in self.nodes[mark[0] :]:
            self._unshaped.pop(node.name, None)
        for index, name in self._journal[mark[1] :]:
            self._names.discard(name)
            self.values.pop(name, None)
            if index is not None:
                self._made.pop(index, None)
        del self.nodes[mark[0] :], self._journal[mark[1] :]

    def bind(self, result: Any) -> None:
        """Make the traced results of the current call stand for what its handler returned."""
        for (_, traced), (_, got) in zip(leaves(self.call.result), leaves(result), strict=True):
            if not isinstance(traced, Slot):
                continue
            entry = self.trace.values[traced.index]
            if not isinstance(got, Slot):
                raise TypeError(f"{self.call.name}: the handler returned {got!r} for a tensor")
            index = self._root(got)
            if index in self._made and self._made[index].shape is None:
                self._bind(Slot(index), entry.shape, entry.dtype)
            self._alias[traced.index] = index
        for name, made in self._unshaped.items():
            if any(self._made[slot.index].shape is None for slot in made):
                self._infer(next(n for n in reversed(self.nodes) if n.name == name), made)
        self._unshaped.clear()
