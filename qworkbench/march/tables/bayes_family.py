"""What bayes (Ultra, J5) and bayes-e (X5) share: the same machine, two lists that differ row by row.

Rows that are equal on both are here as data; rows that differ in a number are functions of that number. The two march
files add what only one of them has.
"""

from __future__ import annotations

from dataclasses import replace

from qworkbench.march.clauses import (
    AnyOf,
    AtLeast,
    AtMost,
    Between,
    Clause,
    EachDivides,
    Equals,
    MultipleOf,
    NoMoreThan,
    OneOf,
    PowerOfTwo,
    When,
)
from qworkbench.march.row import Basis, OpRow, Reading
from qworkbench.march.tables.rows import BOOL, INT8, INT8_16, Limits, active, manual, passive
from qworkbench.march.tables.shared import COORDINATE_MODES

GIGA = 2**30
TAIL_INT8 = ("int8", "int32")
TAIL_INT16 = ("int8", "int16", "int32")
SINGLE_AXIS = Equals("axes_count", 1)


def _each(facts: str, low: int, high: int) -> tuple[Clause, ...]:
    return tuple(Between(fact, low, high) for fact in facts.split())


GENERAL: tuple[Clause, ...] = tuple(
    When(
        Equals(f"{side}_rank", 4),
        (
            AtMost(f"{side}_n", 4096),
            *_each(f"{side}_c {side}_h {side}_w", 1, 65536),
            AtMost(f"{side}_elements", GIGA),
        ),
        split=True,
    )
    for side in ("input", "output")
)

CONV3D: tuple[Clause, ...] = (
    Between("input_n", 1, 128),
    *_each("input_c input_d input_h input_w weight_n weight_c", 1, 65536),
    *_each("kernel_h kernel_w", 1, 31),
    Between("kernel_d", 1, 8191),
    *_each("pad_h pad_w", 0, 256),
    NoMoreThan("pad_d", "half_kernel_d"),
    OneOf("stride_hw", ((1, 1), (2, 2))),
    Equals("group", 1),
    Equals("dilated", False),
    AtMost("input_elements", GIGA),
    When(AtLeast("input_depth_channels", 4097), (AtMost("input_aligned_volume", GIGA - 1),)),
    AtMost("kernel_depth_channels", 8192),
)


def conv2d(kernel_volume: int) -> tuple[Clause, ...]:
    """Return the clauses of a 2-D convolution whose kernel holds at most `kernel_volume` values per output channel."""
    return (
        *_each("kernel_h kernel_w", 1, 31),
        AtMost("kernel_volume", kernel_volume),
        Between("weight_c", 1, 8192),
        AtMost("in_channels_per_group", 8192),
        When(Equals("is_last", False), (Between("weight_n", 1, 8192), AtMost("out_channels_per_group", 8192))),
        When(Equals("is_last", True), (AtMost("out_channels_per_group", 65536),)),
        *_each("stride_h stride_w", 1, 256),
        When(Equals("followed_by_add", True), (OneOf("stride_h", (1, 2)), OneOf("stride_w", (1, 2)))),
        *_each("dilation_h dilation_w", 1, 16),
        When(
            Equals("dilated", True),
            (
                Equals("stride_h", 1),
                Equals("stride_w", 1),
                MultipleOf("input_h", "dilation_h"),
                MultipleOf("input_w", "dilation_w"),
                Equals("output_dtype", "int8"),
            ),
        ),
        *_each("pad_h pad_w", 0, 256),
    )


def convolutions(kernel_volume: int, deconv_limit: Clause) -> tuple[OpRow, ...]:
    """Return Conv, ConvTranspose and Gemm; `deconv_limit` bounds the kernel of a transposed convolution."""
    return (
        active(
            "Conv",
            When(Equals("input_rank", 4), conv2d(kernel_volume), split=True),
            When(Equals("input_rank", 5), CONV3D, split=True),
            ranks=(4, 5),
            dtypes=INT8_16,
            outputs=TAIL_INT16,
            weights=INT8,
            stated=True,
            notes="fuses BatchNormalization and Relu; int16 input is in the training plugin's table only, and its sum "
            "must stay inside int32; C of the kernel volume read as channels per group",
        ),
        active(
            "ConvTranspose",
            Between("input_n", 1, 128),
            *_each("input_h input_w", 1, 65536),
            *_each("input_c weight_n weight_c", 1, 2048),
            AtMost("input_elements", GIGA),
            *_each("kernel_h kernel_w", 1, 14),
            AtLeast("kernel_area", 2),
            deconv_limit,
            NoMoreThan("pad_h", "pad_limit_h"),
            NoMoreThan("pad_w", "pad_limit_w"),
            OneOf("output_padding_h", (0, 1)),
            OneOf("output_padding_w", (0, 1)),
            *_each("stride_h stride_w", 1, 14),
            AtLeast("stride_area", 2),
            Equals("dilated", False),
            weights=INT8,
            stated=True,
            notes="pad limit: below kernel / stride for an odd stride, up to it for an even one",
        ),
        active(
            "Gemm",
            *_each("gemm_h gemm_w", 1, 31),
            Between("gemm_c", 1, 8192),
            AtMost("in_features", kernel_volume),
            When(Equals("is_last", False), (Between("out_features", 1, 8192),)),
            When(Equals("is_last", True), (Between("out_features", 1, 65536),)),
            ranks=(2, 2),
            dtypes=INT8_16,
            outputs=TAIL_INT16,
            weights=INT8,
            stated=True,
            notes="converted to Conv over the tensor in front of the Flatten; a CPU Reshape stays behind it",
        ),
    )


