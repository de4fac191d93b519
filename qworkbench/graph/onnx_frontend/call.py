"""One node of the file, as the handler of its operator reads it and answers it.

Attributes, inputs and shapes in, nodes of the graph out; nothing here knows a single operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qworkbench.graph.node import Node
from qworkbench.graph.onnx_frontend.carried import FUNCTIONS
from qworkbench.graph.onnx_frontend.importer import Importer, ShapeError, Sizes, UnsupportedError
from qworkbench.graph.onnx_frontend.known import BatchMismatchError, Known, merged
from qworkbench.graph.onnx_frontend.naming import scope_of
from qworkbench.graph.onnx_frontend.tensors import as_tensor
from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import Slot

if TYPE_CHECKING:
    from onnx import NodeProto


class Call:
    """One node of the file, as a handler reads it.

    Parameters
    ----------
    importer : Importer
    proto : NodeProto
    opset : int
        Version of the node's domain.
    """

    def __init__(self, importer: Importer, proto: NodeProto, opset: int) -> None:
        from onnx import helper

        self.importer, self.proto, self.opset = importer, proto, opset
        self.op, self.name = proto.op_type, importer.names.of(proto)
        self._attrs = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        self._inputs = list(proto.input)

    # -- attributes
    def attr(self, name: str, default: Any = None) -> Any:
        """Return an attribute; bytes as text, lists as tuples."""
        value = self._attrs.get(name, default)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return tuple(value) if isinstance(value, list) else value

    # -- inputs
    def __len__(self) -> int:
        return len(self._inputs)

    def has(self, slot: int) -> bool:
        """Tell whether input `slot` is given."""
        return slot < len(self._inputs) and self._inputs[slot] != ""

    def is_known(self, slot: int) -> bool:
        """Tell whether the content of input `slot` is known and does not follow the batch."""
        return self.has(slot) and self._inputs[slot] in self.importer.known and self._known(slot).fixed

    def is_zero(self, slot: int) -> bool:
        """Tell whether the content of input `slot` is known and zero at every batch."""
        found = self.importer.known.get(self._inputs[slot]) if self.has(slot) else None
        return found is not None and not any(np.any(array) for array in found.arrays)

    def x(self, slot: int) -> str:
        """Return the graph value of input `slot`."""
        if not self.has(slot):
            raise UnsupportedError(f"{self.op} without input {slot}")
        return self.importer.value(self._inputs[slot])

    def optional(self, slot: int) -> str | None:
        """Return the graph value of input `slot`, None where it is absent."""
        return self.x(slot) if self.has(slot) else None

    def _known(self, slot: int) -> Known:
        name = self._inputs[slot] if self.has(slot) else ""
        if name not in self.importer.known:
            raise UnsupportedError(f"input {slot} of {self.op} is computed from the model's input")
        return self.importer.known[name]

    def content(self, slot: int) -> np.ndarray:
        """Return the content of input `slot`.

        Raises
        ------
        UnsupportedError
            When it is computed from the model's input.
        BatchMismatchError
            When it follows the batch.
        """
        found = self._known(slot)
        if not found.fixed:
            raise BatchMismatchError(f"input {slot} of {self.name!r} follows the batch")
        return found.arrays[0]

    def number(self, slot: int) -> float | None:
        """Return the content of a scalar input; None where it is absent or empty."""
        if not self.has(slot):
            return None
        array = self.content(slot)
        return float(array.reshape(-1)[0]) if array.size else None

    def rows(self, slot: int) -> list[tuple[int, ...]]:
        """Return the integers of input `slot`, once per batch of the import."""
        found = self._known(slot)
        return [tuple(int(v) for v in found.at(i).reshape(-1)) for i in range(len(self.importer.batches))]

    def fixed_ints(self, slot: int, attribute: str | None = None) -> tuple[int, ...] | None:
        """Return integers that older opsets keep in `attribute` and newer ones in input `slot`; None if absent."""
        if attribute is not None and attribute in self._attrs:
            value = self.attr(attribute)
            return (value,) if isinstance(value, int) else tuple(int(v) for v in value)
        return tuple(int(v) for v in self.content(slot).reshape(-1)) if self.has(slot) else None

    # -- shapes
    def sizes(self, slot: int) -> Sizes:
        """Return the shape of input `slot` at each batch."""
        name = self._inputs[slot]
        if name in self.importer.known:
            found = self.importer.known[name]
            return tuple(found.at(i).shape for i in range(len(self.importer.batches)))
        return self.importer.sizes(self.importer.value_of[name])

    def rank(self, slot: int = 0) -> int:
        """Return the number of axes of input `slot`."""
        return len(self.sizes(slot)[0])

    def dim(self, slot: int, axis: int) -> int:
        """Return a size that must not follow the batch."""
        found = merged([s[axis] for s in self.sizes(slot)])
        if not isinstance(found, int):
            raise UnsupportedError(f"axis {axis} of {self.op} follows the batch")
        return found

    def dtype(self, slot: int = 0) -> torch.dtype:
        """Return the dtype of input `slot`."""
        name = self._inputs[slot]
        if name in self.importer.known:
            return as_tensor(self.importer.known[name].at(0).reshape(-1)[:0]).dtype
        return self.importer.dtype(self.importer.value_of[name])

    def axis(self, axis: int, rank: int | None = None) -> int:
        """Return `axis` counted from the front."""
        size = self.rank() if rank is None else rank
        if not -size <= axis < size:
            raise ShapeError(f"axis {axis} of a tensor of rank {size}")
        return axis % size if size else 0

    def stands(self, slot: int) -> bool:
        """Tell whether input `slot` holds real numbers that stand for quantized integers."""
        return self.has(slot) and self.importer.value_of.get(self._inputs[slot]) in self.importer.quantized

    def stored(self, slot: int, code: float) -> float:
        """Return the real number that `code` means in input `slot`, whose quantizer is looked up backwards."""
        value = self.importer.value_of[self._inputs[slot]]
        made = {out: node for node in self.importer.nodes for out in node.outputs}
        while value in made and made[value].op != "QuantizeLinear" and made[value].inputs[0] is not None:
            value = made[value].inputs[0] or ""
        attrs = made[value].attrs if value in made else {}
        if isinstance(attrs.get("scale"), float) and isinstance(attrs.get("zero_point"), int):
            return float((code - attrs["zero_point"]) * attrs["scale"])
        raise UnsupportedError("a quantized constant whose scale cannot be told")

    def used(self, slot: int) -> bool:
        """Tell whether anything reads output `slot`."""
        return slot < len(self.proto.output) and self.proto.output[slot] in self.importer.read

    # -- results
    def constant(self, array: Any, hint: str, stored: tuple[float, ...] | None = None) -> str:
        """Return a new constant of this node; `stored` are the scales of its codes in the file."""
        return self.importer.constant(array, f"{self.name}.{hint}", stored=stored)

    def emit(
        self,
        op: str,
        inputs: Sequence[str | None],
        attrs: Mapping[str, Any] | None = None,
        *,
        sub: str | None = None,
        call: Any = None,
    ) -> str:
        """Add a node with one output; without `sub` it carries the name of the file's node."""
        return self.emit_many(op, inputs, attrs, 1, sub=sub, call=call)[0]

    def emit_many(
        self,
        op: str,
        inputs: Sequence[str | None],
        attrs: Mapping[str, Any] | None,
        outputs: int,
        *,
        sub: str | None = None,
        call: Any = None,
        dynamic: bool = False,
    ) -> tuple[str, ...]:
        """Add a node with `outputs` outputs, named ``name:0`` ... if there are several."""
        name = self.name if sub is None else self.importer.names.fresh(f"{self.name}.{sub}")
        made = (name,) if outputs == 1 else tuple(f"{name}:{i}" for i in range(outputs))
        node = Node(
            name=name,
            op=op,
            inputs=tuple(inputs),
            outputs=made,
            attrs=dict(attrs or {}),
            scope=scope_of(self.proto),
            source_op=f"onnx:{self.op}",
            parent=None if sub is None else self.name,
            call=call,
        )
        return self.importer.add(node, dynamic=dynamic)

    def carry(
        self, op: str, function: str, inputs: Sequence[str], attrs: Mapping[str, Any], *args: Any, outputs: int = 1
    ) -> tuple[str, ...]:
        """Add a node `op` that a function of :mod:`qworkbench.graph.onnx_frontend.carried` runs."""
        slots = tuple(Slot(i) for i in range(len(inputs)))
        run = Replay(FUNCTIONS[function], (*slots, *args), {}, self.importer.batches[0])
        return self.emit_many(op, inputs, attrs, outputs, call=run)
