"""The layer lists: backbone, neck and head of each model at its smallest size, numbered as in the published files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from benchmarks.yolo.heads import classify, detect
from benchmarks.yolo.net import Net
from qworkbench.errors import unknown_name
from qworkbench.graph.ir import Graph

Layer = Callable[[str], str]
CLASSES, MASKS, KEYPOINTS = 80, 32, 17 * 3


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


def yolov5(net: Net) -> list[str]:
    """Add YOLOv5n with the anchor-free head; return the maps that the head reads."""
    layers = Layers(net)

    def block(cout: int, n: int = 1, *, shortcut: bool = True) -> None:
        layers.add(lambda x: c3(net, x, cout, n, kernels=(1, 3), shortcut=shortcut))

    layers.conv(16, 6, 2, p=2)
    for cout, n in ((32, 1), (64, 2), (128, 3), (256, 1)):
        layers.conv(cout)
        block(cout, n)
    layers.add(lambda x: sppf(net, x, 256))
    layers.conv(128, 1, 1)
    layers.up_and_join(6)
    block(128, shortcut=False)
    layers.conv(64, 1, 1)
    layers.up_and_join(4)
    block(64, shortcut=False)
    layers.conv(64)
    layers.join(14)
    block(128, shortcut=False)
    layers.conv(128)
    layers.join(10)
    block(256, shortcut=False)
    return layers.at(17, 20, 23)


def yolov8(net: Net, *, neck: bool = True) -> list[str]:
    """Add YOLOv8n; without `neck` only the backbone of the classifier."""
    layers = Layers(net)

    def block(cout: int, n: int = 1, *, shortcut: bool = True) -> None:
        layers.add(lambda x: c2f_v8(net, x, cout, n, shortcut=shortcut))

    layers.conv(16)
    for cout, n in ((32, 1), (64, 2), (128, 2), (256, 1)):
        layers.conv(cout)
        block(cout, n)
    if not neck:
        return layers.at(8)
    layers.add(lambda x: sppf(net, x, 256))
    layers.up_and_join(6)
    block(128, shortcut=False)
    layers.up_and_join(4)
    block(64, shortcut=False)
    layers.conv(64)
    layers.join(12)
    block(128, shortcut=False)
    layers.conv(128)
    layers.join(9)
    block(256, shortcut=False)
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


def yolo11(net: Net, *, neck: bool = True) -> list[str]:
    """Add YOLO11n; without `neck` only the backbone of the classifier, which has no pyramid of poolings."""
    layers = Layers(net)

    def block(cout: int, *, nested: bool = False, hidden: int | None = None) -> None:
        layers.add(lambda x: c3k2(net, x, cout, hidden or cout // 2, nested=nested))

    layers.conv(16)
    layers.conv(32)
    block(64, hidden=16)
    layers.conv(64)
    block(128, hidden=32)
    layers.conv(128)
    block(128, nested=True)
    layers.conv(256)
    block(256, nested=True)
    if neck:
        layers.add(lambda x: sppf(net, x, 256))
    layers.add(lambda x: c2psa(net, x, 256))
    if not neck:
        return layers.at(9)
    layers.up_and_join(6)
    block(128)
    layers.up_and_join(4)
    block(64)
    layers.conv(64)
    layers.join(13)
    block(128)
    layers.conv(128)
    layers.join(10)
    block(256, nested=True)
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


def yolov9(net: Net) -> list[str]:
    """Add YOLOv9t with its re-parametrised convolutions merged."""
    layers = Layers(net)

    def down(cout: int) -> None:
        layers.add(lambda x: aconv(net, x, cout))

    def block(cout: int) -> None:
        def stage(name: str, x: str) -> str:
            width = cout // 2
            with net.scope(name):
                with net.scope(f"{name}.0"):
                    x = c3(net, x, width, 3, kernels=(3, 3))
                return named_conv(net, f"{name}.1", x, width, 3)

        layers.add(lambda x: elan(net, x, cout, cout, stage))

    layers.conv(16)
    layers.conv(32)
    layers.add(lambda x: elan(net, x, 32, 32, lambda name, v: named_conv(net, name, v, 16, 3)))
    for cout in (64, 96, 128):
        down(cout)
        block(cout)
    layers.add(lambda x: sppelan(net, x, 128, 64))
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


def _yolov5nu(net: Net) -> None:
    _detect(net, 24, yolov5(net))


def _yolov8n(net: Net) -> None:
    _detect(net, 22, yolov8(net))


def _yolov8n_seg(net: Net) -> None:
    _detect(net, 22, yolov8(net), extra=MASKS, prototypes=64)


def _yolov8n_pose(net: Net) -> None:
    _detect(net, 22, yolov8(net), classes=1, extra=KEYPOINTS)


def _yolov8n_cls(net: Net) -> None:
    (last,) = yolov8(net, neck=False)
    with net.scope("model.9"):
        classify(net, last, 1000)


def _yolo11n(net: Net) -> None:
    _detect(net, 23, yolo11(net), light=True)


def _yolo11n_cls(net: Net) -> None:
    (last,) = yolo11(net, neck=False)
    with net.scope("model.10"):
        classify(net, last, 1000)


def _yolo11n_pose(net: Net) -> None:
    _detect(net, 23, yolo11(net), light=True, classes=1, extra=KEYPOINTS)


def _yolo12n(net: Net) -> None:
    _detect(net, 21, yolo12(net), light=True)


def _yolov10n(net: Net) -> None:
    _detect(net, 23, yolov10(net), light=True, branches=("one2one_cv2", "one2one_cv3"))


def _yolo11n_seg(net: Net) -> None:
    _detect(net, 23, yolo11(net), light=True, extra=MASKS, prototypes=64)


def _yolov9t(net: Net) -> None:
    _detect(net, 22, yolov9(net))


def _detect(net: Net, number: int, scales: list[str], *, classes: int = CLASSES, **options: Any) -> None:
    """Add the detection head as layer `number`."""
    with net.scope(f"model.{number}"):
        detect(net, scales, classes, **options)


_BUILDERS: dict[str, Callable[[Net], None]] = {
    "yolov5nu": _yolov5nu,
    "yolov8n": _yolov8n,
    "yolov8n_cls": _yolov8n_cls,
    "yolov8n_seg": _yolov8n_seg,
    "yolov8n_pose": _yolov8n_pose,
    "yolo11n": _yolo11n,
    "yolo11n_cls": _yolo11n_cls,
    "yolo11n_pose": _yolo11n_pose,
    "yolo11n_seg": _yolo11n_seg,
    "yolo12n": _yolo12n,
    "yolov9t": _yolov9t,
    "yolov10n": _yolov10n,
}

MODELS: tuple[str, ...] = tuple(_BUILDERS)


def build(name: str, *, size: int | None = None, seed: int = 0) -> Graph:
    """Return the graph of a model with random weights.

    Parameters
    ----------
    name : str
        One of :data:`MODELS`.
    size : int, optional
        Height and width of the input, a multiple of 32; 640, for the classifier 224.
    seed : int

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    if name not in _BUILDERS:
        raise unknown_name("model", name, MODELS)
    side = size or (224 if name.endswith("_cls") else 640)
    net = Net(name, (1, 3, side, side), seed)
    _BUILDERS[name](net)
    return net.graph()
