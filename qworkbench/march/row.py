"""The rows of a march's table: one operator, one entry of the training plugin's table, one parameter.

Data only; what a node gets from them is :mod:`.table`'s answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from qworkbench.march.clauses import Between, Clause, Equals

NOT_INTEGRATED = "no CPU kernel either: conversion cannot place it"
"""The note of operators that the lists mark as left out of the CPU's library, too."""

Supported = Literal["yes", "conditional", "no", "unknown"]
QuantClass = Literal["active", "passive", "manual", "none"]
Basis = Literal["documented", "seen in logs", "inferred", "unknown"]


@dataclass(frozen=True, slots=True)
class OpRow:
    """What a march does with one operator.

    Attributes
    ----------
    op : str
        ONNX operator name.
    supported : "yes" | "conditional" | "no" | "unknown"
        ``conditional``: on the BPU where the clauses hold.
    clauses : tuple of Clause
    ranks : tuple of (int, int) or None
        Allowed ranks of input and output; None where the list allows any.
    input_dtypes, output_dtypes, weight_dtypes : tuple of str
        ``"int32"`` among the outputs: as the model's last op.
    quant_class : "active" | "passive" | "manual" | "none"
    class_basis : "stated" | "inferred"
        Whether the public documents name the op in its class, or its family does.
    basis : "documented" | "seen in logs" | "inferred" | "unknown"
        Where `supported` and the clauses come from.
    notes, source : str
    assumed : "BPU" | "CPU"
        Where an op of an ``unknown`` row is taken to run.
    assumption : str
        What of the row the public material leaves open, and how it is read; reasons and reports repeat it.
    """

    op: str
    supported: Supported
    clauses: tuple[Clause, ...] = ()
    ranks: tuple[int, int] | None = (4, 4)
    input_dtypes: tuple[str, ...] = ()
    output_dtypes: tuple[str, ...] = ()
    weight_dtypes: tuple[str, ...] = ()
    quant_class: QuantClass = "none"
    class_basis: Literal["stated", "inferred"] = "inferred"
    basis: Basis = "documented"
    notes: str = ""
    source: str = ""
    assumed: Literal["BPU", "CPU"] = "CPU"
    assumption: str = ""

    @property
    def runs(self) -> bool:
        """Tell whether the BPU has the op at all, where its clauses hold; an unknown row answers by assumption."""
        return self.assumed == "BPU" if self.supported == "unknown" else self.supported != "no"

    @property
    def converts(self) -> bool:
        """Tell whether the converter has a place for the op at all, on the BPU or on the CPU."""
        return self.runs or self.notes != NOT_INTEGRATED

    @property
    def rank_clauses(self) -> tuple[Clause, ...]:
        """The rank rule as clauses over ``input_rank`` and ``output_rank``."""
        if self.ranks is None:
            return ()
        low, high = self.ranks
        if low == high:
            return (Equals("input_rank", low), Equals("output_rank", low))
        return (Between("input_rank", low, high), Between("output_rank", low, high))


@dataclass(frozen=True, slots=True)
class Reading:
    """Another reading of an operator's row, in force where a parameter has a value.

    Attributes
    ----------
    parameter : str
    value : object
    row : OpRow
    instead : str
        What is assumed where the parameter has another value, for reasons.
    way : str
        What this reading does, for the ways to change a placement.
    """

    parameter: str
    value: Any
    row: OpRow
    instead: str
    way: str


@dataclass(frozen=True, slots=True)
class PluginRow:
    """What the training plugin's own table says of one torch operator (words only: its graph checks itself).

    Attributes
    ----------
    name : str
        ``torch.nn.GELU``.
    supported : "yes" | "conditional" | "no"
    constraint, notes : str
    input_dtypes, output_dtypes : str
        As the table prints them.
    quant_class, class_basis
        As in :class:`OpRow`.
    """

    name: str
    supported: Supported
    constraint: str
    input_dtypes: str
    output_dtypes: str
    quant_class: QuantClass
    class_basis: Literal["stated", "inferred"] = "inferred"
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that varies per march or that the public material leaves open.

    Attributes
    ----------
    value : object
    basis : "documented" | "seen in logs" | "inferred" | "unknown"
        Everything but the first two belongs under "assumptions" in a report.
    text : str
        One sentence for that report.
    """

    value: Any
    basis: Basis
    text: str
