"""What bernoulli2 (X3) can do: int8 only, rank 4, small kernels, lookup tables of at most 8192 elements."""

from __future__ import annotations

from qworkbench.march.clauses import (
    AtLeast,
    AtMost,
    Between,
    Clause,
    EachDivides,
    Equals,
    MatchesForm,
    MultipleOf,
    NoMoreThan,
    OneOf,
    PowerOfTwo,
    When,
    Within,
)
from qworkbench.march.row import NOT_INTEGRATED, OpRow
from qworkbench.march.table import March, table
from qworkbench.march.tables.cpu_only import EVERYWHERE_CPU
from qworkbench.march.tables.machine import MEBI, machine
from qworkbench.march.tables.parameters import parameters
from qworkbench.march.tables.plugin_bernoulli2 import PLUGIN_ROWS
from qworkbench.march.tables.rows import INT8, active, manual, on_cpu, passive
from qworkbench.march.tables.shared import COORDINATE_MODES, FOLDED

SOURCE = "RDK X3 supported-op list (ONNX)"
TAIL = ("int8", "int32")

# Sin, Cos, Sqrt, Tanh ...: one image, few elements
SMALL_TABLE: tuple[Clause, ...] = (Equals("input_n", 1), AtMost("input_chw", 8192))
POOL_STRIDE: tuple[Clause, ...] = (Between("stride_h", 1, 185), Between("stride_w", 1, 185))
SPATIAL_BLOCK: tuple[Clause, ...] = (OneOf("mode", ("DCR", "CRD")), Equals("blocksize", 2))
NORMALIZED_BY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FUSES_BEHIND = (*NORMALIZED_BY, "Add", "BatchNormalization")

CONV: tuple[Clause, ...] = (
    Between("kernel_h", 1, 7),
    Between("kernel_w", 1, 7),
    AtMost("in_channels_per_group", 2048),
    When(Equals("plain_conv", True), (AtMost("out_channels_per_group", 4096),)),
    When(Equals("plain_conv", False), (AtMost("out_channels_per_group", 2048),)),
    When(Equals("followed_by_add", True), (OneOf("stride_h", (1, 2)), OneOf("stride_w", (1, 2)))),
    PowerOfTwo("dilation_h"),
    PowerOfTwo("dilation_w"),
    When(AtLeast("dilation_h", 2), (MultipleOf("dilation_h", "stride_h"),)),
    When(AtLeast("dilation_w", 2), (MultipleOf("dilation_w", "stride_w"),)),
    NoMoreThan("dilation_h", "dilation_w"),
    AtMost("kernel_volume", 32768),
)

CONV_TRANSPOSE: tuple[Clause, ...] = (
    Between("kernel_h", 2, 14),
    Between("kernel_w", 2, 14),
    AtMost("input_c", 2048),
    AtMost("output_c", 2048),
    NoMoreThan("pad_h", "half_kernel_below_h"),
    NoMoreThan("pad_w", "half_kernel_below_w"),
    OneOf("stride_h", (2, 4)),
    OneOf("stride_w", (2, 4)),
    NoMoreThan("stride_h", "stride_w"),
    Equals("dilated", False),
)

# H * W / 8 * C / 4 <= 1024, and < 2048 where the accumulator leaves as int32
GEMM: tuple[Clause, ...] = (
    When(Equals("gemm_h", 1), (When(Equals("gemm_w", 1), (AtMost("gemm_c", 16384),)),)),
    When(AtLeast("gemm_h", 2), (AtMost("gemm_c", 2048), AtMost("out_features", 4096))),
    When(AtLeast("gemm_w", 2), (AtMost("gemm_c", 2048), AtMost("out_features", 4096))),
    When(Equals("is_last", False), (AtMost("in_features", 32768),)),
    When(Equals("is_last", True), (AtMost("in_features", 65535),)),
)

