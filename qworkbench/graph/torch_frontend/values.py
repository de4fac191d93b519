"""Values of one conversion: what a slot of the trace stands for, its shape, its content, its name in the graph.

A value is declared when somebody first reads it, so that weights and constants which nothing reads leave no trace.
Knows nothing of operators; :class:`qworkbench.graph.torch_frontend.builder.Builder` adds the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.graph.node import Dim, Node, Shape, Sym, Value
from qworkbench.graph.repeated import ONCE
from qworkbench.graph.structure import Slot, leaves
from qworkbench.graph.torch_frontend.constants import Constants
from qworkbench.graph.torch_frontend.trace import Call, Trace

Operand = Slot | Sym | float | int | bool | None


class UnsupportedError(Exception):
    """The given form of the call has no operator of the vocabulary; it is carried through as it is."""


@dataclass(slots=True)
class Made:
    """A value made during conversion: its graph entry, or what it is known by until its shape is bound."""

    name: str
    shape: Shape | None
    dtype: torch.dtype | None
    producer: str | None = None


def dtype_name(dtype: torch.dtype | None) -> str:
    """Return the name of `dtype` without the prefix."""
    return str(dtype or torch.float32).removeprefix("torch.")


class Values:
    """What is known of every slot of one trace.

    Parameters
    ----------
    trace : Trace
    batch : int
        Batch size of the example.
    """

    def __init__(self, trace: Trace, batch: int) -> None:
        self.trace, self.batch = trace, batch
        self.constants = Constants(trace)
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self._made: dict[int, Made] = {}
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
        self._made[index] = Made(value.name, value.shape, dtype, value.producer)
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

    def name_of(self, slot: Slot) -> str:
        """Return the graph value that `slot` stands for."""
        name = self._value_name(slot)
        assert name is not None
        return name