MATMUL = active(
    "MatMul",
    Equals("same_rank", True),
    *_each("matmul_m matmul_k matmul_n", 1, 8192),
    Between("leading_dims", 1, 4096),
    Equals("pairing", "allowed"),
    ranks=(2, 5),
    outputs=TAIL_INT8,
    weights=INT8,
    stated=True,
    notes="the list does not state int16, and logs show a request for it falling back to int8; the row's examples "
    "reach rank 5",
)

LOOKUPS = "Abs Atan Ceil Elu Exp Floor HardSigmoid LeakyRelu Log Reciprocal Sigmoid Softplus Sqrt Tanh".split()


def lookups(*dims: Clause, seen: bool) -> tuple[OpRow, ...]:
    """Return the elementwise functions; `dims` are the limits of the list, `seen` tells of logs of this march."""
    limits: Limits = {"ranks": (1, 10), "dtypes": INT8_16}
    logs: Basis = "seen in logs" if seen else "inferred"
    return (
        *(active(op, *dims, **limits) for op in LOOKUPS),
        *(active(op, *dims, stated=True, **limits) for op in ("Sin", "Cos")),
        active("Pow", *dims, Equals("exponent_is_scalar_constant", True), **limits),
        active("Clip", *dims, notes="Relu6 fuses into the convolution before it", **limits),
        active("Swish", *dims, basis=logs, notes="Sigmoid times its input, one lookup", **limits),
        active("Gelu", *dims, basis=logs, notes="its pieces become one lookup", **limits),
        active("Rsqrt", *dims, basis="inferred", notes="Sqrt and Reciprocal in the list", **limits),
        *(
            active(op, *dims, basis="inferred", stated=True, notes="not in the list: its pieces are", **limits)
            for op in ("Mish", "HardSwish")
        ),
    )


def elementwise(ranks: tuple[int, int], *shape: Clause, div: Clause | None) -> tuple[OpRow, ...]:
    """Return Add, Sub, Mul, Sum and Div, which share the broadcast rule `shape`."""
    constant = AtMost("constant_operands", 1)
    limits: Limits = {"ranks": ranks, "dtypes": INT8_16}
    return (
        active("Add", constant, *shape, stated=True, notes="a residual Add fuses into the Conv before it", **limits),
        active("Mul", constant, *shape, stated=True, **limits),
        active("Sub", constant, *shape, **limits),
        active("Sum", constant, *shape, **limits),
        active("Div", *((div,) if div else ()), *shape, ranks=ranks, notes="run as Reciprocal (a lookup) and Mul"),
    )


def comparisons(ranks: tuple[int, int], *one_sided: Clause, maximum: tuple[Clause, ...]) -> tuple[OpRow, ...]:
    """Return the comparisons, Min (both manual) and Max; `maximum` is the broadcast rule of Max and Min."""
    request = "on the CPU unless run_on_bpu or node_info asks for the BPU"
    limits: Limits = {"ranks": ranks, "dtypes": INT8_16}
    return (
        *(
            manual(op, *one_sided, outputs=BOOL, notes=request, **limits)
            for op in ("Equal", "Greater", "Less", "LessOrEqual", "GreaterOrEqual")
        ),
        manual("Min", *maximum, notes=request, **limits),
        active("Max", *maximum, **limits),
    )


def arg_reductions(*limits: Clause) -> tuple[OpRow, ...]:
    """Return ArgMax and ArgMin over the channels."""
    return (
        active("ArgMax", Equals("axis", 1), *limits, dtypes=INT8_16, stated=True),
        active("ArgMin", Equals("axis", 1), *limits, dtypes=INT8_16),
    )


def blocks(*, depth_to_space: tuple[str, ...], space_to_depth: tuple[str, ...]) -> tuple[OpRow, ...]:
    """Return the pixel shuffles with the dtypes that the march's list states."""
    clauses: tuple[Clause, ...] = (OneOf("mode", ("DCR", "CRD")), Equals("blocksize", 2))
    return (
        passive("DepthToSpace", *clauses, MultipleOf("output_c", 4), dtypes=depth_to_space),
        passive("SpaceToDepth", *clauses, dtypes=space_to_depth, stated=True),
    )