FEATURE_BY_CONSTANT = (
    "K KN",
    "K 1KN",
    "K 11KN",
    "MK K",
    "MK KN",
    "MK 11KN",
    "1MK K",
    "1MK 1KN",
    "11MK K",
    "11MK 1KN",
    "11MK 11KN",
    "BMK KN",
    "1BMK KN",
    "ABMK KN",
)
MATMUL: tuple[Clause, ...] = (
    When(Equals("operands", "featurexconstant"), (MatchesForm("matmul_a", "matmul_b", FEATURE_BY_CONSTANT),)),
    When(
        Equals("operands", "constantxfeature"),
        (MatchesForm("matmul_a", "matmul_b", ("1BMK 11KN",)), AtLeast("leading_a", 2)),
    ),
    When(Equals("operands", "featurexfeature"), (MatchesForm("matmul_a", "matmul_b", ("1BMK 11KN",)),)),
)

MUL: tuple[Clause, ...] = (
    Equals("x_rank", 4),
    Equals("y_rank", 4),
    AtMost("output_c", 2048),
    MatchesForm("x_shape", "y_shape", ("1CHW 1CHW", "1CHW 1C11", "1CHW 1111"), either_order=True),
)
ADD: tuple[Clause, ...] = (
    Equals("constant_operands", 0),
    AtMost("output_c", 2048),
    MatchesForm("x_shape", "y_shape", ("NCHW NCHW", "NCHW NC11"), either_order=True),
)

RESIZE: tuple[Clause, ...] = (
    OneOf("mode", ("nearest", "linear")),
    When(
        Equals("mode", "nearest"),
        (
            PowerOfTwo("resize_factor_h"),
            PowerOfTwo("resize_factor_w"),
            NoMoreThan("resize_factor_h", "resize_factor_w"),
        ),
    ),
    OneOf("coordinate_mode", COORDINATE_MODES),
)

ON_BPU: tuple[OpRow, ...] = (
    active(
        "Conv",
        *CONV,
        outputs=TAIL,
        weights=INT8,
        stated=True,
        notes="fuses BatchNormalization, a residual Add, Relu and Relu6; C of the kernel volume read as channels per "
        "group; the dilation rules bind where the dilation is above 1",
    ),
    active("ConvTranspose", *CONV_TRANSPOSE, weights=INT8, stated=True),
    active(
        "Gemm",
        *GEMM,
        ranks=(2, 2),
        outputs=TAIL,
        weights=INT8,
        stated=True,
        notes="converted to Conv over the tensor in front of the Flatten; a CPU Reshape stays behind it",
    ),
    active("MatMul", *MATMUL, ranks=(1, 4), outputs=TAIL, stated=True, notes="int8 operands only"),
    active("Add", *ADD, stated=True, notes="a residual Add fuses into the Conv before it"),
    active("Sum", *ADD),
    active(
        "Mul",
        *MUL,
        When(AtLeast("constant_operands", 1), (Equals("constant_has_zero", False),)),
        stated=True,
        notes="no operand value may be 0; of two feature maps that is not known before the run",
    ),
    active("Div", Equals("constant_operands", 0), *MUL),
    active(
        "BatchNormalization",
        OneOf("producer_op", NORMALIZED_BY),
        Equals("producer_read_once", True),
        notes="folds into the convolution before it; alone it stays on the CPU",
    ),
    active(
        "Relu",
        OneOf("producer_op", FUSES_BEHIND),
        ranks=None,
        notes="fuses into the convolution before it; behind an int32 tail it stays on the CPU",
    ),
    active("Clip", ranks=None, supported="yes", notes="Relu6 fuses into the convolution before it"),
    active("ArgMax", Equals("axis", 1), AtMost("input_c", 64), stated=True),
    active("ReduceMean", Equals("axes", (2, 3)), stated=True),
    active("LSTM", Equals("batch", 1), ranks=None),
    *(active(op) for op in ("Exp", "LeakyRelu", "PRelu", "Reciprocal")),
    active("Pow", Equals("exponent_is_scalar_constant", True)),
    active("Sigmoid", Equals("input_n", 1), AtMost("input_aligned_elements", 8192)),
    *(active(op, *SMALL_TABLE, stated=True) for op in ("Sin", "Cos")),
    *(active(op, *SMALL_TABLE) for op in ("Softplus", "Sqrt", "Tanh")),
    active("Rsqrt", *SMALL_TABLE, basis="inferred", notes="Sqrt and Reciprocal in the list"),
    active("Swish", basis="seen in logs", notes="Sigmoid times its input, one lookup; the training plugin has it too"),
    *(
        active(op, *SMALL_TABLE, stated=True, basis="inferred", notes="limits of the other lookups assumed")
        for op in ("Mish", "HardSwish")
    ),
    passive("AveragePool", Between("kernel_h", 1, 7), Between("kernel_w", 1, 7), *POOL_STRIDE, stated=True),
    passive(
        "MaxPool",
        Between("kernel_h", 1, 64),
        Between("kernel_w", 1, 64),
        *POOL_STRIDE,
        AtLeast("pad_h", 0),
        AtLeast("pad_w", 0),
        Equals("dilated", False),
        stated=True,
    ),
    passive("GlobalAveragePool", AtMost("input_hw", 8192), stated=True),
    passive("GlobalMaxPool", Between("input_h", 1, 1024), Between("input_w", 1, 1024), stated=True),
    passive("Concat", AtMost("output_c", 2048), Between("input_channels", 1, 2048), stated=True),
    passive("Slice", stated=True),
    passive("Split", OneOf("axis", (1, 2, 3)), EachDivides("split_parts", "split_dim")),
    passive("Pad", Equals("mode", "constant"), Within("padded_axes", (2, 3))),
    passive("DepthToSpace", *SPATIAL_BLOCK),
    passive("SpaceToDepth", *SPATIAL_BLOCK, stated=True),
    passive("Resize", *RESIZE, stated=True),
    passive("Upsample", notes="rewritten as Resize"),
    manual("Softmax", Equals("axis", 1), Equals("is_model_output", True), stated=True),
)

