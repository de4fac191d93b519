"""Small graphs by hand: one call per node, shapes given, weights without content unless a tensor is passed."""

from __future__ import annotations

from typing import Any

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable, Shape, Value
from qworkbench.march import Support, get_march


class Build:
    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []

    def input(self, *shape: Any, name: str = "x") -> str:
        self.values[name] = Value(name, "input", shape)
        self.inputs.append(name)
        return name

    def weight(self, *shape: int, name: str | None = None, data: Any = None, dtype: str = "float32") -> str:
        name = name or f"weight{len(self.values)}"
        self.values[name] = Value(name, "constant", shape, dtype, data=data)
        return name

    def node(self, op: str, inputs: tuple[str, ...], shape: Shape, name: str | None = None, **attrs: Any) -> str:
        name = name or f"{op.lower()}{len(self.nodes)}"
        self.values[name] = Value(name, "activation", shape, producer=name)
        self.nodes.append(Node(name, op, inputs, (name,), attrs))
        return name

    def conv(
        self,
        x: str,
        cout: int,
        kernel: tuple[int, ...] = (3, 3),
        *,
        stride: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] | None = None,
        pad: tuple[int, ...] | None = None,
        group: int = 1,
        op: str = "Conv",
        output_padding: tuple[int, ...] | None = None,
    ) -> str:
        n, cin, *size = self.values[x].shape
        count = len(kernel)
        stride, dilation = stride or (1,) * count, dilation or (1,) * count
        pad, output_padding = pad or (0,) * count, output_padding or (0,) * count
        if op == "Conv":
            weight = self.weight(cout, cin // group, *kernel)
            out = [
                (d + 2 * p - e * (k - 1) - 1) // s + 1
                for d, p, e, k, s in zip(size, pad, dilation, kernel, stride, strict=True)
            ]
        else:
            weight = self.weight(cin, cout // group, *kernel)
            grown = zip(size, pad, kernel, stride, output_padding, strict=True)
            out = [(d - 1) * s - 2 * p + k + extra for d, p, k, s, extra in grown]
        attrs = {"kernel_shape": kernel, "strides": stride, "pads": pad * 2, "dilations": dilation, "group": group}
        if op == "ConvTranspose":
            attrs["output_padding"] = output_padding
        return self.node(op, (x, weight), (n, cout, *out), **attrs)

    def graph(self, *outputs: str) -> Graph:
        last = outputs or (self.nodes[-1].name,)
        graph = Graph(NodeTable(self.nodes), self.values, tuple(self.inputs), last, last)
        graph.check()
        return graph


def support(march: str, build: Build, name: str | None = None, **options: Any) -> Support:
    """What `march` says of the node called `name`, or of the last one."""
    graph = build.graph()
    node = graph.nodes[name or build.nodes[-1].name]
    return get_march(march).supports(graph, node, **options)


def one(op: str, *shapes: tuple[Any, ...], out: tuple[Any, ...] | None = None, **attrs: Any) -> Build:
    """A single node over model inputs of `shapes`; the output has the first one's shape unless given."""
    build = Build()
    names = tuple(build.input(*shape, name=f"x{i}") for i, shape in enumerate(shapes))
    build.node(op, names, shapes[0] if out is None else out, **attrs)
    return build


def one_conv(cin: int, cout: int, kernel: tuple[int, ...], size: tuple[int, ...] = (32, 32), **options: Any) -> Build:
    """A single convolution over a model input."""
    build = Build()
    build.conv(build.input(1, cin, *size), cout, kernel, **options)
    return build


def reasons(march: str, build: Build, name: str | None = None) -> list[str]:
    """The texts of the clauses that fail."""
    return [result.text for result in support(march, build, name).failed]
