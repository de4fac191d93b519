"""What each unit has to do: multiply-accumulates, elements, bytes it reads and writes, and how its rows depend on rows.

Counted from shapes, dtypes and attributes; no rates here. Which rates turn work into time is
:mod:`qworkbench.estimate.rates`, what stays on the chip is :mod:`qworkbench.estimate.schedule`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.graph.vocabulary import family
from qworkbench.placement.types import Placement, Unit

BYTES = {"int8": 1, "int16": 2, "float16": 2, "int32": 4, "float32": 4, "int64": 4}
BY_ROWS = ("lut", "elementwise", "pool", "resize", "concat", "gemm", "norm")
WHOLE = ("GlobalAveragePool", "GlobalMaxPool", "AdaptiveAvgPool", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that a unit reads or writes: canonical value, bytes, and rows (H) that a tile can cut; 1 if none."""

    value: str
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one unit.

    Attributes
    ----------
    name, op : str
    on : "BPU" | "CPU"
    subgraph : int or None
    macs : int
        Multiply-accumulates.
    padded_macs : int
        The same with channels rounded up to the granule of the march.
    elements : int
        The larger of elements read and written, for what is no multiply-accumulate.
    form : str
        ``int8``, ``int16``, ``dual_int16``, ``float16`` or ``float32``: which rate applies.
    weight_bytes : int
    reads, writes : tuple of Tensor
    tileable : bool
        Whether rows of the output can be computed from rows of the inputs.
    kernel, stride : int
        Along H; what rows of the input a row of the output needs.
    """

    name: str
    op: str
    on: str
    subgraph: int | None
    macs: int
    padded_macs: int
    elements: int
    form: str
    weight_bytes: int
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]
    tileable: bool
    kernel: int = 1
    stride: int = 1


def works(graph: Graph, placement: Placement, batch: int, granule: int) -> tuple[Work, ...]:
    """Return the work of every unit in topological order, for `batch` samples."""
    dtype_of = {value: placement[unit.anchor].dtype for unit in placement.units for value in unit.outputs}
    return tuple(_work(graph, placement, unit, batch, granule, dtype_of) for unit in placement.units)


def _work(graph: Graph, placement: Placement, unit: Unit, batch: int, granule: int, dtype_of: dict[str, str]) -> Work:
    node, placed = graph.nodes[unit.anchor], placement[unit.anchor]
    on_bpu = placed.on == "BPU"

    def tensor(value: str, dtype: str) -> Tensor:
        shape = graph.shape(value, batch)
        rows = shape[2] if len(shape) == 4 else 1
        return Tensor(value, math.prod(shape) * BYTES.get(dtype, 4), rows)

    def read_dtype(value: str) -> str:
        group = placement.group(value)
        if not on_bpu:
            return "float32"
        return dtype_of.get(value, "float32") if placed.input_dtype == "float16" or group is None else group.dtype

    reads = tuple(tensor(v, read_dtype(v)) for v in dict.fromkeys(unit.inputs))
    writes = tuple(tensor(v, placed.dtype if on_bpu else "float32") for v in unit.outputs)
    macs, padded = multiply_accumulates(graph, node, batch, granule)
    weights = sum(
        math.prod(graph.shape(v)) * BYTES.get(placed.weight_dtype or "float32", 4)
        for v in node.inputs
        if v is not None and not graph.is_activation(v)
    )
    sizes = [math.prod(graph.shape(v, batch)) for v in (*unit.inputs, *unit.outputs)]
    kernel, stride = _window(node)
    return Work(
        name=unit.name,
        op=unit.op,
        on=placed.on,
        subgraph=placed.subgraph,
        macs=macs,
        padded_macs=padded,
        elements=max(sizes, default=0),
        form=_form(placed.input_dtype, placed.weight_dtype, placed.dtype),
        weight_bytes=weights,
        reads=reads,
        writes=writes,
        tileable=_tileable(graph, node, unit),
        kernel=kernel,
        stride=stride,
    )


def multiply_accumulates(graph: Graph, node: Node, batch: int, granule: int) -> tuple[int, int]:
    """Return the multiply-accumulates of `node`, and those with channels rounded up to `granule`; (0, 0) for others."""
    if family(node.op) != "gemm":
        return 0, 0
    first, second = node.inputs[0], node.inputs[1]
    assert first is not None
    assert second is not None
    x, w, y = graph.shape(first, batch), graph.shape(second, batch), graph.shape(node.output, batch)

    def up(size: int) -> int:
        return -(-size // granule) * granule

    if node.op in ("Conv", "ConvTranspose"):
        group = int(node.attrs["group"])
        area = math.prod(node.attrs["kernel_shape"])
        inner, outer = (x[1] // group, y[1] // group)
        points = math.prod(y[2:]) if node.op == "Conv" else math.prod(x[2:])
        count = x[0] * points * area * group
        return count * inner * outer, count * (up(inner) * up(outer) if group == 1 else up(inner) * outer)
    inner = x[-1] if x else 1
    outer = (w[0] if node.attrs.get("transB", True) else w[1]) if node.op == "Gemm" else w[-1]
    rows = math.prod(y) // max(outer, 1)
    return rows * inner * outer, rows * up(inner) * up(outer)


def _form(reads: str, weight: str, writes: str) -> str:
    if reads == "int16" and weight == "int16":
        return "dual_int16"
    wide = [dtype for dtype in (reads, weight, writes) if dtype in ("float16", "int16")]
    return "float16" if reads == "float16" else "int16" if "int16" in wide else "int8" if reads == "int8" else reads


def _window(node: Node) -> tuple[int, int]:
    kernel, strides = node.attrs.get("kernel_shape"), node.attrs.get("strides")
    if not kernel or len(kernel) != 2 or node.op == "ConvTranspose":
        return 1, 1
    dilations = node.attrs.get("dilations") or (1, 1)
    return (int(kernel[0]) - 1) * int(dilations[0]) + 1, int((strides or kernel)[0])


def _tileable(graph: Graph, node: Node, unit: Unit) -> bool:
    values = (*unit.inputs, *unit.outputs)
    if any(len(graph.values[v].shape) != 4 for v in values) or node.op in WHOLE:
        return False
    if node.op in ("Concat", "Split"):
        return node.attrs.get("axis") == 1
    return family(node.op) in BY_ROWS
