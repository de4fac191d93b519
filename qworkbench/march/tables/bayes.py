"""What bayes (RDK Ultra, J5) can do, as far as it differs from bayes-e."""

from __future__ import annotations

from qworkbench.march.clauses import AtLeast, AtMost, Between, Clause, Equals, When
from qworkbench.march.row import NOT_INTEGRATED, OpRow
from qworkbench.march.table import March, table
from qworkbench.march.tables.bayes_family import (
    GENERAL,
    SAME,
    arg_reductions,
    blocks,
    comparisons,
    convolutions,
    elementwise,
    grid_sample,
    layer_norm,
    lookups,
)
from qworkbench.march.tables.cpu_only import EVERYWHERE_CPU
from qworkbench.march.tables.machine import MEBI, machine
from qworkbench.march.tables.parameters import parameters
from qworkbench.march.tables.plugin_bayes import PLUGIN_ROWS
from qworkbench.march.tables.rows import INT8, INT8_16, on_cpu, passive
from qworkbench.march.tables.shared import FOLDED

SOURCE = "RDK Ultra supported-op list (ONNX)"

MERGE = When(AtLeast("output_rank", 5), (AtMost("merged_rank_plain_only", 4),))
MUTUAL: tuple[Clause, ...] = (Equals("broadcasts_first_dim", False), MERGE)
ONE_SIDED: tuple[Clause, ...] = (Equals("mutual_broadcast", False), MERGE)

ON_BPU: tuple[OpRow, ...] = (
    *convolutions(65535, Between("weight_elements", 1, 65535)),
    *lookups(Between("input_first_dim", 1, 4096), Between("input_other_dims", 1, 65536), seen=False),
    *elementwise((2, 5), *MUTUAL, div=Equals("constant_operands", 0)),
    *comparisons((2, 5), *ONE_SIDED, maximum=ONE_SIDED),
    *arg_reductions(AtMost("input_c", 64)),
    *blocks(depth_to_space=INT8, space_to_depth=INT8),
    grid_sample(720 * 1024),
    passive(
        "AveragePool",
        *(AtMost(f"{name}_{axis}", 256) for name in ("kernel", "stride", "pad") for axis in "hw"),
        stated=True,
    ),
    passive("GatherElements", ranks=(1, 10), dtypes=INT8_16, notes="indices int16, int32 or int64"),
)

ON_CPU: tuple[OpRow, ...] = (
    *on_cpu("CPU: float", "Acos Acosh Asin Asinh Atanh Cosh Selu Sinh Softsign Tan"),
    *on_cpu("CPU: float or double", "Erf"),
    *on_cpu("CPU: equal shapes, scalar operand, or broadcast up to rank 5", "And Or"),
    *on_cpu("CPU: float; slope of the same shape, scalar, or per channel", "PRelu"),
    *on_cpu("CPU kernel available", "Round Sign"),
    *on_cpu(NOT_INTEGRATED, "Mod"),
)

BAYES = March(
    name="bayes",
    chips=("J5", "RDK Ultra"),
    general=GENERAL,
    rows=table(SOURCE, FOLDED, SAME, ON_BPU, ON_CPU, EVERYWHERE_CPU),
    parameters=parameters(
        int16=(True, "documented"),
        tail_lut_int16=(True, "inferred"),
        residual_add=("elementwise", "inferred"),
    ),
    figures=machine(tops=96, ddr=25, on_chip=(4 * MEBI, "unknown"), granule=16, granule_basis="unknown", vector=144),
    plugin_rows=PLUGIN_ROWS,
    source=SOURCE,
    readings={"LayerNormalization": layer_norm(SOURCE)},
)
