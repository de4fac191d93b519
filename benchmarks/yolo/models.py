"""The models by their published names: a family at a size, with the head of its task."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.yolo import families
from benchmarks.yolo.heads import classify, detect
from benchmarks.yolo.net import Net
from benchmarks.yolo.sizes import YOLO11, YOLOV5, YOLOV8, YOLOV9, Size
from qworkbench.errors import unknown_name
from qworkbench.graph.ir import Graph

MASKS, KEYPOINTS, ANGLES = 32, 17 * 3, 1
TASKS = ("", "_cls", "_seg", "_pose", "_obb")
"""Detection, classification, segmentation, poses, and boxes that are turned."""


def _head(net: Net, number: int, scales: list[str], task: str, *, prototypes: int = 0, **options: Any) -> None:
    """Add the head of `task` as layer `number`."""
    classes = {"_pose": 1, "_obb": 15}.get(task, 80)
    extra = {"_seg": MASKS, "_pose": KEYPOINTS, "_obb": ANGLES}.get(task, 0)
    with net.scope(f"model.{number}"):
        detect(net, scales, classes, extra=extra, prototypes=prototypes if task == "_seg" else 0, **options)


def _yolov5(net: Net, size: Size) -> None:
    _head(net, 24, families.yolov5(net, size), "")


def _yolov8(net: Net, size: Size, task: str) -> None:
    if task == "_cls":
        _classifier(net, 9, families.yolov8(net, replace(size, widest=1024), neck=False))
    else:
        _head(net, 22, families.yolov8(net, size), task, prototypes=size.channels(256))


def _yolo11(net: Net, size: Size, task: str) -> None:
    if task == "_cls":
        _classifier(net, 10, families.yolo11(net, size, neck=False))
    else:
        _head(net, 23, families.yolo11(net, size), task, prototypes=size.channels(256), light=True)


def _classifier(net: Net, number: int, last: list[str]) -> None:
    with net.scope(f"model.{number}"):
        classify(net, last[0], 1000)


_BUILDERS: dict[str, Callable[[Net], None]] = {
    **{f"yolov5{name}u": lambda net, size=size: _yolov5(net, size) for name, size in YOLOV5.items()},
    **{
        f"{family}{name}{task}": lambda net, make=make, size=size, task=task: make(net, size, task)
        for family, make, sizes in (("yolov8", _yolov8, YOLOV8), ("yolo11", _yolo11, YOLO11))
        for name, size in sizes.items()
        for task in TASKS
    },
    **{
        f"yolov9{name}": lambda net, size=size: _head(net, 22, families.yolov9(net, size), "")
        for name, size in YOLOV9.items()
    },
    "yolov10n": lambda net: _head(
        net, 23, families.yolov10(net), "", light=True, branches=("one2one_cv2", "one2one_cv3")
    ),
    "yolo12n": lambda net: _head(net, 21, families.yolo12(net), "", light=True),
}

MODELS: tuple[str, ...] = tuple(_BUILDERS)


def build(name: str, *, size: int | None = None, seed: int = 0) -> Graph:
    """Return the graph of a model with random weights.

    Parameters
    ----------
    name : str
        One of :data:`MODELS`; a task may be written with a hyphen, too (``yolov8n-seg``).
    size : int, optional
        Height and width of the input, a multiple of 32; 640, for the classifier 224.
    seed : int

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    known = re.sub("-(?=[a-z]+$)", "_", name)
    if known not in _BUILDERS:
        raise unknown_name("model", name, MODELS)
    side = size or (224 if known.endswith("_cls") else 640)
    net = Net(name, (1, 3, side, side), seed)
    _BUILDERS[known](net)
    return net.graph()
