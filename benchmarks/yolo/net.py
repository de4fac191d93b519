"""A graph written call by call under scoped names, as an exporter names them: ``/model.2/cv1/conv/Conv``.

Tensors are value names; shapes are worked out here, weights are drawn from one seeded generator. Knows nothing of YOLO.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable, Value, resolve


class Net:
    """A graph under construction.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Of the one input, ``images``.
    seed : int
    """

    def __init__(self, name: str, shape: tuple[int, ...], seed: int = 0) -> None:
        self.name = name
        self.x = "images"
        self._generator = torch.Generator().manual_seed(seed)
        self._values: dict[str, Value] = {self.x: Value(self.x, "input", shape)}
        self._nodes: list[Node] = []
        self._scope: list[str] = []
        self._outputs: list[str] = []

    # -- names and shapes
    @contextmanager
    def scope(self, *parts: str) -> Iterator[None]:
        """Name nodes inside the modules `parts`."""
        self._scope += parts
        yield
        del self._scope[len(self._scope) - len(parts) :]

    def shape(self, value: str) -> tuple[int, ...]:
        """Return the shape of `value`."""
        shape: tuple[int, ...] = resolve(self._values[value].shape, 1)
        return shape

    def channels(self, value: str) -> int:
        """Return the size of axis 1 of `value`."""
        return self.shape(value)[1]

    def _unique(self, op: str) -> str:
        stem = "/" + "/".join((*self._scope, op))
        taken = {node.name for node in self._nodes}
        return next(n for n in (stem, *(f"{stem}_{i}" for i in range(1, 99))) if n not in taken)

    def node(self, op: str, inputs: Sequence[str], shape: tuple[int, ...], /, name: str = "", **attrs: Any) -> str:
        """Add a node called after `name` (its operator unless given) and return its output."""
        return self._add(op, inputs, (shape,), self._unique(name or op), attrs)[0]

    def _add(
        self, op: str, inputs: Sequence[str], shapes: tuple[tuple[int, ...], ...], name: str, attrs: dict[str, Any]
    ) -> tuple[str, ...]:
        outputs = (name,) if len(shapes) == 1 else tuple(f"{name}:{i}" for i in range(len(shapes)))
        for output, shape in zip(outputs, shapes, strict=True):
            self._values[output] = Value(output, "activation", shape, producer=name)
        scope = ".".join(self._scope)
        self._nodes.append(Node(name, op, tuple(inputs), outputs, attrs, scope=scope, source_op=f"onnx:{op}"))
        return outputs

    def constant(self, name: str, data: torch.Tensor) -> str:
        """Add a constant."""
        self._values[name] = Value(name, "constant", tuple(data.shape), str(data.dtype)[6:], data=data)
        return name

    def weights(self, fan_in: int, *shape: int) -> tuple[str, str]:
        """Draw a weight of `shape` and a bias for its first axis."""
        stem = ".".join(self._scope)
        data = torch.randn(shape, generator=self._generator) * math.sqrt(2 / fan_in)
        bias = torch.randn(shape[0], generator=self._generator) * 0.1
        return self.constant(f"{stem}.weight", data), self.constant(f"{stem}.bias", bias)

    # -- operators
    def conv2d(self, x: str, cout: int, k: int = 1, s: int = 1, p: int | None = None, groups: int = 1) -> str:
        """Add a bare convolution with bias; padding is `k` // 2 unless given."""
        n, cin, h, w = self.shape(x)
        p = k // 2 if p is None else p
        names = self.weights(cin // groups * k * k, cout, cin // groups, k, k)
        size = ((h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1)
        attrs: dict[str, Any] = {
            "kernel_shape": (k, k),
            "strides": (s, s),
            "pads": (p,) * 4,
            "dilations": (1, 1),
            "group": groups,
        }
        return self.node("Conv", (x, *names), (n, cout, *size), **attrs)

    def conv_transpose(self, x: str, cout: int, k: int) -> str:
        """Add a transposed convolution of kernel and stride `k`."""
        n, cin, h, w = self.shape(x)
        weight, _ = self.weights(cin, cin, cout, k, k)
        attrs: dict[str, Any] = {
            "kernel_shape": (k, k),
            "strides": (k, k),
            "pads": (0,) * 4,
            "dilations": (1, 1),
            "group": 1,
        }
        return self.node("ConvTranspose", (x, weight), (n, cout, h * k, w * k), output_padding=(0, 0), **attrs)

    def silu(self, x: str) -> str:
        """Add x * sigmoid(x) as the one node that an importer makes of the pair, named after the Mul."""
        return self.node("Swish", (x,), self.shape(x), name="Mul")

    def same(self, op: str, *inputs: str) -> str:
        """Add a node whose output has the shape of its first input."""
        return self.node(op, inputs, self.shape(inputs[0]))

    def concat(self, *inputs: str) -> str:
        """Join along the channels."""
        n, _, h, w = self.shape(inputs[0])
        return self.node("Concat", inputs, (n, sum(map(self.channels, inputs)), h, w), axis=1)

    def split(self, x: str, sizes: tuple[int, ...], axis: int = 1) -> tuple[str, ...]:
        """Cut into parts of `sizes` along `axis`."""
        shape = self.shape(x)
        parts = tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in sizes)
        return self._add("Split", (x,), parts, self._unique("Split"), {"axis": axis, "split": sizes})

    def slices(self, x: str, size: int) -> tuple[str, str]:
        """Cut the channels in two, as two Slices."""
        n, c, h, w = self.shape(x)
        first = self.node("Slice", (x,), (n, size, h, w), axes=(1,), starts=(0,), ends=(size,), steps=(1,))
        rest = self.node("Slice", (x,), (n, c - size, h, w), axes=(1,), starts=(size,), ends=(c,), steps=(1,))
        return first, rest

    def max_pool(self, x: str, k: int) -> str:
        """Add a pooling of stride 1 that keeps the size."""
        attrs: dict[str, Any] = {"kernel_shape": (k, k), "strides": (1, 1), "pads": (k // 2,) * 4, "dilations": (1, 1)}
        return self.node("MaxPool", (x,), self.shape(x), ceil_mode=False, **attrs)

    def average_pool(self, x: str, k: int) -> str:
        """Add a pooling of stride 1 without padding."""
        n, c, h, w = self.shape(x)
        attrs: dict[str, Any] = {"kernel_shape": (k, k), "strides": (1, 1), "pads": (0,) * 4}
        size = (n, c, h - k + 1, w - k + 1)
        return self.node("AveragePool", (x,), size, ceil_mode=False, count_include_pad=True, **attrs)

    def upsample(self, x: str) -> str:
        """Double the size, nearest neighbour."""
        n, c, h, w = self.shape(x)
        size = (h * 2, w * 2)
        mode: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
        return self.node("Resize", (x,), (n, c, *size), size=size, scales=(2.0, 2.0), **mode)

    def reshape(self, x: str, *shape: int) -> str:
        """Give `x` another shape."""
        return self.node("Reshape", (x,), shape, shape=shape)

    def transpose(self, x: str, *perm: int) -> str:
        """Permute the axes."""
        shape = self.shape(x)
        return self.node("Transpose", (x,), tuple(shape[axis] for axis in perm), perm=perm)

    def matmul(self, a: str, b: str) -> str:
        """Multiply two features."""
        return self.node("MatMul", (a, b), (*self.shape(a)[:-1], self.shape(b)[-1]))

    def reduce(self, op: str, x: str, axis: int) -> str:
        """Reduce over `axis`, which stays as 1."""
        shape = self.shape(x)
        return self.node(op, (x,), (*shape[:axis], 1, *shape[axis + 1 :]), axes=(axis,), keepdims=True)

    def scaled(self, x: str, factor: float) -> str:
        """Multiply by a constant."""
        scalar = self.constant(".".join((*self._scope, "scale")), torch.tensor(factor))
        return self.node("Mul", (x, scalar), self.shape(x))

    def linear(self, x: str, features: int) -> str:
        """Add a fully connected layer."""
        n, width = self.shape(x)
        return self.node("Gemm", (x, *self.weights(width, features, width)), (n, features), transB=True)

    # -- the end
    def output(self, value: str) -> None:
        """Make `value` a model output."""
        self._outputs.append(value)

    def graph(self) -> Graph:
        """Return the finished graph."""
        used = {v for node in self._nodes for v in (*node.inputs, *node.outputs)} | {"images"}
        values = {name: value for name, value in self._values.items() if name in used}
        names = tuple(f"output{i}" for i in range(len(self._outputs)))
        graph = Graph(
            NodeTable(self._nodes), values, ("images",), tuple(self._outputs), names, source="onnx", name=self.name
        )
        graph.check()
        return graph
