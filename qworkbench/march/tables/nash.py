"""What nash-e, -m, -p, -h and -b (J6, S100, S600) can do, as far as the public material says.

The vendor's operator pages of these marches are not public in full: ten rows are, and statements by class. Every other
operator has a row marked ``unknown`` that is read as bayes-e's, the nearest march with a complete list, without its
shape limits (the public rows of nash allow any shape). Such a row says so wherever it decides.
"""

from __future__ import annotations

from dataclasses import replace

from qworkbench.march.clauses import Between
from qworkbench.march.row import Basis, OpRow
from qworkbench.march.table import March, table
from qworkbench.march.tables.bayes_e import BAYES_E
from qworkbench.march.tables.machine import MEBI, machine
from qworkbench.march.tables.parameters import all_parameters
from qworkbench.march.tables.rows import active
from qworkbench.march.tables.shared import FOLDED

EM_SOURCE = "operator constraints of J6E / J6M, public excerpt"
PH_SOURCE = "operator constraints of J6P / J6H, public excerpt"
CLASS_SOURCE = "J6 accuracy tuning guide; public agent manuals of S100 / S600"

INTEGER = ("int8", "int16")
WITH_HALF = ("int8", "int16", "float16")
ANY_SHAPE = "shape limits are not public, none are assumed"
AS_BAYES_E = "unknown on this march, assumed on the {on}, as on bayes-e"
INDEX_OUTPUT = ("ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")


def gemm_rows(tail: str, *, half: bool) -> tuple[OpRow, ...]:
    """Return the multiply-accumulate ops, of which only the class is stated; `tail` is how they leave the model."""
    inputs = WITH_HALF if half else INTEGER
    outputs = tuple(dict.fromkeys((*inputs, tail)))
    stated = active("Conv", ranks=None, dtypes=inputs, outputs=outputs, weights=INTEGER, stated=True, supported="yes")
    # a transposed convolution at the end is requantized, as on every other march
    return tuple(
        replace(stated, op=op, output_dtypes=inputs if op == "ConvTranspose" else outputs, assumption=ANY_SHAPE)
        for op in ("Conv", "ConvTranspose", "Gemm", "MatMul")
    )


def excerpt_rows(trigonometric: tuple[str, ...], *more: OpRow) -> tuple[OpRow, ...]:
    """Return the rows that can be read in public; the dtypes of Acos and Acosh differ per march."""
    table_notes = "int8: one table; int16: segmented table"
    return (
        active("Abs", ranks=None, supported="yes", dtypes=WITH_HALF, notes=table_notes),
        active("Acos", ranks=None, supported="yes", dtypes=trigonometric, notes=table_notes),
        active("Acosh", ranks=None, supported="yes", dtypes=trigonometric, notes=table_notes),
        active(
            "Add",
            ranks=None,
            supported="yes",
            dtypes=WITH_HALF,
            stated=True,
            notes="both sides of one dtype; overflow saturates",
        ),
        *more,
    )


def arg_rows() -> tuple[OpRow, ...]:
    """Return ArgMax and ArgMin, which only the excerpt of E and M has."""
    limit = Between("reduced_dims", 1, 32767)
    return (
        active("ArgMax", limit, ranks=None, dtypes=INTEGER, stated=True),
        active("ArgMin", limit, ranks=None, dtypes=INTEGER, notes="its row is cut; the text of its family"),
    )


def group_norm_row() -> OpRow:
    """Return GroupNormalization of E and M: that its pieces run on the BPU is stated, not which they are."""
    return active(
        "GroupNormalization",
        ranks=None,
        supported="yes",
        dtypes=INTEGER,
        notes="the exporter splits it into ops that each run on the BPU; assumed are those of its definition",
    )


def assumed_group_norm_row() -> OpRow:
    """Return GroupNormalization of P, H and B, whose row is not public: read as that of E and M."""
    return replace(
        group_norm_row(),
        supported="unknown",
        input_dtypes=WITH_HALF,
        output_dtypes=WITH_HALF,
        class_basis="inferred",
        basis="unknown",
        assumed="BPU",
        assumption="unknown on this march, assumed on the BPU, as on nash-e",
    )


def layer_norm_row() -> OpRow:
    """Return LayerNormalization of P and H, of which a float16 form is documented."""
    return active(
        "LayerNormalization",
        ranks=None,
        supported="yes",
        dtypes=("float16",),
        notes="float16 form, scaled by the tool against overflow",
    )


