"""The table that the vendor's converter prints for a model, from our graph and placement: one row per quantized node.

Columns as published: node, where it runs, subgraph, type, and the dtype of its input. Rows come in the order of the
graph; a Requantize stands in front of the Concat that needs it, one per input in input order. Nothing here decides
anything about placement: a row that differs from the vendor's points at a rule of :mod:`qworkbench.placement`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from qworkbench.errors import QWorkbenchError
from qworkbench.graph.ir import Graph
from qworkbench.march.table import March
from qworkbench.placement.types import Placement, Unit
from qworkbench.toolchain.absorbed import ENDS, absorbed_nodes
from qworkbench.toolchain.lowering import lower_unit
from qworkbench.toolchain.naming import preprocess_name, requantize_name, shortened

NO_SUBGRAPH = "--"
PREPROCESS = "HzSQuantizedPreprocess"
PREPROCESS_THRESHOLD = 127.0


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the converter's configuration says beside the placement.

    Attributes
    ----------
    image_inputs : tuple of str or None
        Model inputs that get a preprocess node (``input_type_rt`` nv12, rgb ...); None means every input of shape
        (N, 3, H, W) that the BPU reads.
    removed_at_ends : tuple of str
        Operators removed where they touch a model input or output (``remove_node_type``).
    thresholds : Mapping of str to float
        Threshold in force (its scale group's) per canonical value, as far as known: an edge whose two sides have the
        same one needs no Requantize. Without them only tensors of one scale group count as equal.
    """

    image_inputs: tuple[str, ...] | None = None
    removed_at_ends: tuple[str, ...] = ENDS
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes
    ----------
    node : str
        As printed: cut to its tail above fifty characters.
    on : "BPU" | "CPU"
    subgraph : str
        ``id(0)``, or ``--`` on the CPU.
    type : str
    dtype : str
        Of the input: int8, int16, or float on the CPU.
    name : str
        `node` uncut.
    source : str or None
        The graph node whose output the row makes; None for inserted rows and for pieces of a node.
    first_input : str or None
        Canonical value whose threshold is printed; None where ``--`` is.
    """

    node: str
    on: str
    subgraph: str
    type: str
    dtype: str
    name: str
    source: str | None = None
    first_input: str | None = None


def vendor_table(graph: Graph, placement: Placement, march: March, *, options: TableOptions | None = None) -> list[Row]:
    """Return the rows for `graph` placed on `march`.

    Parameters
    ----------
    graph : Graph
    placement : Placement
        Of this graph on this march.
    march : March
    options : TableOptions, optional

    Returns
    -------
    list of Row

    Raises
    ------
    QWorkbenchError
        When `placement` was made for another march.
    """
    if placement.march != march.name:
        raise QWorkbenchError(f"the placement is for {placement.march}, the table is asked for {march.name}")
    options = options or TableOptions()
    convolved = (name for name, placed in placement.nodes.items() if placed.on == "BPU")
    gone = absorbed_nodes(graph, frozenset(convolved), options.removed_at_ends)
    rows = list(_preprocess_rows(graph, placement, options))
    for unit in placement.units:
        if unit.anchor in gone:
            continue
        if placement[unit.anchor].on == "BPU":
            rows += _requantize_rows(graph, placement, unit, options)
            rows += _bpu_rows(graph, placement, march, unit)
        else:
            rows += [_cpu_row(name, graph.nodes[name].op, name) for name in unit.members]
    return rows


def _preprocess_rows(graph: Graph, placement: Placement, options: TableOptions) -> Iterator[Row]:
    for value in graph.inputs:
        readers = [u for u in placement.units if value in u.inputs and placement[u.anchor].on == "BPU"]
        if not readers:
            continue
        shape = graph.shape(value)
        image = len(shape) == 4 and shape[1] == 3
        if image if options.image_inputs is None else value in options.image_inputs:
            subgraph = f"id({placement[readers[0].anchor].subgraph})"
            name = preprocess_name(value)
            yield Row(shortened(name), "BPU", subgraph, PREPROCESS, "int8", name)


def _requantize_rows(graph: Graph, placement: Placement, unit: Unit, options: TableOptions) -> Iterator[Row]:
    for value in dict.fromkeys(unit.inputs):
        target = placement.requantized.get((value, unit.name))
        source = placement.group(value)
        if target is None or source is None:
            continue
        before = options.thresholds.get(value)
        same_dtype = placement.groups[target].dtype == source.dtype
        if same_dtype and before is not None and before == options.thresholds.get(unit.outputs[0]):
            continue
        name = requantize_name(graph, value)
        yield Row(shortened(name), "BPU", _subgraph(placement, unit), "HzRequantize", source.dtype, name)


def _bpu_rows(graph: Graph, placement: Placement, march: March, unit: Unit) -> Iterator[Row]:
    lowered = lower_unit(graph, placement, march, unit)
    whole = next(made for made in reversed(lowered) if not made.on_cpu)
    for made in lowered:
        if made.on_cpu:
            yield _cpu_row(made.name, made.type, unit.tail)
            continue
        dtype, subgraph = placement[unit.anchor].input_dtype, _subgraph(placement, unit)
        source = unit.tail if made is whole else None
        yield Row(shortened(made.name), "BPU", subgraph, made.type, dtype, made.name, source, made.first_input)


def _cpu_row(name: str, type_: str, source: str) -> Row:
    return Row(shortened(name), "CPU", NO_SUBGRAPH, type_, "float", name, source)


def _subgraph(placement: Placement, unit: Unit) -> str:
    return f"id({placement[unit.anchor].subgraph})"
