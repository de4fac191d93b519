"""Where the exporter puts ONNX nodes and weights: names, element types, shapes that follow the batch.

Knows ONNX's containers and the differences between opsets in how axes are given; operators are in the sibling modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qworkbench.errors import FileFormatError
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Dim, Node, Sym

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

_ELEMENT = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
    "float64": 11,
}  # fmt: skip


class Writer:
    """Nodes and initializers of the file so far.

    Parameters
    ----------
    graph : Graph
    opset : int
    """

    def __init__(self, graph: Graph, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.domains: dict[str, int] = {}
        self._taken = {*graph.nodes.names(), *graph.values, *graph.output_names}
        self._batch: str | None = None
        self._shown: dict[str, str] = {}
        for name, value in zip(graph.output_names, graph.outputs, strict=True):
            free = name == value or name not in {*graph.values, *graph.nodes.names(), *self._shown.values()}
            if graph.values[value].kind == "activation" and value not in self._shown and free:
                self._shown[value] = name

    # -- names and contents
    @staticmethod
    def element(dtype: str) -> int:
        """Return the ONNX element type of a torch dtype's name."""
        if dtype not in _ELEMENT:
            raise FileFormatError(f"ONNX has no element type for {dtype}")
        return _ELEMENT[dtype]

    def fresh(self, base: str) -> str:
        """Return a name that nothing in the file has."""
        name, k = base, 0
        while name in self._taken:
            k += 1
            name = f"{base}_{k}"
        self._taken.add(name)
        return name

    def read(self, value: str | None) -> str:
        """Return the ONNX tensor of a graph value; weights and constants become initializers."""
        if value is None:
            return ""
        if not self.graph.is_activation(value) and value not in self.initializers:
            self._store(value, self.graph.tensor(value).detach().cpu().numpy())
        return self.made(value)

    def made(self, value: str) -> str:
        """Return what the file calls an activation: the model's outputs carry their own names."""
        return self._shown.get(value, value)

    def _store(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name

    def weight(self, array: Any, base: str) -> str:
        """Return a new initializer with the content of `array`."""
        content = array.detach().cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
        return self._store(self.fresh(base), content)

    def ints(self, values: Sequence[int], base: str) -> str:
        """Return a new int64 initializer."""
        return self.weight(np.asarray(values, np.int64).reshape(-1), base)

    def array(self, value: str) -> np.ndarray | None:
        """Return the content of a weight or constant; None for activations."""
        if self.graph.is_activation(value):
            return None
        return np.asarray(self.graph.tensor(value).detach().cpu().numpy())

    def cast(self, value: str, dtype: str, base: str) -> str:
        """Return `value` as `dtype`: a converted initializer, or a Cast node."""
        if self.graph.values[value].dtype == dtype:
            return self.read(value)
        content = self.array(value)
        if content is not None:
            return self.weight(torch.from_numpy(content.copy()).to(getattr(torch, dtype)), f"{base}/{dtype}")
        return self.add("Cast", [self.read(value)], self.fresh(f"{base}/Cast"), to=self.element(dtype))

    # -- nodes
    def add(self, op: str, inputs: Sequence[str], name: str, *, outputs: Sequence[str] = (), **attrs: Any) -> str:
        """Add a node; its output is called like the node unless `outputs` are given. Returns the first output."""
        from onnx import helper

        made = list(outputs) or [name]
        kept = {key: value for key, value in attrs.items() if value is not None}
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **kept))
        return made[0]

    def part(self, node: Node, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """Add an inner piece of `node`, called ``<node>/<op>``."""
        return self.add(op, inputs, self.fresh(f"{node.name}/{op}"), **attrs)

    def last(self, node: Node, op: str, inputs: Sequence[str], **attrs: Any) -> str:
        """Add the ONNX node that carries the name and the outputs of `node`."""
        return self.add(op, inputs, node.name, outputs=[self.made(v) for v in node.outputs], **attrs)

    def with_axes(self, node: Node, op: str, x: str, axes: Sequence[int], since: int, attrs: dict[str, Any]) -> str:
        """Add `op` over `axes`, an attribute before opset `since` and an input from there on."""
        if self.opset >= since:
            inputs, given = [x, self.ints(axes, f"{node.name}/axes")], attrs
        else:
            inputs, given = [x], {**attrs, "axes": list(axes)}
        return self.last(node, op, inputs, **given)

    # -- shapes
    def shape(self, node: Node, shape: Sequence[Dim], *, one_open: bool = False) -> str:
        """Return `shape` as a tensor; `one_open` allows -1 for the one size that follows the batch."""
        following = [d for d in shape if isinstance(d, Sym)]
        if not following or (one_open and len(following) == 1 and all(d != 0 for d in shape)):
            return self.ints([-1 if isinstance(d, Sym) else d for d in shape], f"{node.name}/shape")
        parts = []
        for dim in shape:
            if not isinstance(dim, Sym):
                parts.append(self.ints([dim], f"{node.name}/dim"))
            elif dim.factor == 1:
                parts.append(self._batch_size())
            else:
                factor = self.ints([dim.factor], f"{node.name}/factor")
                parts.append(self.part(node, "Mul", [self._batch_size(), factor]))
        return self.part(node, "Concat", parts, axis=0)

    def _batch_size(self) -> str:
        """Return the batch as a tensor of shape (1,), read off the first input that follows it."""
        if self._batch is None:
            name, axis, factor = next(
                (name, axis, dim.factor)
                for name in self.graph.inputs
                for axis, dim in enumerate(self.graph.values[name].shape)
                if isinstance(dim, Sym)
            )
            sizes = self.add("Shape", [name], self.fresh(f"{name}/Shape"))
            ends = [self.ints([v], f"{name}/axis") for v in (axis, axis + 1, 0)]
            size = self.add("Slice", [sizes, *ends], self.fresh(f"{name}/Slice"))
            if factor != 1:
                size = self.add("Div", [size, self.ints([factor], f"{name}/factor")], self.fresh(f"{name}/Div"))
            self._batch = size
        return self._batch

    def model_output(self, name: str, value: str) -> str:
        """Return the tensor of an output; an Identity where the value is no activation or was returned before."""
        if self._shown.get(value) == name:
            return name
        return self.add("Identity", [self.read(value)], self.fresh(f"{name}/Identity"))
