"""Pooling and resizing: maxima and nearest neighbours pass codes through, averages are rescaled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qworkbench.errors import EmulationError
from qworkbench.numerics.arithmetic import ConvGeometry
from qworkbench.numerics.resize import linear_index, nearest_index

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.emulator.fingerprint import Plain
    from qworkbench.graph.node import Node
    from qworkbench.placement.types import Unit

BILINEAR_BITS = 8


def max_pool(builder: PlanBuilder, unit: Unit) -> None:
    """Lower MaxPool; the scale is kept."""
    node = builder.graph.nodes[unit.anchor]
    _keep(builder, unit, "max_pool", geometry=_geometry(node), ceil_mode=node.attrs["ceil_mode"])


def global_max_pool(builder: PlanBuilder, unit: Unit) -> None:
    """Lower GlobalMaxPool; the scale is kept."""
    _keep(builder, unit, "global_max_pool")


def average_pool(builder: PlanBuilder, unit: Unit) -> None:
    """Lower AveragePool: integer sum of the window, one rescale by ``s_x / (s_y * count)``."""
    attrs = builder.graph.nodes[unit.anchor].attrs
    _rescale(
        builder,
        unit,
        "average_pool",
        None,
        geometry=_geometry(builder.graph.nodes[unit.anchor]),
        ceil_mode=attrs["ceil_mode"],
        count_include_pad=attrs["count_include_pad"],
    )


def global_average_pool(builder: PlanBuilder, unit: Unit) -> None:
    """Lower GlobalAveragePool: integer sum over H and W, one rescale."""
    _rescale(builder, unit, "global_average_pool", ())


def resize(builder: PlanBuilder, unit: Unit) -> None:
    """Lower Resize: nearest copies codes, bilinear weighs four codes in fixed point; the scale is kept."""
    graph = builder.graph
    attrs = graph.nodes[unit.anchor].attrs
    mode = attrs["coordinate_transformation_mode"]
    before, after = graph.shape(unit.inputs[0])[2:], graph.shape(unit.outputs[0])[2:]
    scales = attrs["scales"] if attrs["scales"] is not None else (None, None)
    if attrs["mode"] == "nearest":
        index = tuple(nearest_index(a, b, mode, s) for a, b, s in zip(before, after, scales, strict=True))
        _keep(builder, unit, "resize", mode="nearest", size=tuple(after), index=index)
    elif attrs["mode"] == "linear":
        rows, columns = (
            linear_index(a, b, mode, s, BILINEAR_BITS) for a, b, s in zip(before, after, scales, strict=True)
        )
        _keep(builder, unit, "resize", mode="linear", index=(*rows, *columns), bits=BILINEAR_BITS)
    else:
        raise EmulationError(f"Resize {unit.name!r} interpolates {attrs['mode']}; the BPU has nearest and linear")


def _geometry(node: Node) -> ConvGeometry:
    attrs = node.attrs
    return ConvGeometry(
        kernel=tuple(attrs["kernel_shape"]),
        strides=tuple(attrs["strides"]),
        pads=tuple(attrs["pads"]),
        dilations=tuple(attrs.get("dilations", (1, 1))),
    )


def _keep(builder: PlanBuilder, unit: Unit, kind: str, **params: Any) -> None:
    x, source = builder.codes_for(unit.inputs[0], unit)
    value = unit.outputs[0]
    key = builder.add(unit.name, unit.name, kind, (x,), (f"{value}@{source.dtype}",), **params)
    builder.set_codes(value, key, source)


def _rescale(builder: PlanBuilder, unit: Unit, kind: str, given: tuple[Plain, ...] | None, **params: Any) -> None:
    x, source = builder.codes_for(unit.inputs[0], unit)
    value = unit.outputs[0]
    target = builder.quantity(value)
    rescale = builder.requantize_to(builder.ratio(source, target), target)
    counted = None if given is None else (*given, source.scale.tobytes(), *builder.rescaling(target))
    out = (f"{value}@{target.dtype}",)
    key = builder.add(unit.name, unit.name, kind, (x,), out, counted, requantize=rescale, **params)
    builder.set_codes(value, key, target)