ON_CPU: tuple[OpRow, ...] = (
    OpRow(
        "Reshape",
        "no",
        quant_class="passive",
        class_basis="stated",
        notes="some patterns vanish, such as the one around Gemm",
    ),
    *on_cpu("it disappears only inside constant subgraphs", "Squeeze Unsqueeze"),
    *on_cpu("CPU: NHWC to NCHW and back, or any order for float, int8 and int32", "Transpose"),
    *on_cpu(
        "CPU: float",
        "Abs Acos Acosh ArgMin Asin Asinh Atan Atanh Ceil Cosh Elu Floor HardSigmoid Log Selu Sinh Softsign Tan TopK",
    ),
    *on_cpu("CPU: float or double", "Erf"),
    *on_cpu(
        "CPU: equal shapes, scalar operand, or broadcast up to rank 5",
        "And Equal Greater GreaterOrEqual Less LessOrEqual Max Min Or Sub",
    ),
    *on_cpu("CPU kernel available", "Expand Flatten GatherElements Round Sign"),
    *on_cpu("CPU: data float or integer; indices int32 or int64", "Gather"),
    *on_cpu("CPU: float or integer", "Tile"),
    *on_cpu("CPU: float, int32 or int8; rank 1 or 4", "NonZero"),
    *on_cpu("CPU: axes 0, 1 or as many as the rank", "ReduceMax ReduceSum"),
    *on_cpu(NOT_INTEGRATED, "GridSample Mod"),
    *on_cpu(
        "the converter sees Erf, which stays on the CPU; the training plugin assembles it", "Gelu", basis="inferred"
    ),
)

BERNOULLI2 = March(
    name="bernoulli2",
    chips=("X3", "RDK X3"),
    general=(Between("batch", 1, 128),),
    rows=table(SOURCE, FOLDED, ON_BPU, ON_CPU, EVERYWHERE_CPU),
    parameters=parameters(
        int16=(False, "documented"),
        tail_lut_int16=(False, "documented"),
        residual_add=("unit_conv", "seen in logs"),
    ),
    figures=machine(tops=5, ddr=6, on_chip=(MEBI, "unknown"), granule=8, granule_basis="inferred", vector=7.5),
    plugin_rows=PLUGIN_ROWS,
    source=SOURCE,
)
