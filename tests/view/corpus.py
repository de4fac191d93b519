"""Graphs in the shapes of well-known networks, as boxes and edges, for the layout's tests."""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx

Boxes = list[tuple[str, float, float]]
Edges = list[tuple[str, str]]
WIDTHS = (88.0, 104.0, 64.0, 136.0)
HEIGHTS = (44.0, 44.0, 24.0, 44.0)


class Net:
    """Grow a graph box by box."""

    def __init__(self) -> None:
        self.boxes: Boxes = []
        self.edges: Edges = []

    def add(self, *sources: str, kind: int = 0) -> str:
        name = f"n{len(self.boxes)}"
        self.boxes.append((name, WIDTHS[kind], HEIGHTS[kind]))
        self.edges += [(source, name) for source in dict.fromkeys(sources)]
        return name

    def chain(self, source: str, length: int) -> str:
        for step in range(length):
            source = self.add(source, kind=step % 3)
        return source


def chain(count: int) -> Net:
    net = Net()
    net.chain(net.add(), count - 1)
    return net


def resnet(count: int) -> Net:
    net = Net()
    x = net.add()
    block = 0
    while len(net.boxes) < count:
        skip = net.chain(x, 2) if block % 3 == 2 else x
        x = net.add(net.chain(x, 5), skip, kind=1)
        x = net.add(x, kind=2)
        block += 1
    return net


def inception(count: int) -> Net:
    net = Net()
    x = net.add()
    while len(net.boxes) < count:
        x = net.add(*(net.chain(x, length) for length in (2, 4, 6, 3)), kind=3)
    return net


def densenet(count: int, block: int = 6) -> Net:
    net = Net()
    x = net.add()
    while len(net.boxes) < count:
        features = [x]
        for _ in range(block):
            features.append(net.chain(net.add(*features, kind=3), 4))
        x = net.chain(net.add(*features, kind=3), 3)
    return net


def unet(count: int, levels: int = 5) -> Net:
    net = Net()
    x = net.add()
    per_level = max(2, count // (2 * levels))
    skips = []
    for _ in range(levels):
        x = net.chain(x, per_level - 1)
        skips.append(x)
        x = net.add(x, kind=2)
    for skip in reversed(skips):
        x = net.chain(net.add(x, skip, kind=3), per_level - 1)
    return net


def yolo(count: int) -> Net:
    """Backbone with three taps, a top-down and a bottom-up neck, three heads that end in outputs."""
    net = Net()
    x = net.add()
    per_stage = max(3, count // 12)
    taps = []
    for _ in range(3):
        x = csp(net, x, per_stage)
        taps.append(x)
    p3, p4, p5 = taps
    n4 = csp(net, net.add(net.chain(p5, 1), p4, kind=3), per_stage)
    n3 = csp(net, net.add(net.chain(n4, 1), p3, kind=3), per_stage)
    m4 = csp(net, net.add(net.chain(n3, 1), n4, kind=3), per_stage)
    m5 = csp(net, net.add(net.chain(m4, 1), p5, kind=3), per_stage)
    for head in (n3, m4, m5):
        box, label = net.chain(head, 4), net.chain(head, 4)
        net.add(net.add(box, label, kind=3), kind=2)
    return net


def csp(net: Net, x: str, length: int) -> str:
    x = net.chain(x, 2)
    split = net.add(x, kind=1)
    inner = net.add(net.chain(split, length), split, kind=1)
    return net.chain(net.add(split, inner, kind=3), 2)


CORPUS: dict[str, Callable[[int], Net]] = {
    "chain": chain,
    "resnet": resnet,
    "inception": inception,
    "densenet": densenet,
    "unet": unet,
    "yolo": yolo,
}


def random_dag(count: int, edges: int, seed: int) -> Net:
    """Any DAG: boxes without edges, several inputs and outputs, long edges."""
    net = Net()
    names = [net.add(kind=i % 4) for i in range(count)]
    graph = nx.gnm_random_graph(count, edges, seed=seed)
    net.edges = sorted((names[min(e)], names[max(e)]) for e in graph.edges)
    return net
