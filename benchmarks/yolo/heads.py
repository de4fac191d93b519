"""What the models end in: per scale the class and the box convolution, permuted to NHWC; masks, keypoints, classes.

The decoding of boxes is left to the program around the model, as in the published board models.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.yolo.blocks import conv, named_conv
from benchmarks.yolo.net import Net

BOX = 4 * 16  # four sides, sixteen bins each


def detect(
    net: Net,
    scales: Sequence[str],
    classes: int,
    *,
    light: bool = False,
    extra: int = 0,
    prototypes: int = 0,
    branches: tuple[str, str] = ("cv2", "cv3"),
) -> None:
    """Add the outputs of every scale.

    Parameters
    ----------
    net : Net
    scales : sequence of str
        Feature maps, finest first.
    classes : int
    light : bool
        The class branch is depthwise + pointwise pairs (YOLO11).
    extra : int
        Channels of a third branch per scale (mask coefficients, keypoints); 0 for none.
    prototypes : int
        Width of the mask prototypes; 0 for none.
    branches : tuple of str
        Modules of the box and the class branch.
    """
    box, score = branches
    first = net.channels(scales[0])
    for i, x in enumerate(scales):
        with net.scope(f"{score}.{i}"):
            width = max(first, min(classes, 100))
            y = _light(net, f"{score}.{i}", x, width) if light else _pair(net, f"{score}.{i}", x, width)
            scores = _last(net, f"{score}.{i}.2", y, classes)
        _out(net, scores)
        with net.scope(f"{box}.{i}"):
            boxes = _last(net, f"{box}.{i}.2", _pair(net, f"{box}.{i}", x, max(16, first // 4, BOX)), BOX)
        _out(net, boxes)
        if extra:
            with net.scope(f"cv4.{i}"):
                more = _last(net, f"cv4.{i}.2", _pair(net, f"cv4.{i}", x, max(first // 4, extra)), extra)
            _out(net, more)
    if prototypes:
        with net.scope("proto"):
            y = named_conv(net, "cv1", scales[0], prototypes, 3)
            with net.scope("upsample"):
                y = net.conv_transpose(y, prototypes, 2)
            y = named_conv(net, "cv2", y, prototypes, 3)
            masks = named_conv(net, "cv3", y, 32)
        _out(net, masks)


def classify(net: Net, x: str, classes: int) -> None:
    """Add a wide convolution, global pooling and one fully connected layer."""
    y = named_conv(net, "conv", x, 1280)
    n, c, _, _ = net.shape(y)
    with net.scope("pool"):
        y = net.node("GlobalAveragePool", (y,), (n, c, 1, 1))
    y = net.node("Flatten", (y,), (n, c), axis=1)
    with net.scope("linear"):
        net.output(net.linear(y, classes))


def _pair(net: Net, name: str, x: str, width: int) -> str:
    return named_conv(net, f"{name}.1", named_conv(net, f"{name}.0", x, width, 3), width, 3)


def _light(net: Net, name: str, x: str, width: int) -> str:
    for step in range(2):
        with net.scope(f"{name}.{step}"):
            with net.scope(f"{name}.{step}.0"):
                x = conv(net, x, net.channels(x), 3, groups=net.channels(x))
            x = named_conv(net, f"{name}.{step}.1", x, width)
    return x


def _last(net: Net, name: str, x: str, channels: int) -> str:
    with net.scope(name):
        return net.conv2d(x, channels)


def _out(net: Net, x: str) -> None:
    net.output(net.transpose(x, 0, 2, 3, 1))
