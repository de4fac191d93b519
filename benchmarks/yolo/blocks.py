"""The building blocks of the YOLO families, from their public descriptions: what calls what, in which order.

Every block is a function of a :class:`Net` and a tensor; channel counts are the ones after width scaling.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.yolo.net import Net


def conv(
    net: Net, x: str, cout: int, k: int = 1, s: int = 1, *, groups: int = 1, act: bool = True, p: int | None = None
) -> str:
    """Convolution (its batch normalisation is folded) and SiLU, in the submodules ``conv`` and ``act``."""
    with net.scope("conv"):
        x = net.conv2d(x, cout, k, s, p=p, groups=groups)
    if act:
        with net.scope("act"):
            x = net.silu(x)
    return x


def named_conv(net: Net, name: str, x: str, cout: int, k: int = 1, s: int = 1, *, act: bool = True) -> str:
    """Do :func:`conv` in the submodule `name`."""
    with net.scope(name):
        return conv(net, x, cout, k, s, act=act)


def bottleneck(net: Net, x: str, kernels: tuple[int, int], hidden: int, *, shortcut: bool) -> str:
    """Two convolutions and, where the block has it, the addition of what came in."""
    y = named_conv(net, "cv1", x, hidden, kernels[0])
    y = named_conv(net, "cv2", y, net.channels(x), kernels[1])
    return net.same("Add", x, y) if shortcut else y


def c3(net: Net, x: str, cout: int, n: int, *, kernels: tuple[int, int], shortcut: bool = True) -> str:
    """Cross-stage block with three convolutions: a chain of bottlenecks beside a plain branch."""
    hidden = cout // 2
    y = named_conv(net, "cv1", x, hidden)
    for i in range(n):
        with net.scope("m", f"m.{i}"):
            y = bottleneck(net, y, kernels, hidden, shortcut=shortcut)
    joined = net.concat(y, named_conv(net, "cv2", x, hidden))
    return named_conv(net, "cv3", joined, cout)


def c2f(net: Net, x: str, cout: int, n: int, hidden: int, inner: Callable[[str], str]) -> str:
    """Split, `n` inner blocks that each read the one before, and a Concat of everything."""
    y = list(net.split(named_conv(net, "cv1", x, 2 * hidden), (hidden, hidden)))
    for i in range(n):
        with net.scope(f"m.{i}"):
            y.append(inner(y[-1]))
    return named_conv(net, "cv2", net.concat(*y), cout)


def c2f_v8(net: Net, x: str, cout: int, n: int, *, shortcut: bool) -> str:
    """YOLOv8: bottlenecks of full width with two 3x3 convolutions."""
    hidden = cout // 2
    return c2f(net, x, cout, n, hidden, lambda v: bottleneck(net, v, (3, 3), hidden, shortcut=shortcut))


def c3k2(net: Net, x: str, cout: int, hidden: int, *, n: int = 1, nested: bool) -> str:
    """YOLO11: `n` bottlenecks of half width, or as many nested C3 with two bottlenecks each."""

    def inner(v: str) -> str:
        if nested:
            return c3(net, v, hidden, 2, kernels=(3, 3))
        return bottleneck(net, v, (3, 3), hidden // 2, shortcut=True)

    return c2f(net, x, cout, n, hidden, inner)


def sppf(net: Net, x: str, cout: int) -> str:
    """Three poolings in a row, joined with what they started from."""
    y = [named_conv(net, "cv1", x, net.channels(x) // 2)]
    for i in range(3):
        with net.scope(f"m_{i}" if i else "m"):
            y.append(net.max_pool(y[-1], 5))
    return named_conv(net, "cv2", net.concat(*y), cout)


def sppelan(net: Net, x: str, cout: int, hidden: int) -> str:
    """YOLOv9: the same pyramid with its own names."""
    y = [named_conv(net, "cv1", x, hidden)]
    for i in range(3):
        with net.scope(f"cv{i + 2}"):
            y.append(net.max_pool(y[-1], 5))
    return named_conv(net, "cv5", net.concat(*y), cout)


def aconv(net: Net, x: str, cout: int) -> str:
    """YOLOv9: a 2x2 average at stride 1, then a strided convolution."""
    return named_conv(net, "cv1", net.average_pool(x, 2), cout, 3, 2)


def elan(net: Net, x: str, cout: int, width: int, stage: Callable[[str, str], str]) -> str:
    """YOLOv9: halves of one convolution, two stages in a chain, a Concat of all four."""
    first, second = net.slices(named_conv(net, "cv1", x, width), width // 2)
    a = stage("cv2", second)
    b = stage("cv3", a)
    return named_conv(net, "cv4", net.concat(first, second, a, b), cout)


def attention(net: Net, x: str, heads: int) -> str:
    """Self-attention over pixels with softmax spelled out over the channel axis, and a depthwise position branch."""
    n, c, h, w = net.shape(x)
    head, key = c // heads, c // heads // 2
    with net.scope("qkv"):
        qkv = conv(net, x, c + 2 * key * heads, act=False)
    q, k, v = net.split(net.reshape(qkv, n, heads, 2 * key + head, h * w), (key, key, head), axis=2)
    scores = net.scaled(net.matmul(net.transpose(q, 0, 1, 3, 2), k), key**-0.5)
    scores = net.transpose(scores, 0, 3, 1, 2)
    shifted = net.same("Sub", scores, net.reduce("ReduceMax", scores, 1))
    powers = net.same("Exp", shifted)
    weights = net.same("Div", powers, net.reduce("ReduceSum", powers, 1))
    mixed = net.matmul(v, net.transpose(weights, 0, 2, 1, 3))
    mixed = net.reshape(mixed, n, c, h, w)
    place = net.reshape(v, n, c, h, w)
    with net.scope("pe"):
        place = conv(net, place, c, 3, groups=c, act=False)
    mixed = net.same("Add", mixed, place)
    with net.scope("proj"):
        return conv(net, mixed, c, act=False)


def c2psa(net: Net, x: str, cout: int, n: int = 1) -> str:
    """YOLO11: half of the channels pass by, the others go through attention and a feed-forward pair."""
    hidden = cout // 2
    a, b = net.split(named_conv(net, "cv1", x, 2 * hidden), (hidden, hidden))
    for i in range(n):
        with net.scope("m", f"m.{i}"):
            b = attention_block(net, b)
    return named_conv(net, "cv2", net.concat(a, b), cout)


def psa(net: Net, x: str, cout: int) -> str:
    """YOLOv10: the same with one block that is no module of its own."""
    hidden = cout // 2
    a, b = net.split(named_conv(net, "cv1", x, 2 * hidden), (hidden, hidden))
    return named_conv(net, "cv2", net.concat(a, attention_block(net, b)), cout)


def attention_block(net: Net, x: str) -> str:
    """Attention and a feed-forward pair, each added to what it reads."""
    width = net.channels(x)
    with net.scope("attn"):
        attended = attention(net, x, width // 64)
    x = net.same("Add", x, attended)
    with net.scope("ffn"):
        y = named_conv(net, "ffn.0", x, 2 * width)
        y = named_conv(net, "ffn.1", y, width, act=False)
    return net.same("Add", x, y)


def scdown(net: Net, x: str, cout: int) -> str:
    """YOLOv10: a pointwise convolution, then a strided depthwise one."""
    x = named_conv(net, "cv1", x, cout)
    with net.scope("cv2"):
        return conv(net, x, cout, 3, 2, groups=cout, act=False)


def cib(net: Net, x: str) -> str:
    """YOLOv10: depthwise, pointwise, large depthwise, pointwise, depthwise; added to what came in."""
    width = net.channels(x)
    y = x
    layers = ((width, 3, width), (2 * width, 1, 1), (2 * width, 7, 2 * width), (width, 1, 1), (width, 3, width))
    with net.scope("cv1"):
        for i, (cout, k, groups) in enumerate(layers):
            with net.scope(f"cv1.{i}"):
                y = conv(net, y, cout, k, groups=groups)
    return net.same("Add", x, y)


def area_attention(net: Net, x: str, heads: int, areas: int) -> str:
    """YOLO12: attention inside horizontal areas of the map, Softmax as one operator, positions by a 7x7 depthwise."""
    n, c, h, w = net.shape(x)
    head, pixels = c // heads, h * w
    with net.scope("qkv"):
        qkv = conv(net, x, 3 * c, act=False)
    y = net.transpose(net.reshape(qkv, n, 3 * c, pixels), 0, 2, 1)
    if areas > 1:
        y = net.reshape(y, n * areas, pixels // areas, 3 * c)
    y = net.reshape(y, n * areas, pixels // areas, heads, 3 * head)
    q, k, v = net.split(net.transpose(y, 0, 2, 3, 1), (head,) * 3, axis=2)
    scores = net.scaled(net.matmul(net.transpose(q, 0, 1, 3, 2), k), head**-0.5)
    weights = net.node("Softmax", (scores,), net.shape(scores), axis=3)
    mixed = net.matmul(v, net.transpose(weights, 0, 1, 3, 2))
    both = [net.transpose(value, 0, 3, 1, 2) for value in (mixed, v)]
    if areas > 1:
        both = [net.reshape(value, n, pixels, c) for value in both]
    maps = [net.transpose(net.reshape(value, n, h, w, c), 0, 3, 1, 2) for value in both]
    with net.scope("pe"):
        place = conv(net, maps[1], c, 7, groups=c, act=False)
    with net.scope("proj"):
        return conv(net, net.same("Add", maps[0], place), c, act=False)


def a2c2f(net: Net, x: str, cout: int, n: int, areas: int | None) -> str:
    """YOLO12: a chain of pairs of attention blocks (of nested C3 blocks without `areas`), everything joined."""
    hidden = cout // 2
    y = [named_conv(net, "cv1", x, hidden)]
    for i in range(n):
        with net.scope(f"m.{i}"):
            inner = y[-1]
            if areas is None:
                inner = c3(net, inner, hidden, 2, kernels=(3, 3))
            for k in range(2 if areas is not None else 0):
                with net.scope(f"m.{i}.{k}"):
                    inner = _area_block(net, inner, areas or 1)
            y.append(inner)
    return named_conv(net, "cv2", net.concat(*y), cout)


def _area_block(net: Net, x: str, areas: int) -> str:
    width = net.channels(x)
    with net.scope("attn"):
        attended = area_attention(net, x, width // 32, areas)
    x = net.same("Add", x, attended)
    with net.scope("mlp"):
        y = named_conv(net, "mlp.0", x, 2 * width)
        y = named_conv(net, "mlp.1", y, width, act=False)
    return net.same("Add", x, y)