def unknown_rows(known: tuple[OpRow, ...]) -> tuple[OpRow, ...]:
    """Return a row for every operator of bayes-e that `known` does not name, marked unknown and read as there."""
    named = {row.op for row in (*known, *FOLDED)}
    return tuple(_unknown(row) for row in BAYES_E.rows.values() if row.op not in named)


def _unknown(row: OpRow) -> OpRow:
    on = "BPU" if row.supported != "no" else "CPU"
    dtypes = () if on == "CPU" else INTEGER if row.op in INDEX_OUTPUT else WITH_HALF
    return replace(
        row,
        supported="unknown",
        clauses=(),
        ranks=None,
        input_dtypes=dtypes,
        output_dtypes=row.output_dtypes if row.op in INDEX_OUTPUT else dtypes,
        weight_dtypes=INTEGER if row.weight_dtypes else (),
        class_basis="inferred",
        basis="unknown",
        source=CLASS_SOURCE,
        assumed="BPU" if on == "BPU" else "CPU",
        assumption=AS_BAYES_E.format(on=on),
    )


def nash(
    name: str,
    chips: tuple[str, ...],
    *,
    excerpt: tuple[OpRow, ...],
    source: str,
    tail: tuple[str, Basis],
    float16: tuple[str, Basis],
    float_output: tuple[bool, Basis],
    dual_int16: tuple[bool, Basis],
    tops: float,
    ddr: float,
    on_chip: tuple[int, Basis],
) -> March:
    """Return one march of the family; tuples are (value, basis)."""
    gemms = tuple(replace(row, source=CLASS_SOURCE) for row in gemm_rows(tail[0], half=float_output[0]))
    known = (*gemms, *(replace(row, source=source) for row in excerpt))
    return March(
        name=name,
        chips=chips,
        general=(),
        rows=table(source, FOLDED, known, unknown_rows(known)),
        parameters=all_parameters(
            int16=(True, "documented"),
            tail_lut_int16=(False, "unknown"),
            residual_add=("elementwise", "unknown"),
            tail_dtype=tail,
            float16=float16,
            float_output=float_output,
            dual_int16=dual_int16,
            classes_basis="unknown",
        ),
        figures=machine(
            tops=tops,
            ddr=ddr,
            on_chip=on_chip,
            granule=16,
            granule_basis="documented",
            vector=tops * 1.5,
            int16_rate=0.5,
        ),
        source=source,
    )


def _e_or_m(name: str, chips: tuple[str, ...], *, tops: float, ddr: float) -> March:
    return nash(
        name,
        chips,
        excerpt=excerpt_rows(INTEGER, *arg_rows(), group_norm_row()),
        source=EM_SOURCE,
        tail=("int32", "documented"),
        float16=("on request", "documented"),
        float_output=(False, "documented"),
        dual_int16=(False, "inferred"),
        tops=tops,
        ddr=ddr,
        on_chip=(8 * MEBI, "unknown"),
    )


def _p_or_h(name: str, chips: tuple[str, ...], *, tops: float, ddr: float) -> March:
    return nash(
        name,
        chips,
        excerpt=excerpt_rows(WITH_HALF, layer_norm_row(), assumed_group_norm_row()),
        source=PH_SOURCE,
        tail=("float32", "documented"),
        float16=("default", "documented"),
        float_output=(True, "documented"),
        dual_int16=(True, "documented"),
        tops=tops,
        ddr=ddr,
        on_chip=(24 * MEBI, "inferred"),
    )


NASH_E = _e_or_m("nash-e", ("J6E", "RDK S100"), tops=80, ddr=60)
NASH_M = _e_or_m("nash-m", ("J6M", "RDK S100P"), tops=128, ddr=80)
NASH_P = _p_or_h("nash-p", ("J6P", "RDK S600"), tops=560, ddr=150)
NASH_H = _p_or_h("nash-h", ("J6H",), tops=420, ddr=120)
NASH_B = nash(
    "nash-b",
    ("J6B",),
    excerpt=(assumed_group_norm_row(),),
    source=CLASS_SOURCE,
    tail=("float32", "documented"),
    float16=("on request", "unknown"),
    float_output=(True, "documented"),
    dual_int16=(False, "unknown"),
    tops=18,
    ddr=15,
    on_chip=(4 * MEBI, "unknown"),
)
