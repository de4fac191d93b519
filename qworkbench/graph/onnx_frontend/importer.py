"""The bookkeeping of one import: which tensor is known, which value stands for it, where nodes are added.

Shapes come from running each node's float kernel on meta tensors at every batch of the import (2 and 3, or one fixed
batch), or on zeros where it has no meta form. What a handler sees of
one node is :mod:`qworkbench.graph.onnx_frontend.call`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from qworkbench.graph.execute import run_node
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable, Value
from qworkbench.graph.onnx_frontend.known import BatchMismatchError, Known, merged_all
from qworkbench.graph.onnx_frontend.naming import Names, scope_of
from qworkbench.graph.onnx_frontend.tensors import as_tensor

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