def grid_sample(area: int) -> OpRow:
    """Return GridSample over at most `area` pixels."""
    return passive(
        "GridSample",
        Between("input_n", 1, 4096),
        Between("input_c", 1, 65536),
        *_each("input_h input_w", 1, 1024),
        AtMost("input_hw", area),
        OneOf("mode", ("bilinear", "nearest")),
        OneOf("padding_mode", ("zeros", "border")),
        notes="the grid may be int16; exported as a custom opset-11 node",
    )


SAME: tuple[OpRow, ...] = (
    MATMUL,
    active("BatchNormalization", notes="normally folded into the convolution before it"),
    active(
        "Relu",
        ranks=None,
        supported="yes",
        notes="fuses into the op before it, whose rank rule binds; behind an int32 tail it stays on the CPU",
    ),
    active("LSTM", Equals("batch", 1), ranks=None, notes="for more, export batch 1 and set input_batch"),
    active(
        "ReduceMax",
        SINGLE_AXIS,
        Between("reduced_dims", 1, 8192),
        Equals("keepdims", True),
        ranks=(2, 5),
        dtypes=INT8_16,
        stated=True,
    ),
    active(
        "ReduceMean",
        AnyOf((SINGLE_AXIS, Equals("reduces_hw", True))),
        Equals("keepdims", True),
        ranks=(2, 5),
        dtypes=INT8_16,
        stated=True,
    ),
    active("ReduceSum", SINGLE_AXIS, ranks=(2, 5), dtypes=INT8_16, stated=True),
    passive("Concat", AtLeast("axis", 1), dtypes=INT8_16, stated=True),
    passive(
        "Split",
        AtLeast("axis", 1),
        EachDivides("split_parts", "split_dim"),
        ranks=None,
        dtypes=INT8_16,
        notes="the parts may differ: published tables have 32 + 32 + 64 of 128 on the BPU",
    ),
    passive("Slice", ranks=None, dtypes=INT8_16, stated=True, supported="yes"),
    passive("Reshape", ranks=(1, 10), dtypes=INT8_16, stated=True),
    passive("Flatten", ranks=(1, 10), dtypes=INT8_16, notes="as Reshape"),
    passive("Squeeze", ranks=(1, 10), dtypes=INT8_16, notes="rewritten as Reshape"),
    passive("Unsqueeze", ranks=(1, 10), dtypes=INT8_16, notes="rewritten as Reshape"),
    passive("Transpose", ranks=None, dtypes=INT8_16, stated=True, supported="conditional"),
    passive("Expand", AtMost("changed_dims", 1), ranks=(1, 10), dtypes=INT8_16),
    passive("Tile", AtMost("changed_dims", 1), ranks=None, dtypes=INT8_16),
    passive("Pad", Equals("mode", "constant"), dtypes=INT8_16),
    passive(
        "Gather",
        AtMost("indices_rank", 4),
        When(Equals("indices_constant", False), (Equals("indices_dtype", "int32"),)),
        When(Equals("indices_constant", True), (OneOf("indices_dtype", ("int32", "int64")),)),
        ranks=(0, 4),
        stated=True,
    ),
    passive("TopK", Equals("sorted", True), ranks=(1, 10), dtypes=INT8_16),
    passive(
        "MaxPool",
        *_each("kernel_h kernel_w stride_h stride_w", 1, 256),
        *_each("pad_h pad_w", 0, 256),
        Equals("dilated", False),
        dtypes=INT8_16,
        stated=True,
    ),
    passive("GlobalAveragePool", stated=True),
    passive("GlobalMaxPool", *_each("input_h input_w", 1, 256), stated=True),
    passive(
        "Resize",
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
        stated=True,
    ),
    passive("Upsample", notes="rewritten as Resize"),
    manual(
        "Softmax",
        OneOf("axis", (1, 2, 3)),
        dtypes=INT8_16,
        stated=True,
        notes="on the CPU unless run_on_bpu or node_info asks for the BPU; the list allows axis 3 for an ONNX Softmax "
        "and 1 to 3 for torch's, which exports with a Transpose on each side",
    ),
)


def layer_norm(source: str) -> Reading:
    """Return LayerNormalization as what it is exported as at opset 11; its shapes are those that ReduceMean takes."""
    row = active(
        "LayerNormalization",
        Equals("normalized_dims", 1),
        ranks=(2, 5),
        dtypes=INT8_16,
        basis="inferred",
        notes="each piece by its own row: ReduceMean over the last axis, Sub, Mul, lookup, Mul, Add",
    )
    assumption = "its pieces are assumed to be those of its definition, with int16 between them"
    return Reading(
        "layer_norm",
        "pieces",
        replace(row, source=source, assumption=assumption),
        "taken as one op in float, since the numbers that its pieces compute in are not public",
        "compute its pieces on the BPU, with int16 between them: %qwb assume layer_norm pieces",
    )
