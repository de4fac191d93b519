"""The table of a march: one row per operator, general limits, and the parameters that placement and emulation read.

``March.supports`` answers the first of the two placement questions, whether the BPU can run a node at all, and with
which numbers it can not. The second one (does the node find a threshold in its context) belongs to
:mod:`qworkbench.placement`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qworkbench.errors import unknown_name
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.march.clauses import Clause, Fact
from qworkbench.march.constraints import ClauseResult, check
from qworkbench.march.facts import node_facts
from qworkbench.march.row import OpRow, Parameter, PluginRow, Reading
from qworkbench.travel import Local


@dataclass(frozen=True, slots=True)
class Support:
    """Whether the BPU can run a node.

    Attributes
    ----------
    ok : bool
    results : tuple of ClauseResult
        Every clause that was evaluated, general ones first.
    row : OpRow
        The row that decided.
    """

    ok: bool
    results: tuple[ClauseResult, ...]
    row: OpRow

    @property
    def failed(self) -> tuple[ClauseResult, ...]:
        """The clauses that do not hold."""
        return tuple(result for result in self.results if not result.ok)

    @property
    def unknown(self) -> tuple[ClauseResult, ...]:
        """The clauses that could not be checked and count as satisfied."""
        return tuple(result for result in self.results if not result.known)

    @property
    def text(self) -> str:
        """One sentence: the offending values, or what the row says."""
        if self.failed:
            return f"{self.row.op}: {'; '.join(result.text for result in self.failed)}"
        if self.row.supported == "unknown":
            return f"{self.row.op}: no public list says whether the BPU has it, assumed on the {self.row.assumed}"
        if self.ok:
            return f"{self.row.op} meets the constraints"
        return f"{self.row.op} is not on the BPU{f' ({self.row.notes})' if self.row.notes else ''}"


VERDICTS = 1024
"""How many verdicts a march remembers."""


@dataclass(frozen=True, eq=False)
class March:
    """One BPU generation.

    Attributes
    ----------
    name : str
        ``"bayes-e"``.
    chips : tuple of str
    general : tuple of Clause
        Limits that every op obeys.
    rows : Mapping of str to OpRow
    parameters : Mapping of str to Parameter
    figures : Mapping of str to Parameter
        Rates and sizes of the machine, which only the estimate of latency reads.
    plugin_rows : Mapping of str to PluginRow
        The training plugin's table, keyed by torch name.
    source : str
    readings : Mapping of str to Reading
        By operator, where a parameter chooses between two rows.
    """

    name: str
    chips: tuple[str, ...]
    general: tuple[Clause, ...]
    rows: Mapping[str, OpRow]
    parameters: Mapping[str, Parameter]
    figures: Mapping[str, Parameter] = field(default_factory=dict)
    plugin_rows: Mapping[str, PluginRow] = field(default_factory=dict)
    source: str = ""
    readings: Mapping[str, Reading] = field(default_factory=dict)
    _verdicts: Local = field(default_factory=Local, init=False, repr=False)

    def row(self, op: str) -> OpRow:
        """Return the row of `op`; for an op that the list does not name, a row that says so."""
        other = self.readings.get(op)
        if other is not None and self.parameter(other.parameter) == other.value:
            return other.row
        found = self.rows.get(op)
        return found or OpRow(op, "no", notes=f"the operator list of {self.name} does not name it", source=self.source)

    @property
    def otherwise(self) -> frozenset[str]:
        """The operators that a parameter reads by another row than the list's."""
        return frozenset(op for op, other in self.readings.items() if self.parameter(other.parameter) == other.value)

    def row_for(self, graph: Graph, node: Node) -> OpRow:
        """Return the row that a node falls under: a Gemm over more than two dims is a MatMul in the list."""
        if node.op == "Gemm" and node.inputs[0] is not None and len(graph.shape(node.inputs[0])) != 2:
            return self.row("MatMul")
        return self.row(node.op)

    def parameter(self, name: str) -> Any:
        """Return the value of a parameter.

        Raises
        ------
        UnknownNameError
            With the nearest names.
        """
        if name not in self.parameters:
            raise unknown_name(f"parameter of march {self.name}", name, self.parameters)
        return self.parameters[name].value

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that a node may be asked to have."""
        wide = ("int16",) if self.parameter("int16_supported") else ()
        return ("int8", *wide, *(("float16",) if self.parameter("float16") != "none" else ()))

    def with_parameters(self, chosen: Mapping[str, Any]) -> March:
        """Return this march with other values for the parameters and figures of `chosen`.

        Raises
        ------
        UnknownNameError
            For a name that is neither.
        """
        if not chosen:
            return self
        for name in chosen:
            if name not in self.figures:
                self.parameter(name)
        return replace(self, parameters=_changed(self.parameters, chosen), figures=_changed(self.figures, chosen))

    def supports(
        self, graph: Graph, node: Node, *, batch: int | None = None, known: Mapping[str, Fact] | None = None
    ) -> Support:
        """Evaluate the general clauses and those of the node's row.

        Parameters
        ----------
        graph : Graph
        node : Node
            A node of `graph`.
        batch : int, optional
            Batch that the board model is compiled for; the parameter ``input_batch`` (1) unless given.
        known : Mapping of str to Fact, optional
            Facts that only the caller knows (``output_dtype``, ``is_last`` of a subgraph); they win.
        """
        row = self.row_for(graph, node)
        if not row.runs:
            return Support(False, (), row)
        facts = node_facts(graph, node, self.parameter("input_batch") if batch is None else batch)
        facts.update(known or {})
        key = (row.op, *facts.items())  # most nodes of a model are like another one
        found: Support | None = self._verdicts.get(key)
        if found is None:
            results = check((*row.rank_clauses, *self.general, *row.clauses), facts)
            found = Support(all(result.ok for result in results), results, row)
            self._verdicts.keep(key, found, VERDICTS)
        return found


def _changed(held: Mapping[str, Parameter], chosen: Mapping[str, Any]) -> dict[str, Parameter]:
    return {name: replace(p, value=chosen[name]) if name in chosen else p for name, p in held.items()}


def table(source: str, *groups: tuple[OpRow, ...]) -> dict[str, OpRow]:
    """Return the rows of `groups` keyed by op, with `source` written into those that name none.

    Raises
    ------
    ValueError
        For an op that is named twice, a mistake in the tables.
    """
    rows: dict[str, OpRow] = {}
    for row in (row for group in groups for row in group):
        if row.op in rows:
            raise ValueError(f"two rows for {row.op} in the table of {source}")
        rows[row.op] = row if row.source else replace(row, source=source)
    return rows
