"""The layer lists: backbone and neck of each family, numbered as in the published files.

YOLOv5, YOLOv8 and YOLO11 are written at full size and scaled; of the others the smallest size is known here.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.yolo.blocks import (
    a2c2f,
    aconv,
    c2f,
    c2f_v8,
    c2psa,
    c3,
    c3k2,
    cib,
    conv,
    elan,
    named_conv,
    psa,
    scdown,
    sppelan,
    sppf,
)
from benchmarks.yolo.net import Net
from benchmarks.yolo.sizes import Size

Layer = Callable[[str], str]


class Layers:
    """Numbered layers on a net: each is called in its scope ``model.N``, its output is remembered under N."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.made: list[str] = []

    def add(self, layer: Layer, source: int = -1) -> None:
        """Add the next layer on layer `source`."""
        x = self.made[source] if self.made else self.net.x
        with self.net.scope(f"model.{len(self.made)}"):
            self.made.append(layer(x))

    def at(self, *numbers: int) -> list[str]:
        """Return the outputs of the layers `numbers`."""
        return [self.made[number] for number in numbers]

    def conv(self, cout: int, k: int = 3, s: int = 2, p: int | None = None) -> None:
        """Add a convolution layer."""
        self.add(lambda x: conv(self.net, x, cout, k, s, p=p))

    def up_and_join(self, skip: int) -> None:
        """Add an upsampling and a Concat with layer `skip`."""
        self.add(self.net.upsample)
        self.join(skip)

    def join(self, skip: int) -> None:
        """Add a Concat of the newest layer with layer `skip`."""
        self.add(lambda x: self.net.concat(x, self.made[skip]))


def yolov5(net: Net, size: Size) -> list[str]:
    """Add YOLOv5 with the anchor-free head; return the maps that the head reads."""
    layers, width = Layers(net), size.channels

    def block(cout: int, n: int = 3, *, shortcut: bool = True) -> None:
        layers.add(lambda x: c3(net, x, width(cout), size.repeats(n), kernels=(1, 3), shortcut=shortcut))

    layers.conv(width(64), 6, 2, p=2)
    for cout, n in ((128, 3), (256, 6), (512, 9), (1024, 3)):
        layers.conv(width(cout))
        block(cout, n)
    layers.add(lambda x: sppf(net, x, width(1024)))
    layers.conv(width(512), 1, 1)
    layers.up_and_join(6)
    block(512, shortcut=False)
    layers.conv(width(256), 1, 1)
    layers.up_and_join(4)
    block(256, shortcut=False)
    layers.conv(width(256))
    layers.join(14)
    block(512, shortcut=False)
    layers.conv(width(512))
    layers.join(10)
    block(1024, shortcut=False)
    return layers.at(17, 20, 23)


def yolov8(net: Net, size: Size, *, neck: bool = True) -> list[str]:
    """Add YOLOv8; without `neck` only the backbone of the classifier."""
    layers, width = Layers(net), size.channels

    def block(cout: int, n: int = 3, *, shortcut: bool = True) -> None:
        layers.add(lambda x: c2f_v8(net, x, width(cout), size.repeats(n), shortcut=shortcut))

    layers.conv(width(64))
    for cout, n in ((128, 3), (256, 6), (512, 6), (1024, 3)):
        layers.conv(width(cout))
        block(cout, n)
    if not neck:
        return layers.at(8)
    layers.add(lambda x: sppf(net, x, width(1024)))
    layers.up_and_join(6)
    block(512, shortcut=False)
    layers.up_and_join(4)
    block(256, shortcut=False)
    layers.conv(width(256))
    layers.join(12)
    block(512, shortcut=False)
    layers.conv(width(512))
    layers.join(9)
    block(1024, shortcut=False)
    return layers.at(15, 18, 21)


