"""What one placed unit becomes in the vendor's quantized graph: its node types, and the nodes that it is split into.

A table of types and a few functions, each one rewrite that the printed tables show. An operator whose printed type is
not public keeps its ONNX name. Knows nothing of names' length, Requantize rows or thresholds' values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.march.table import March
from qworkbench.placement.dtypes import is_table
from qworkbench.placement.types import Placement, Unit

CONV = "HzSQuantizedConv"

TYPES: dict[str, str] = {
    "Conv": CONV,
    "Gemm": CONV,
    "AveragePool": CONV,
    "ConvTranspose": "HzSQuantizedConvTranspose",
    "MatMul": "HzSQuantizedMatmul",
    "Add": "HzSElementwiseAdd",
    "Sub": "HzSElementwiseSub",
    "Mul": "HzSElementwiseMul",
    "MaxPool": "HzQuantizedMaxPool",
    "GlobalAveragePool": "HzSQuantizedGlobalAveragePool",
    "Resize": "HzQuantizedResizeUpsample",
    "ReduceMax": "HzQuantizedReduceMax",
    "ReduceSum": "HzSQuantizedReduceSum",
    "ReduceMean": "HzSQuantizedReduceMean",
    "Flatten": "Reshape",
    "Squeeze": "Reshape",
    "Unsqueeze": "Reshape",
}


@dataclass(frozen=True, slots=True)
class Lowered:
    """One node of the quantized graph.

    Attributes
    ----------
    name, type : str
    first_input : str or None
        Value (canonical) whose threshold the table prints; None for a tensor that only the quantized graph has.
    on_cpu : bool
        A float node that stays on the CPU behind a BPU node.
    """

    name: str
    type: str
    first_input: str | None
    on_cpu: bool = False


@dataclass(frozen=True, slots=True)
class _Site:
    """A unit in its graph, where it was placed, and on which march."""

    graph: Graph
    placement: Placement
    march: March
    unit: Unit

    @property
    def node(self) -> Node:
        return self.graph.nodes[self.unit.anchor]

    def one(self, type_: str) -> tuple[Lowered, ...]:
        return (Lowered(self.node.name, type_, self.unit.inputs[0]),)


def lower_unit(graph: Graph, placement: Placement, march: March, unit: Unit) -> tuple[Lowered, ...]:
    """Return the nodes that a unit on the BPU becomes, in order; the first name of a fused unit is its anchor's."""
    site = _Site(graph, placement, march, unit)
    rewrite = _REWRITES.get(unit.op)
    if rewrite is not None:
        return rewrite(site)
    if is_table(unit):
        placed = placement[unit.anchor]
        return site.one("HzLut2Layer" if "int16" in (placed.input_dtype, placed.dtype) else "HzLut")
    return site.one(TYPES.get(unit.op, unit.op))


def _gemm(site: _Site) -> tuple[Lowered, ...]:
    """Make a Gemm a 1x1 convolution; behind a tail its own shape is restored on the CPU."""
    if site.placement[site.unit.anchor].dtype != "int32":
        return site.one(CONV)
    rank = len(site.graph.values[site.node.output].shape)
    suffix = "transpose_output_reshape" if rank == 2 else "reshape_output"
    return (*site.one(CONV), Lowered(f"{site.node.name}_{suffix}", "Reshape", None, on_cpu=True))


def _add(site: _Site) -> tuple[Lowered, ...]:
    """Make an Add elementwise, or the sum that enters an identity convolution of the tensor that was there first."""
    features = dict.fromkeys(site.unit.inputs)
    if site.march.parameter("residual_add") != "unit_conv" or len(features) < 2:
        return site.one(TYPES["Add"])
    order = [*site.graph.inputs, *(value for node in site.graph.nodes for value in node.outputs)]
    return (Lowered(f"UNIT_CONV_FOR_{site.node.name}", CONV, min(features, key=order.index)),)


def _mul(site: _Site) -> tuple[Lowered, ...]:
    """Make a Mul by a constant scalar a convolution with that weight; any other stays elementwise."""
    return site.one(CONV if _has_scalar(site) else TYPES["Mul"])


def _matmul(site: _Site) -> tuple[Lowered, ...]:
    """Make a MatMul by a constant a convolution, too."""
    return site.one(TYPES["MatMul"] if len(site.graph.data_inputs(site.node)) > 1 else CONV)


def _div(site: _Site) -> tuple[Lowered, ...]:
    """Make a Div the reciprocal of its second operand, a table, and a Mul; a constant's reciprocal is a constant."""
    graph, name = site.graph, site.node.name
    numerator, denominator = (
        site.placement.canonical[v] if graph.is_activation(v) and v is not None else None for v in site.node.inputs
    )
    if denominator is None:
        return (Lowered(f"{name}_mul", CONV if _has_scalar(site) else TYPES["Mul"], numerator),)
    return (
        Lowered(f"{name}_reciprocal", "HzLut", denominator),
        Lowered(f"{name}_mul", TYPES["Mul"], numerator),
    )


def _softmax(site: _Site) -> tuple[Lowered, ...]:
    """Make a Softmax its chain. The order and the endings are published, what stands before them is our own wording."""
    name, ending, x = site.node.name, "FROM_QUANTIZED_SOFTMAX", site.unit.inputs[0]
    return (
        Lowered(f"{name}_reducemax_{ending}", TYPES["ReduceMax"], x),
        Lowered(f"{name}_sub_{ending}", TYPES["Sub"], x),
        Lowered(f"{name}_exp_{ending}", "HzLut", None),
        Lowered(f"{name}_reducesum_{ending}", TYPES["ReduceSum"], None),
        Lowered(f"{name}_div_{ending}_reciprocal", "HzLut", None),
        Lowered(f"{name}_div_{ending}_mul", TYPES["Mul"], None),
    )


def _has_scalar(site: _Site) -> bool:
    values = (site.graph.values[v] for v in site.node.inputs if v is not None and not site.graph.is_activation(v))
    return any(all(dim == 1 for dim in value.shape) for value in values)


_REWRITES: dict[str, Callable[[_Site], tuple[Lowered, ...]]] = {
    "Add": _add,
    "Gemm": _gemm,
    "Mul": _mul,
    "MatMul": _matmul,
    "Div": _div,
    "Softmax": _softmax,
}
