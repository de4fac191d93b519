"""The bookkeeping of one import: which tensor is known, which value stands for it, where nodes are added.

Shapes come from running each node's float kernel on meta tensors at every batch of the import (2 and 3, or one fixed
batch), or on zeros where it has no meta form. Operators are in :mod:`qworkbench.graph.onnx_frontend.handlers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from qworkbench.graph.execute import run_node
from qworkbench.graph.ir import Graph, Node, NodeTable, Value
from qworkbench.graph.onnx_frontend.carried import FUNCTIONS
from qworkbench.graph.onnx_frontend.known import BatchMismatchError, Known, merged, merged_all
from qworkbench.graph.onnx_frontend.naming import Names, scope_of
from qworkbench.graph.onnx_frontend.tensors import as_tensor
from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import Slot

if TYPE_CHECKING:
    from onnx import NodeProto

Sizes = tuple[tuple[int, ...], ...]
_NO_GRAPH = Graph(NodeTable(()), {}, (), (), ())


class UnsupportedError(Exception):
    """The given form of an operator is not in the vocabulary; it is carried through and run by onnx.reference."""


class ShapeError(Exception):
    """A node that cannot run on the shapes that reach it."""


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of `dtype` without the prefix."""
    return str(dtype).removeprefix("torch.")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two contents are equal; products of a batch may round in another order."""
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    finite = np.isfinite(a)
    size = float(np.abs(a[finite]).max(initial=0.0))
    close = np.abs(np.subtract(a, b, where=finite, out=np.zeros_like(a))) <= 1e-6 * size
    return bool(close.all()) and np.array_equal(a[~finite], b[~finite], equal_nan=True)


class Importer:
    """Values and nodes made so far.

    Parameters
    ----------
    names : Names
        Names that are taken: inputs, and the nodes of the file.
    batches : tuple of int
        (2, 3) while the batch is symbolic, else the one batch.
    read : frozenset of str
        The file's tensors that some node, or the model's caller, reads.
    """

    def __init__(self, names: Names, batches: tuple[int, ...], read: frozenset[str]) -> None:
        self.names, self.batches, self.read = names, batches, read
        self.known: dict[str, Known] = {}
        self.value_of: dict[str, str] = {}
        self.tensor_names: dict[str, str] = {}
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.dynamic: set[str] = set()
        self.quantized: set[str] = set()
        self._sizes: dict[str, Sizes] = {}
        self._dtypes: dict[str, torch.dtype] = {}
        self._proto: dict[str, NodeProto] = {}
        self.stored: dict[str, tuple[float, ...]] = {}

    # -- values
    def declare(self, value: Value, sizes: Sizes, tensor: str | None = None) -> str:
        """Add `value` with its sizes at each batch; `tensor` is what the file calls it."""
        self.values[value.name] = value
        self._sizes[value.name] = sizes
        self._dtypes[value.name] = getattr(torch, value.dtype)
        if tensor is not None:
            self.value_of[tensor] = value.name
            self.tensor_names[value.name] = tensor
        return value.name

    def sizes(self, value: str) -> Sizes:
        """Return the shape of `value` at each batch."""
        return self._sizes[value]

    def dtype(self, value: str) -> torch.dtype:
        """Return the dtype of `value`."""
        return self._dtypes[value]

    def constant(
        self, array: Any, base: str, tensor: str | None = None, stored: tuple[float, ...] | None = None
    ) -> str:
        """Add a constant named `base` (made unique); `stored` are the scales of its codes in the file."""
        content = array if isinstance(array, Tensor) else as_tensor(array)
        shape = tuple(content.shape)
        name = self.names.fresh(base)
        value = Value(name, "constant", shape, dtype_name(content.dtype), data=content, stored=stored)
        return self.declare(value, (shape,) * len(self.batches), tensor)

    def made_by(self, node: NodeProto) -> None:
        """Remember that the outputs of `node` are known contents."""
        self._proto.update(dict.fromkeys((o for o in node.output if o), node))

    def value(self, tensor: str) -> str:
        """Return the graph value of the file's `tensor`, a constant where its content is known."""
        if tensor in self.value_of:
            return self.value_of[tensor]
        content = self.known[tensor]
        if content.fixed:
            return self.constant(content.arrays[0], tensor, tensor, self.stored.get(tensor))
        return self._repeated(tensor, content)

    def _repeated(self, tensor: str, content: Known) -> str:
        """Return a node that repeats one content along every axis that follows the batch."""
        shapes = [a.shape for a in content.arrays]
        shape = merged_all(shapes)
        cut = tuple(slice(0, 1) if a != b else slice(None) for a, b in zip(*shapes, strict=True))
        once = content.arrays[0][cut]
        if not all(_same(np.broadcast_to(once, a.shape), a) for a in content.arrays):
            raise BatchMismatchError(f"the content of {tensor!r} follows the batch")
        source = self.constant(once, f"{tensor}.once")
        proto = self._proto.get(tensor)
        name = self.names.of(proto) if proto is not None and self._free(proto) else self.names.fresh(tensor)
        node = Node(
            name=name,
            op="Expand",
            inputs=(source,),
            outputs=(name,),
            attrs={"shape": shape},
            scope="" if proto is None else scope_of(proto),
            source_op="onnx:Expand" if proto is None else f"onnx:{proto.op_type}",
        )
        made = self.add(node)[0]
        self.value_of[tensor] = made
        self.tensor_names[made] = tensor
        return made

    def _free(self, proto: NodeProto) -> bool:
        return all(node.name != self.names.of(proto) for node in self.nodes)

    # -- nodes
    def add(self, node: Node, *, dynamic: bool = False) -> tuple[str, ...]:
        """Add `node` and its outputs, with the shapes that its kernel gives.

        Raises
        ------
        ShapeError
            When it does not run on the shapes of its inputs.
        BatchMismatchError
            When its output sizes follow the batch in another way than by a factor.
        """
        results = [self._shapes(node, index) for index in range(len(self.batches))]
        for slot, name in enumerate(node.outputs):
            sizes = tuple(tuple(made[slot].shape) for made in results)
            shape = tuple(sizes[0]) if dynamic else merged_all(sizes)
            self.declare(Value(name, "activation", shape, dtype_name(results[0][slot].dtype), node.name), sizes)
            if dynamic:
                self.dynamic.add(name)
        self.nodes.append(node)
        return node.outputs

    def _shapes(self, node: Node, index: int) -> tuple[Tensor, ...]:
        failure: Exception | None = None
        for device in ("meta", "cpu"):
            try:
                tensors = [None if v is None else self._stand_in(v, index, device) for v in node.inputs]
                made = run_node(_NO_GRAPH, node, tensors, self.batches[index])
            except Exception as error:  # noqa: BLE001 -- a kernel may raise anything on shapes that do not fit
                failure = error
                continue
            if len(made) >= len(node.outputs):
                return made
            failure = ValueError(f"it makes {len(made)} of {len(node.outputs)} outputs")
        line = (str(failure).strip().splitlines() or [type(failure).__name__])[0]
        raise ShapeError(line) from failure

    def _stand_in(self, value: str, index: int, device: str) -> Tensor:
        entry = self.values[value]
        if entry.data is not None:
            return entry.data if device == "cpu" else entry.data.to("meta")
        return torch.zeros(self._sizes[value][index], dtype=self._dtypes[value], device=device)

    # -- taking steps back
    def mark(self) -> tuple[int, int, int, int]:
        """Return a point to go back to with :meth:`rewind`."""
        return len(self.nodes), len(self.values), len(self.value_of), len(self.tensor_names)

    def rewind(self, mark: tuple[int, int, int, int]) -> None:
        """Forget everything made since `mark`."""
        del self.nodes[mark[0] :]
        tables: tuple[dict[str, Any], ...] = (self.values, self.value_of, self.tensor_names)
        for table, size in zip(tables, mark[1:], strict=True):
            while len(table) > size:
                table.popitem()


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
