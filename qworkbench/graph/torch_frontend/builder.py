"""Where handlers put the nodes of the graph: names, shapes, constants, the bookkeeping of one conversion.

A handler reads slots and literals and calls :meth:`Builder.emit`. Shapes of helper nodes are found by running their
kernel on meta tensors at two batch sizes; the last node of a call takes the shape that was traced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.graph.execute import run_node
from qworkbench.graph.ir import Dim, Graph, Node, NodeTable, Shape, Sym, Value, resolve
from qworkbench.graph.repeated import ONCE
from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import Slot, leaves, map_leaves
from qworkbench.graph.torch_frontend.batch import FIRST, SECOND
from qworkbench.graph.torch_frontend.constants import Constants
from qworkbench.graph.torch_frontend.trace import Call, Trace

Operand = Slot | Sym | float | int | bool | None


class UnsupportedError(Exception):
    """The given form of the call has no operator of the vocabulary; it is carried through as it is."""


@dataclass(slots=True)
class _Made:
    """A value made during conversion: its graph entry, or what it is known by until its shape is bound."""

    name: str
    shape: Shape | None
    dtype: torch.dtype | None
    producer: str | None = None


def dtype_name(dtype: torch.dtype | None) -> str:
    """Return the name of `dtype` without the prefix."""
    return str(dtype or torch.float32).removeprefix("torch.")


class Builder:
    """Turns the calls of one trace into nodes and values.

    Parameters
    ----------
    trace : Trace
    batch : int
        Batch size of the example.
    reserved : collection of str
        Names that no node may take (the inputs').
    """

    def __init__(self, trace: Trace, batch: int) -> None:
        self.trace, self.batch = trace, batch
        self.constants = Constants(trace)
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self._made: dict[int, _Made] = {}
        self._alias: dict[int, int] = {}
        self._names: set[str] = set()
        self._journal: list[tuple[int | None, str]] = []
        self._unshaped: dict[str, list[Slot]] = {}
        self._next = len(trace.values)
        self._symbolic = any(isinstance(d, Sym) for i in trace.inputs for d in trace.values[i].shape)
        self.call: Call
        for index in trace.inputs:
            entry = trace.values[index]
            self._declare(index, Value(entry.name, "input", entry.shape, dtype_name(entry.dtype)))

    # -- reading ----------------------------------------------------------------------------------------------------
    def _root(self, slot: Slot) -> int:
        index = slot.index
        while index in self._alias:
            index = self._alias[index]
        return index

    def shape(self, slot: Slot) -> Shape:
        """Return the shape of `slot`, ``Sym`` where it follows the batch."""
        index = self._root(slot)
        if index in self._made:
            shape = self._made[index].shape
            assert shape is not None
            return shape
        return self.trace.values[index].shape

    def dtype(self, slot: Slot) -> torch.dtype:
        """Return the dtype of `slot`."""
        index = self._root(slot)
        if index in self._made:
            dtype = self._made[index].dtype
            assert dtype is not None
            return dtype
        return self.trace.values[index].dtype

    def rank(self, slot: Slot) -> int:
        """Return the number of axes of `slot`."""
        return len(self.shape(slot))

    def axis(self, slot: Slot, axis: int, *, extra: int = 0) -> int:
        """Return `axis` counted from the front, for a tensor with `extra` more axes than `slot`."""
        rank = self.rank(slot) + extra
        return axis + rank if axis < 0 else axis

    def axes(self, slot: Slot, axes: Any) -> tuple[int, ...]:
        """Return `axes` (int, sequence or None for all) sorted and counted from the front."""
        if axes is None or (isinstance(axes, (tuple, list)) and not axes):
            return tuple(range(self.rank(slot)))
        given = (axes,) if isinstance(axes, int) else axes
        return tuple(sorted(self.axis(slot, a) for a in given))

    def static(self, dim: Dim, what: str) -> int:
        """Return `dim` as a number, unsupported if it follows the batch."""
        if isinstance(dim, Sym):
            raise UnsupportedError(f"{what} follows the batch")
        return dim

    def result(self, i: int = 0) -> Shape:
        """Return the traced shape of the i-th tensor that the current call returns."""
        made = [leaf.index for _, leaf in leaves(self.call.result) if isinstance(leaf, Slot)]
        return self.trace.values[made[i]].shape

    def is_weight(self, slot: Any) -> bool:
        """Tell whether `slot` is a parameter, buffer or constant."""
        if not isinstance(slot, Slot):
            return False
        index = self._root(slot)
        if index in self._made:
            return self.values[self._made[index].name].kind not in ("input", "activation")
        return self.constants.is_constant(index)

    def content(self, slot: Slot) -> Tensor:
        """Return the content of a weight or constant."""
        return self.constants.tensor(self._root(slot))

    # -- values -----------------------------------------------------------------------------------------------------
    def _declare(self, index: int, value: Value) -> str:
        self.values[value.name] = value
        self._names.add(value.name)
        self._journal.append((index, value.name))
        dtype = getattr(torch, value.dtype)
        self._made[index] = _Made(value.name, value.shape, dtype, value.producer)
        return value.name

    def _unique(self, base: str) -> str:
        name, k = base, 0
        while name in self._names:
            k += 1
            name = f"{base}#{k}"
        self._names.add(name)
        self._journal.append((None, name))
        return name

    def _fresh(self) -> int:
        self._next += 1
        return self._next - 1

    def constant(self, tensor: Tensor, hint: str = "constant") -> Slot:
        """Return a new constant value, named after the current call."""
        index = self._fresh()
        name = self._unique(f"{self.call.name}.{hint}")
        self._declare(index, Value(name, "constant", tuple(tensor.shape), dtype_name(tensor.dtype), data=tensor))
        return Slot(index)

    def weight(self, name: str, *, rows: tuple[int, int] | None = None) -> Slot | None:
        """Return the parameter or buffer `name` of the current leaf module (dotted), None if the module has none."""
        module, path = self.call.module, self.call.module_path
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is None or module is None:
            return None
        ref = f"{path}.{name}"
        shown = ref if rows is None else f"{ref}[{rows[0]}:{rows[1]}]"
        index = self._fresh()
        shape = tuple(found.shape) if rows is None else (rows[1] - rows[0], *found.shape[1:])
        kind = "parameter" if isinstance(found, nn.Parameter) else "buffer"
        self._declare(index, Value(shown, kind, shape, dtype_name(found.dtype), ref=ref, rows=rows))  # type: ignore[arg-type]
        return Slot(index)

    def _value_name(self, operand: Operand) -> str | None:
        if operand is None:
            return None
        if not isinstance(operand, Slot):
            if isinstance(operand, Sym):
                raise UnsupportedError("a number that follows the batch")
            return self._value_name(self.constant(torch.tensor(operand), "scalar"))
        index = self._root(operand)
        if index in self._made:
            return self._made[index].name
        entry = self.trace.values[index]
        if entry.kind in ("parameter", "buffer"):
            return self._declare(
                index, Value(entry.name, entry.kind, entry.shape, dtype_name(entry.dtype), ref=entry.name)
            )
        if self.constants.is_generated(index):
            return self._repeated(index)
        if not self.constants.is_constant(index):
            raise AssertionError(f"value {index} is read before its call was converted")
        tensor = self.constants.tensor(index)
        producer = self.constants.producer.get(index)
        name = self._unique("_constant_0" if producer is None else producer.name)
        return self._declare(index, Value(name, "constant", tuple(tensor.shape), dtype_name(tensor.dtype), data=tensor))

    def _repeated(self, index: int) -> str:
        """Add the content of a generated value for one batch element, and the Expand that repeats it."""
        call, once = self.constants.producer[index], self.constants.once(index)
        shape, dtype = self.trace.values[index].shape, dtype_name(once.dtype)
        name = self._unique(call.name)
        source = self._unique(f"{name}{ONCE}")
        self._declare(self._fresh(), Value(source, "constant", tuple(once.shape), dtype, data=once))
        if not any(isinstance(dim, Sym) for dim in shape):
            self._alias[index] = next(i for i, made in self._made.items() if made.name == source)
            return source
        self.nodes.append(
            Node(
                name=name,
                op="Expand",
                inputs=(source,),
                outputs=(name,),
                attrs={"shape": shape},
                scope=call.scope,
                source_op=call.source_op,
                location=call.location,
            )
        )
        return self._declare(index, Value(name, "activation", shape, dtype, name))

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
            self._made[index] = _Made(out, None, None, name)
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

    def name_of(self, slot: Slot) -> str:
        """Return the graph value that `slot` stands for."""
        name = self._value_name(slot)
        assert name is not None
        return name
