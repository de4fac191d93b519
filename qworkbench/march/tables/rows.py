"""Short spellings for the tables: dtypes, and builders for a row of each quantization class."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

from qworkbench.march.clauses import Clause
from qworkbench.march.row import Basis, OpRow, PluginRow, QuantClass, Supported

INT8 = ("int8",)
INT8_16 = ("int8", "int16")
BOOL = ("bool",)


class Limits(TypedDict):
    """The columns that a group of rows shares."""

    ranks: tuple[int, int] | None
    dtypes: tuple[str, ...]


class RowOptions(TypedDict, total=False):
    """Optional columns of a row; see :class:`qworkbench.march.row.OpRow`."""

    ranks: tuple[int, int] | None
    dtypes: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[str, ...]
    stated: bool
    basis: Basis
    supported: Supported
    notes: str


def active(op: str, *clauses: Clause, **options: Unpack[RowOptions]) -> OpRow:
    """Return a row of class active; ``supported`` is "yes" without clauses and a rank rule of its own."""
    return _row(op, "active", clauses, options)


def passive(op: str, *clauses: Clause, **options: Unpack[RowOptions]) -> OpRow:
    """Return a row of class passive."""
    return _row(op, "passive", clauses, options)


def manual(op: str, *clauses: Clause, **options: Unpack[RowOptions]) -> OpRow:
    """Return a row of class manual."""
    return _row(op, "manual", clauses, options)


def folded(op: str, *clauses: Clause, notes: str = "", supported: Supported = "conditional") -> OpRow:
    """Return a row for an op that never reaches the BPU: it is removed or folded into a constant."""
    return OpRow(op, supported, clauses, ranks=None, notes=notes)


def on_cpu(notes: str, ops: str, *, basis: Basis = "documented") -> tuple[OpRow, ...]:
    """Return one unsupported row per operator named in `ops`, all with the same note."""
    return tuple(OpRow(op, "no", notes=notes, basis=basis) for op in ops.split())


def plugin(
    names: str,
    supported: Supported,
    quant_class: QuantClass,
    *,
    constraint: str = "",
    inputs: str = "",
    outputs: str = "",
    stated: bool = False,
    notes: str = "",
) -> tuple[PluginRow, ...]:
    """Return one row of the training plugin's table per torch name in `names`."""
    basis: Literal["stated", "inferred"] = "stated" if stated else "inferred"
    return tuple(
        PluginRow(name, supported, constraint, inputs, outputs, quant_class, basis, notes) for name in names.split()
    )


def _row(op: str, quant_class: QuantClass, clauses: tuple[Clause, ...], options: RowOptions) -> OpRow:
    dtypes = options.get("dtypes", INT8)
    ranks = options.get("ranks", (4, 4))
    bare = not clauses and "ranks" not in options
    return OpRow(
        op,
        options.get("supported", "yes" if bare else "conditional"),
        clauses,
        ranks=ranks,
        input_dtypes=dtypes,
        output_dtypes=options.get("outputs", dtypes),
        weight_dtypes=options.get("weights", ()),
        quant_class=quant_class,
        class_basis="stated" if options.get("stated", False) else "inferred",
        basis=options.get("basis", "documented"),
        notes=options.get("notes", ""),
    )