def yolov10(net: Net) -> list[str]:
    """Add YOLOv10n."""
    layers = Layers(net)

    def block(cout: int, n: int = 1, *, shortcut: bool = True) -> None:
        layers.add(lambda x: c2f_v8(net, x, cout, n, shortcut=shortcut))

    layers.conv(16)
    layers.conv(32)
    block(32)
    layers.conv(64)
    block(64, 2)
    layers.add(lambda x: scdown(net, x, 128))
    block(128, 2)
    layers.add(lambda x: scdown(net, x, 256))
    block(256)
    layers.add(lambda x: sppf(net, x, 256))
    layers.add(lambda x: psa(net, x, 256))
    layers.up_and_join(6)
    block(128, shortcut=False)
    layers.up_and_join(4)
    block(64, shortcut=False)
    layers.conv(64)
    layers.join(13)
    block(128, shortcut=False)
    layers.add(lambda x: scdown(net, x, 128))
    layers.join(10)
    layers.add(lambda x: c2f(net, x, 256, 1, 128, lambda v: cib(net, v)))
    return layers.at(16, 19, 22)


def yolo11(net: Net, size: Size, *, neck: bool = True) -> list[str]:
    """Add YOLO11; without `neck` only the backbone of the classifier, which has no pyramid of poolings."""
    layers, width = Layers(net), size.channels

    def block(cout: int, *, nested: bool = False, share: float = 0.5) -> None:
        hidden, inside = int(width(cout) * share), nested or size.nested
        layers.add(lambda x: c3k2(net, x, width(cout), hidden, n=size.repeats(2), nested=inside))

    layers.conv(width(64))
    layers.conv(width(128))
    block(256, share=0.25)
    layers.conv(width(256))
    block(512, share=0.25)
    layers.conv(width(512))
    block(512, nested=True)
    layers.conv(width(1024))
    block(1024, nested=True)
    if neck:
        layers.add(lambda x: sppf(net, x, width(1024)))
    layers.add(lambda x: c2psa(net, x, width(1024), size.repeats(2)))
    if not neck:
        return layers.at(9)
    layers.up_and_join(6)
    block(512)
    layers.up_and_join(4)
    block(256)
    layers.conv(width(256))
    layers.join(13)
    block(512)
    layers.conv(width(512))
    layers.join(10)
    block(1024, nested=True)
    return layers.at(16, 19, 22)


def yolo12(net: Net) -> list[str]:
    """Add YOLO12n."""
    layers = Layers(net)

    def area(cout: int, n: int, areas: int | None) -> None:
        layers.add(lambda x: a2c2f(net, x, cout, n, areas))

    layers.conv(16)
    layers.conv(32)
    layers.add(lambda x: c3k2(net, x, 64, 16, nested=False))
    layers.conv(64)
    layers.add(lambda x: c3k2(net, x, 128, 32, nested=False))
    layers.conv(128)
    area(128, 2, 4)
    layers.conv(256)
    area(256, 2, 1)
    layers.up_and_join(6)
    area(128, 1, None)
    layers.up_and_join(4)
    area(64, 1, None)
    layers.conv(64)
    layers.join(11)
    area(128, 1, None)
    layers.conv(128)
    layers.join(8)
    layers.add(lambda x: c3k2(net, x, 256, 128, nested=True))
    return layers.at(14, 17, 20)


def yolov9(net: Net, size: Size) -> list[str]:
    """Add YOLOv9t or YOLOv9s with its re-parametrised convolutions merged."""
    layers, width = Layers(net), size.channels

    def down(cout: int) -> None:
        layers.add(lambda x: aconv(net, x, width(cout)))

    def block(cout: int) -> None:
        def stage(name: str, x: str) -> str:
            half = width(cout) // 2
            with net.scope(name):
                with net.scope(f"{name}.0"):
                    x = c3(net, x, half, 3, kernels=(3, 3))
                return named_conv(net, f"{name}.1", x, half, 3)

        layers.add(lambda x: elan(net, x, width(cout), width(cout), stage))

    layers.conv(width(16))
    layers.conv(width(32))
    layers.add(lambda x: elan(net, x, width(32), width(32), lambda name, v: named_conv(net, name, v, width(16), 3)))
    for cout in (64, 96, 128):
        down(cout)
        block(cout)
    layers.add(lambda x: sppelan(net, x, width(128), width(64)))
    layers.up_and_join(6)
    block(96)
    layers.up_and_join(4)
    block(64)
    down(48)
    layers.join(12)
    block(96)
    down(64)
    layers.join(9)
    block(128)
    return layers.at(15, 18, 21)
