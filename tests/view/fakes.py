"""Hand-made workbenches: graphs built node by node, with a plausible placement, for the tests of the pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pandas as pd

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable, Sym, Value
from qworkbench.graph.vocabulary import family

ACTIVE = {"gemm"}


class Builder:
    """Build a graph: every method returns the name of the value it made."""

    def __init__(self, name: str, **inputs: tuple[int, ...]) -> None:
        self.name = name
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {key: Value(key, "input", (Sym(), *shape)) for key, shape in inputs.items()}
        self.inputs = tuple(inputs)

    def op(self, op: str, name: str, *inputs: str, shape: Sequence[int] | None = None, **fields: Any) -> str:
        dims = self.values[inputs[0]].shape if shape is None else (Sym(), *shape)
        self.values[name] = Value(name, "activation", dims, producer=name)
        fields.setdefault("scope", name.rpartition(".")[0])
        self.nodes.append(Node(name, op, inputs, (name,), **fields))
        return name

    def conv_bn_relu(self, prefix: str, x: str, *, shape: Sequence[int] | None = None, relu: bool = True) -> str:
        x = self.op("Conv", f"{prefix}conv", x, shape=shape)
        x = self.op("BatchNormalization", f"{prefix}bn", x)
        return self.op("Relu", f"{prefix}relu", x) if relu else x

    def graph(self, *outputs: str) -> Graph:
        names = tuple("output" if len(outputs) == 1 else f"output{i}" for i in range(len(outputs)))
        return Graph(NodeTable(self.nodes), self.values, self.inputs, outputs, names, name=self.name)


class Placement(dict[str, Any]):
    """Placements by node name, with boundaries."""

    boundaries: tuple[Any, ...] = ()

    def values(self) -> tuple[Any, ...]:  # type: ignore[override]
        return tuple(super().values())


def place(graph: Graph, cpu: Sequence[str] = (), requantize: Sequence[tuple[str, str]] = ()) -> Placement:
    """Put everything on the BPU but `cpu` and transparent nodes, and mark every crossing."""
    found = Placement()
    unit: dict[str, str] = {}
    for node in graph.nodes:
        before = graph.predecessors(node)
        joins = node.op == "BatchNormalization" or (node.op == "Relu" and before[0].op == "BatchNormalization")
        unit[node.name] = unit[before[0].name] if joins else node.name
    for node in graph.nodes:
        kind = family(node.op)
        on = "NONE" if kind == "transparent" else "CPU" if node.name in cpu else "BPU"
        quant_class = "active" if kind in ACTIVE else "manual" if kind == "softmax" else "passive"
        reason = SimpleNamespace(
            code="test", sentence=f"{node.op} runs on the {on} because the test says so.", facts=(), ways=()
        )
        found[node.name] = SimpleNamespace(
            name=node.name,
            on=on,
            quant_class=quant_class,
            subgraph=0 if on == "BPU" else None,
            unit=unit[node.name],
            dtype="int8" if on == "BPU" else "float32",
            reason=reason,
        )
    boundaries = []

    def cross(value: str, source: str, target: str, kind: str) -> None:
        elements = math.prod(graph.shape(value))
        boundaries.append(SimpleNamespace(value=value, source=source, target=target, kind=kind, elements=elements))

    for node in graph.nodes:
        for value in graph.data_inputs(node):
            producer = graph.producer(value)
            before = "CPU" if producer is None else found[producer.name].on
            source = value if producer is None else producer.name
            after = found[node.name].on
            if (before, after) == ("CPU", "BPU"):
                cross(value, source, node.name, "quantize")
            elif (before, after) == ("BPU", "CPU"):
                cross(value, source, node.name, "dequantize")
            elif (value, node.name) in requantize:
                cross(value, source, node.name, "requantize")
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        if found[value].on == "BPU":
            cross(value, value, name, "dequantize")
    found.boundaries = tuple(boundaries)
    return found


@dataclass
class FakeWorkbench:
    graph: Graph
    placement: Any
    last_run: Any = None
    march: str = "bayes-e"
    title: str = ""
    edited: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        self.title = self.title or self.graph.name

    def edited_nodes(self) -> frozenset[str]:
        return self.edited


def run_of(graph: Graph, *, worst: float = 0.9931) -> Any:
    """A run whose cosines fall towards the end."""
    names = [node.name for node in graph.nodes]
    step = (1 - worst) / max(len(names), 1)
    cosine = [1 - step * (i + 1) for i in range(len(names))]
    l1 = [0.001 * i for i in range(len(names))]
    metrics = {name: SimpleNamespace(cosine=c, l1=d) for name, c, d in zip(names, cosine, l1, strict=True)}
    return SimpleNamespace(layers=pd.DataFrame({"cosine": cosine, "l1": l1}, names), metrics=metrics)


def small_cnn() -> FakeWorkbench:
    """25 nodes: a residual block, a concat branch, dropout, softmax on the CPU."""
    b = Builder("DigitsNet", x=(1, 28, 28))
    x = b.conv_bn_relu("stem.", "x", shape=(16, 28, 28))
    x = b.op("MaxPool", "pool", x, shape=(16, 14, 14))
    y = b.conv_bn_relu("block.a.", x)
    y = b.conv_bn_relu("block.b.", y, relu=False)
    x = b.op("Add", "block._generated_add_0", y, x)
    x = b.op("Relu", "block.relu", x)
    left = b.conv_bn_relu("mix.left.", x, shape=(16, 14, 14))
    right = b.op("AveragePool", "mix.pool", x)
    right = b.op("Conv", "mix.project", right)
    x = b.op("Concat", "mix._generated_cat_0", left, right, x, shape=(48, 14, 14))
    x = b.op("Conv", "mix._unitconv_0", x, source_op="inserted")
    x = b.op("GlobalAveragePool", "head.pool", x, shape=(48, 1, 1))
    x = b.op("Flatten", "head.flatten", x, shape=(48,))
    x = b.op("Dropout", "head.dropout", x)
    x = b.op("Gemm", "head.fc", x, shape=(10,))
    x = b.op("Softmax", "softmax", x)
    graph = b.graph(x)
    placement = place(graph, cpu=["head.flatten", "softmax"], requantize=[("mix.project", "mix._generated_cat_0")])
    return FakeWorkbench(graph, placement, run_of(graph), edited=frozenset({"softmax"}))


def resnet18() -> FakeWorkbench:
    b = Builder("ResNet-18", image=(3, 224, 224))
    x = b.op("Conv", "conv1", "image", shape=(64, 112, 112))
    x = b.op("BatchNormalization", "bn1", x)
    x = b.op("Relu", "relu", x)
    x = b.op("MaxPool", "maxpool", x, shape=(64, 56, 56))
    for stage in range(1, 5):
        for block in range(2):
            scope = f"layer{stage}.{block}"
            y = b.op("Conv", f"{scope}.conv1", x)
            y = b.op("BatchNormalization", f"{scope}.bn1", y)
            y = b.op("Relu", f"{scope}.relu", y)
            y = b.op("Conv", f"{scope}.conv2", y)
            y = b.op("BatchNormalization", f"{scope}.bn2", y)
            if stage > 1 and block == 0:
                x = b.op("Conv", f"{scope}.downsample.0", x)
                x = b.op("BatchNormalization", f"{scope}.downsample.1", x)
            x = b.op("Add", f"{scope}._generated_add_0", y, x)
            x = b.op("Relu", f"{scope}.relu#1", x)
    x = b.op("GlobalAveragePool", "avgpool", x, shape=(512, 1, 1))
    x = b.op("Flatten", "_generated_flatten_0", x, shape=(512,))
    x = b.op("Gemm", "fc", x, shape=(1000,))
    graph = b.graph(x)
    return FakeWorkbench(graph, place(graph), title="ResNet-18 on bayes-e")


def inception(blocks: int = 12) -> FakeWorkbench:
    """About 27 nodes per block: four branches of Conv-BN-ReLU, then a Concat; an attention on the CPU at the end."""
    b = Builder("InceptionLike", image=(3, 299, 299))
    x = b.conv_bn_relu("stem.", "image", shape=(32, 149, 149))
    for index in range(blocks):
        scope = f"mixed_{index}"
        ends = []
        for branch, length in (("branch1x1", 1), ("branch5x5", 2), ("branch3x3", 3)):
            y = x
            for step in range(length):
                y = b.conv_bn_relu(f"{scope}.{branch}_{step}.", y)
            ends.append(y)
        y = b.op("AveragePool", f"{scope}.pool", x)
        ends.append(b.conv_bn_relu(f"{scope}.branch_pool.", y))
        x = b.op("Concat", f"{scope}._generated_cat_0", *ends)
    scores = b.op("Softmax", "attention.softmax", b.op("Conv", "attention.score", x))
    x = b.op("Mul", "attention._generated_mul_0", x, scores)
    x = b.op("GlobalAveragePool", "avgpool", x, shape=(128, 1, 1))
    graph = b.graph(b.op("Gemm", "fc", x, shape=(1000,)))
    return FakeWorkbench(graph, place(graph, cpu=["attention.softmax", "mixed_3.pool"]), run_of(graph))
