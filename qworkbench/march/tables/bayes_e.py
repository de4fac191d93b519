"""What bayes-e (RDK X5) can do, as far as it differs from bayes: more lookups, ranks up to 10, free broadcasting."""

from __future__ import annotations

from qworkbench.march.clauses import AtLeast, AtMost, Between, Clause, Equals, When
from qworkbench.march.row import OpRow
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
from qworkbench.march.tables.rows import INT8_16, active, on_cpu, passive
from qworkbench.march.tables.shared import FOLDED

SOURCE = "RDK X5 supported-op list (ONNX)"

MERGE = When(AtLeast("output_rank", 5), (AtMost("merged_rank", 4),))
ONE_SIDED: tuple[Clause, ...] = (Equals("mutual_broadcast", False), MERGE)
MORE_LOOKUPS = "Acos Acosh Asin Asinh Atanh Cosh Erf Round Selu Sign Sinh Softsign Tan".split()

ON_BPU: tuple[OpRow, ...] = (
    *convolutions(32767, Between("effective_kernel_volume", 1, 32767)),
    *lookups(seen=True),
    *(active(op, ranks=(1, 10), dtypes=INT8_16) for op in MORE_LOOKUPS),
    active("PRelu", supported="conditional"),
    *elementwise((1, 10), MERGE, div=None),
    *comparisons((1, 10), *ONE_SIDED, maximum=(MERGE,)),
    *arg_reductions(
        Between("input_n", 1, 4096),
        Between("input_h", 1, 65536),
        Between("input_w", 1, 65536),
        Between("input_c", 1, 8191),
    ),
    *blocks(depth_to_space=INT8_16, space_to_depth=INT8_16),
    grid_sample(512 * 512),
    passive(
        "AveragePool",
        Between("kernel_h", 1, 256),
        Between("kernel_w", 1, 256),
        Between("kernel_area", 2, 8192),
        Between("stride_h", 1, 256),
        Between("stride_w", 1, 256),
        Between("pad_h", 0, 255),
        Between("pad_w", 0, 255),
        stated=True,
    ),
    passive(
        "GatherElements",
        Equals("indices_fit", True),
        ranks=(1, 10),
        dtypes=INT8_16,
        notes="on every axis but its own, indices reach no further than the input",
    ),
)

ON_CPU: tuple[OpRow, ...] = (
    *on_cpu("CPU: equal shapes, scalar operand, or broadcast up to rank 8", "And Or"),
    *on_cpu("CPU kernel available", "Mod"),
)

BAYES_E = March(
    name="bayes-e",
    chips=("RDK X5",),
    general=GENERAL,
    rows=table(SOURCE, FOLDED, SAME, ON_BPU, ON_CPU, EVERYWHERE_CPU),
    parameters=parameters(
        int16=(True, "documented"),
        tail_lut_int16=(True, "seen in logs"),
        residual_add=("elementwise", "seen in logs"),
    ),
    figures=machine(
        tops=10,
        ddr=12,
        on_chip=(2 * MEBI, "unknown"),
        granule=16,
        granule_basis="unknown",
        vector=15,
        fitted="inferred",
    ),
    plugin_rows=PLUGIN_ROWS,
    source=SOURCE,
    readings={"LayerNormalization": layer_norm(SOURCE)},
)
