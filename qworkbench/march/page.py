"""The documentation page of a march, made from the table that decides: what the reader sees is what is checked."""

from __future__ import annotations

from qworkbench.march.clauses import describe
from qworkbench.march.row import OpRow
from qworkbench.march.table import March

EMPTY = "—"


def march_page(march: March) -> str:
    """Return a markdown page: general limits, operators on the BPU, those on the CPU, parameters, training plugin."""
    known = [row for row in march.rows.values() if row.supported != "unknown"]
    on_bpu = [row for row in known if row.supported != "no"]
    on_cpu = [row for row in known if row.supported == "no"]
    unknown = [row for row in march.rows.values() if row.supported == "unknown"]
    sections = [
        f"# {march.name}",
        f"Chips: {', '.join(march.chips)}. Source: {march.source}.",
        "## Limits for every operator",
        "\n".join(f"- {describe(clause)}" for clause in march.general) or "none",
        "## Operators on the BPU",
        _table(
            ("Operator", "Constraint", "Input", "Output", "Class", "Basis", "Notes"),
            [_on_bpu(row) for row in sorted(on_bpu, key=_by_name)],
        ),
        "## Operators on the CPU",
        _table(("Operator", "Basis", "Notes"), [(r.op, r.basis, r.notes) for r in sorted(on_cpu, key=_by_name)]),
        *(
            (
                "## Operators of which nothing is public",
                _table(
                    ("Operator", "Assumed", "Input", "Output", "Class", "Basis", "Notes"),
                    [_unknown(row) for row in sorted(unknown, key=_by_name)],
                ),
            )
            if unknown
            else ()
        ),
        "## Parameters",
        _table(
            ("Parameter", "Value", "Basis", "Meaning"),
            [(name, _value(p.value), p.basis, p.text) for name, p in march.parameters.items()],
        ),
        "## Figures of the machine",
        _table(
            ("Figure", "Value", "Basis", "Meaning"),
            [(name, _value(p.value), p.basis, p.text) for name, p in march.figures.items()],
        ),
        "## Operators of the training plugin",
        _table(
            ("Operator", "Supported", "Constraint", "Input", "Output", "Class", "Notes"),
            [
                (r.name, r.supported, r.constraint, r.input_dtypes, r.output_dtypes, r.quant_class, r.notes)
                for r in march.plugin_rows.values()
            ],
        ),
    ]
    return "\n\n".join(sections) + "\n"


def constraint_words(row: OpRow) -> str:
    """Return the rank rule and the clauses of `row` in words."""
    return "; ".join(describe(clause) for clause in (*row.rank_clauses, *row.clauses)) or "none"


def _unknown(row: OpRow) -> tuple[str, ...]:
    _, _, inputs, outputs, quant_class, basis, _ = _on_bpu(row)
    return (row.op, row.assumption, inputs, outputs, quant_class, basis, row.notes)


def _on_bpu(row: OpRow) -> tuple[str, ...]:
    quant_class = f"{row.quant_class} ({row.class_basis})" if row.quant_class != "none" else EMPTY
    return (
        row.op,
        constraint_words(row),
        ", ".join(row.input_dtypes) or EMPTY,
        ", ".join(row.output_dtypes) or EMPTY,
        quant_class,
        row.basis,
        "; ".join(text for text in (row.notes, row.assumption) if text),
    )


def _by_name(row: OpRow) -> str:
    return row.op.lower()


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
