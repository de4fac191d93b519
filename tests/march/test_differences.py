"""The documented differences that change placement between X3 (bernoulli2), Ultra (bayes) and X5 (bayes-e)."""

from __future__ import annotations

import pytest

from qworkbench.march import get_march
from tests.march.builder import Build, one, one_conv, reasons, support

X3, ULTRA, X5 = "bernoulli2", "bayes", "bayes-e"
MAP = (1, 64, 32, 32)


def ok(march: str, build: Build, name: str | None = None) -> bool:
    return support(march, build, name).ok


def test_conv_kernel_of_nine_is_too_large_for_x3_only() -> None:
    build = one_conv(64, 64, (9, 9))
    assert reasons(X3, build) == ["kernel_h = 9 > 7", "kernel_w = 9 > 7"]
    assert ok(ULTRA, build)
    assert ok(X5, build)


def test_conv_kernel_of_32_is_too_large_for_all() -> None:
    build = one_conv(8, 8, (32, 1), (64, 64))
    for march, limit in ((X3, 7), (ULTRA, 31), (X5, 31)):
        assert reasons(march, build) == [f"kernel_h = 32 > {limit}"]


def test_conv_kernel_volume_is_half_as_large_on_x5_as_on_ultra() -> None:
    build = one_conv(700, 64, (7, 7))
    assert reasons(X3, build) == ["kernel_volume = 34300 > 32768"]
    assert ok(ULTRA, build)
    assert reasons(X5, build) == ["kernel_volume = 34300 > 32767"]


def test_conv_channels_on_x3_depend_on_whether_it_is_a_plain_conv() -> None:
    plain = one_conv(64, 4096, (1, 1))
    grouped = one_conv(64, 4098, (1, 1), group=2)
    assert ok(X3, plain)
    assert reasons(X3, grouped) == ["out_channels_per_group = 2049 > 2048 when not plain_conv"]


def test_conv_channels_reach_65536_on_ultra_and_x5_at_the_end_only() -> None:
    last = one_conv(64, 10000, (1, 1))
    inner = one_conv(64, 10000, (1, 1))
    inner.node("Relu", (inner.nodes[0].name,), (1, 10000, 32, 32))
    for march in (ULTRA, X5):
        assert ok(march, last)
        assert reasons(march, inner, inner.nodes[0].name) == [
            "weight_n = 10000 > 8192 when not is_last",
            "out_channels_per_group = 10000 > 8192 when not is_last",
        ]


def test_conv_dilation_on_x3_is_a_power_of_two_and_no_larger_in_h() -> None:
    assert ok(X3, one_conv(8, 8, (3, 3), dilation=(2, 4)))
    assert reasons(X3, one_conv(8, 8, (3, 3), dilation=(3, 3))) == [
        "dilation_h = 3 is not a power of two",
        "dilation_w = 3 is not a power of two",
    ]
    assert reasons(X3, one_conv(8, 8, (3, 3), dilation=(4, 2))) == ["dilation_h = 4 > dilation_w = 2"]
    assert reasons(X3, one_conv(8, 8, (3, 3), dilation=(2, 2), stride=(4, 4))) == [
        "dilation_h = 2 is not a multiple of stride_h = 4 when dilation_h >= 2",
        "dilation_w = 2 is not a multiple of stride_w = 4 when dilation_w >= 2",
    ]
    assert ok(X3, one_conv(8, 8, (3, 3), stride=(2, 2)))


@pytest.mark.parametrize("march", [ULTRA, X5])
def test_conv_dilation_on_ultra_and_x5_needs_stride_one_and_dims_that_divide(march: str) -> None:
    assert ok(march, one_conv(8, 8, (3, 3), (33, 33), dilation=(3, 3)))
    assert reasons(march, one_conv(8, 8, (3, 3), dilation=(3, 3))) == [
        "input_h = 32 is not a multiple of dilation_h = 3 when dilated",
        "input_w = 32 is not a multiple of dilation_w = 3 when dilated",
    ]
    assert reasons(march, one_conv(8, 8, (3, 3), dilation=(2, 2), stride=(2, 2))) == [
        "stride_h = 2, must be 1 when dilated",
        "stride_w = 2, must be 1 when dilated",
    ]
    assert reasons(march, one_conv(8, 8, (3, 1), (68, 68), dilation=(17, 1))) == ["dilation_h = 17 > 16"]


@pytest.mark.parametrize("march", [ULTRA, X5])
def test_a_dilated_conv_gives_int8_only(march: str) -> None:
    build = one_conv(8, 8, (3, 3), dilation=(2, 2))
    assert [r.text for r in support(march, build).unknown] == [
        "output_dtype is unknown: needs output_dtype == int8 when dilated"
    ]
    asked = support(march, build, known={"output_dtype": "int16"})
    assert [r.text for r in asked.failed] == ["output_dtype = int16, must be int8 when dilated"]


@pytest.mark.parametrize("march", [X3, ULTRA, X5])
def test_a_conv_in_front_of_a_residual_add_has_stride_one_or_two(march: str) -> None:
    def residual(stride: int) -> Build:
        build = Build()
        name = build.conv(build.input(1, 8, 32, 32), 8, (1, 1), stride=(stride, stride))
        shape = build.values[name].shape
        build.node("Add", (name, build.input(*shape, name="shortcut")), shape)
        return build

    for stride in (1, 2):
        build = residual(stride)
        assert ok(march, build, build.nodes[0].name)
    build = residual(4)
    assert reasons(march, build, build.nodes[0].name) == [
        "stride_h = 4, must be one of 1, 2 when followed_by_add",
        "stride_w = 4, must be one of 1, 2 when followed_by_add",
    ]


def pool(op: str, kernel: int, stride: int = 1) -> Build:
    side = (512 - kernel) // stride + 1
    attrs = {"kernel_shape": (kernel, kernel), "strides": (stride, stride), "pads": (0,) * 4}
    if op == "MaxPool":
        attrs["dilations"] = (1, 1)
    return one(op, (1, 8, 512, 512), out=(1, 8, side, side), **attrs)


def test_average_pool_kernels() -> None:
    assert ok(X3, pool("AveragePool", 7))
    assert reasons(X3, pool("AveragePool", 8)) == ["kernel_h = 8 > 7", "kernel_w = 8 > 7"]
    assert ok(ULTRA, pool("AveragePool", 256))
    assert ok(ULTRA, pool("AveragePool", 1))
    assert reasons(ULTRA, pool("AveragePool", 257)) == ["kernel_h = 257 > 256", "kernel_w = 257 > 256"]
    assert reasons(X5, pool("AveragePool", 256)) == ["kernel_area = 65536 > 8192"]
    assert reasons(X5, pool("AveragePool", 1)) == ["kernel_area = 1 < 2"]
    assert reasons(X3, pool("AveragePool", 2, stride=186)) == ["stride_h = 186 > 185", "stride_w = 186 > 185"]


def test_max_pool_kernels() -> None:
    assert ok(X3, pool("MaxPool", 64))
    assert reasons(X3, pool("MaxPool", 65)) == ["kernel_h = 65 > 64", "kernel_w = 65 > 64"]
    for march in (ULTRA, X5):
        assert ok(march, pool("MaxPool", 256, stride=256))
        assert reasons(march, pool("MaxPool", 257)) == ["kernel_h = 257 > 256", "kernel_w = 257 > 256"]


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_add_and_mul_on_x3_take_equal_maps_or_one_value_per_channel(op: str) -> None:
    assert ok(X3, one(op, MAP, MAP))
    assert ok(X3, one(op, MAP, (1, 64, 1, 1)))
    row = one(op, MAP, (1, 64, 1, 32))
    assert not ok(X3, row)
    assert ok(ULTRA, row)
    assert ok(X5, row)
    wide = (1, 2049, 2, 2)
    assert reasons(X3, one(op, wide, wide)) == ["output_c = 2049 > 2048"]


def test_add_reason_on_x3_shows_both_shapes() -> None:
    assert reasons(X3, one("Add", MAP, (1, 64, 1, 32))) == [
        "x_shape = (1, 64, 32, 32) with y_shape = (1, 64, 1, 32), must be NCHW with NCHW or NCHW with NC11"
    ]


def test_add_on_x3_takes_no_constant() -> None:
    build = Build()
    build.node("Add", (build.input(*MAP), build.weight()), MAP)
    assert reasons(X3, build)[0] == "constant_operands = 1, must be 0"
    assert ok(ULTRA, build)
    assert ok(X5, build)


def test_mul_on_x3_takes_a_constant_without_zeros() -> None:
    torch = pytest.importorskip("torch")

    def scaled(*values: float) -> Build:
        build = Build()
        weight = build.weight(1, len(values), 1, 1, data=torch.tensor(values).reshape(1, -1, 1, 1))
        build.node("Mul", (build.input(1, len(values), 4, 4), weight), (1, len(values), 4, 4))
        return build

    assert ok(X3, scaled(0.5, 2.0))
    assert reasons(X3, scaled(0.5, 0.0)) == ["constant_has_zero = yes, must be no when constant_operands >= 1"]


def test_mul_by_a_scalar_constant_counts_as_1111_on_x3() -> None:
    build = Build()
    build.node("Mul", (build.input(*MAP), build.weight()), MAP)
    found = support(X3, build)
    assert found.ok
    assert [r.fact for r in found.unknown] == ["constant_has_zero"]


def test_sub_is_on_the_cpu_of_x3_only() -> None:
    build = one("Sub", MAP, MAP)
    assert [ok(march, build) for march in (X3, ULTRA, X5)] == [False, True, True]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_broadcast_over_the_first_dim_is_for_x5(op: str) -> None:
    build = one(op, (4, 64, 8, 8), (1, 64, 8, 8))
    assert reasons(ULTRA, build) == ["broadcasts_first_dim = yes, must be no"]
    assert ok(X5, build)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_ranks_above_five_are_for_x5(op: str) -> None:
    six = (1, 2, 3, 4, 5, 6)
    build = one(op, six, six)
    assert reasons(ULTRA, build) == ["input_rank = 6 > 5", "output_rank = 6 > 5"]
    assert ok(X5, build)


def test_five_dims_must_merge_to_four() -> None:
    alternating = one("Mul", (2, 3, 4, 5, 6), (2, 1, 4, 1, 6))
    assert reasons(ULTRA, alternating) == ["merged_rank_plain_only = 5 > 4 when output_rank >= 5"]
    assert reasons(X5, alternating) == ["merged_rank = 5 > 4 when output_rank >= 5"]
    two_rows = one("Mul", (2, 3, 4, 5, 6), (2, 1, 1, 5, 6))
    assert ok(X5, two_rows)
    assert ok(ULTRA, two_rows)
    three_rows = one("Mul", (2, 3, 4, 5, 6), (2, 1, 1, 1, 6))
    assert ok(X5, three_rows)
    assert reasons(ULTRA, three_rows) == ["merged_rank_plain_only = 5 > 4 when output_rank >= 5"]


def test_div_takes_a_constant_on_x5_only() -> None:
    build = Build()
    build.node("Div", (build.input(*MAP), build.weight()), MAP)
    assert reasons(X3, build)[0] == "constant_operands = 1, must be 0"
    assert reasons(ULTRA, build) == ["constant_operands = 1, must be 0"]
    assert ok(X5, build)
    assert all(ok(march, one("Div", MAP, MAP)) for march in (X3, ULTRA, X5))


def test_arg_max_over_more_than_64_channels_is_for_x5() -> None:
    build = one("ArgMax", (1, 65, 8, 8), out=(1, 1, 8, 8), axis=1, keepdims=True)
    assert reasons(X3, build) == ["input_c = 65 > 64"]
    assert reasons(ULTRA, build) == ["input_c = 65 > 64"]
    assert ok(X5, build)
    assert reasons(X5, one("ArgMax", (1, 8192, 8, 8), out=(1, 1, 8, 8), axis=1)) == ["input_c = 8192 > 8191"]
    for march in (X3, ULTRA, X5):
        assert reasons(march, one("ArgMax", (1, 8, 8, 8), out=(1, 8, 1, 8), axis=2)) == ["axis = 2, must be 1"]


def test_arg_min_is_not_on_x3() -> None:
    build = one("ArgMin", (1, 64, 8, 8), out=(1, 1, 8, 8), axis=1, keepdims=True)
    assert [ok(march, build) for march in (X3, ULTRA, X5)] == [False, True, True]


def test_softmax_is_manual_and_its_axes_differ() -> None:
    for march in (X3, ULTRA, X5):
        assert get_march(march).row("Softmax").quant_class == "manual"
    over_channels, over_width = (one("Softmax", MAP, axis=axis) for axis in (1, 3))
    assert ok(X3, over_channels)
    assert reasons(X3, over_width) == ["axis = 3, must be 1"]
    for march in (ULTRA, X5):
        assert ok(march, over_width)
        assert reasons(march, one("Softmax", MAP, axis=0)) == ["axis = 0, must be one of 1, 2, 3"]
        assert reasons(march, one("Softmax", (1, 64, 32), axis=2)) == [
            "input_rank = 3, must be 4",
            "output_rank = 3, must be 4",
        ]


def test_softmax_on_x3_must_be_a_model_output() -> None:
    build = one("Softmax", MAP, axis=1)
    build.conv("softmax0", 8, (1, 1))
    assert reasons(X3, build, "softmax0") == ["is_model_output = no, must be yes"]


@pytest.mark.parametrize("op", ["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"])
def test_reshaping_ops_are_on_the_cpu_of_x3_only(op: str) -> None:
    build = one(op, MAP, out=(1, 64, 1024))
    assert [ok(march, build) for march in (X3, ULTRA, X5)] == [False, True, True]


@pytest.mark.parametrize("op", ["Equal", "Greater", "Less", "Min"])
def test_comparisons_are_manual_on_ultra_and_x5_and_absent_on_x3(op: str) -> None:
    build = one(op, MAP, MAP)
    assert not ok(X3, build)
    for march in (ULTRA, X5):
        assert ok(march, build)
        assert get_march(march).row(op).quant_class == "manual"


@pytest.mark.parametrize("march", [ULTRA, X5])
def test_comparisons_broadcast_one_operand_only(march: str) -> None:
    assert ok(march, one("Greater", (1, 64, 32, 32), (1, 64, 1, 32)))
    mutual = one("Greater", (1, 64, 1, 32), (1, 64, 32, 1), out=MAP)
    assert reasons(march, mutual) == ["mutual_broadcast = yes, must be no"]


LOOKUPS_OF_X5 = "Erf Round Sign Selu Tan Sinh Cosh Asin Asinh Acos Acosh Atanh Softsign".split()


@pytest.mark.parametrize("op", LOOKUPS_OF_X5)
def test_lookups_that_only_x5_has(op: str) -> None:
    build = one(op, MAP)
    assert [ok(march, build) for march in (X3, ULTRA, X5)] == [False, False, True]


def test_lookups_on_x3_are_small() -> None:
    assert ok(X3, one("Tanh", (1, 8, 32, 32)))
    assert reasons(X3, one("Tanh", MAP)) == ["input_chw = 65536 > 8192"]
    assert reasons(X3, one("Sigmoid", MAP)) == ["input_aligned_elements = 65536 > 8192"]
    assert ok(X3, one("Sigmoid", (1, 3, 32, 32)))
    assert ok(ULTRA, one("Tanh", MAP))
    assert ok(X5, one("Tanh", MAP))


def test_lookups_on_ultra_have_dim_limits_that_x5_does_not_state() -> None:
    build = one("Sigmoid", (1, 70000, 4))
    assert reasons(ULTRA, build) == ["input_other_dims = (70000, 4) > 65536"]
    assert ok(X5, build)


def test_prelu_is_missing_on_ultra_only() -> None:
    build = Build()
    build.node("PRelu", (build.input(*MAP), build.weight(64, 1, 1)), MAP)
    assert [ok(march, build) for march in (X3, ULTRA, X5)] == [True, False, True]
    assert get_march(X5).row("PRelu").input_dtypes == ("int8",)


def test_grid_sample_area() -> None:
    def grid(h: int, w: int) -> Build:
        attrs = {"mode": "bilinear", "padding_mode": "zeros"}
        return one("GridSample", (1, 8, h, w), (1, 16, 16, 2), out=(1, 8, 16, 16), **attrs)

    assert not ok(X3, grid(8, 8))
    assert ok(ULTRA, grid(720, 1024))
    assert reasons(X5, grid(720, 1024)) == ["input_hw = 737280 > 262144"]
    assert ok(X5, grid(512, 512))


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceSum"])
def test_reduce_max_and_sum_take_one_axis_on_ultra_and_x5(op: str) -> None:
    single = one(op, MAP, out=(1, 1, 32, 32), axes=(1,), keepdims=True)
    double = one(op, MAP, out=(1, 64, 1, 1), axes=(2, 3), keepdims=True)
    assert [ok(march, single) for march in (X3, ULTRA, X5)] == [False, True, True]
    for march in (ULTRA, X5):
        assert reasons(march, double) == ["axes_count = 2, must be 1"]


def test_reduce_max_keeps_its_dims() -> None:
    build = one("ReduceMax", MAP, out=(1, 32, 32), axes=(1,), keepdims=False)
    for march in (ULTRA, X5):
        assert reasons(march, build) == ["keepdims = no, must be yes"]


def test_reduce_mean_takes_h_and_w_everywhere_and_one_axis_on_ultra_and_x5() -> None:
    spatial = one("ReduceMean", MAP, out=(1, 64, 1, 1), axes=(2, 3), keepdims=True)
    channel = one("ReduceMean", MAP, out=(1, 1, 32, 32), axes=(1,), keepdims=True)
    assert all(ok(march, spatial) for march in (X3, ULTRA, X5))
    assert [ok(march, channel) for march in (X3, ULTRA, X5)] == [False, True, True]
    assert reasons(X3, channel) == ["axes = (1), must be (2, 3)"]
    triple = one("ReduceMean", MAP, out=(1, 1, 1, 1), axes=(1, 2, 3), keepdims=True)
    assert reasons(X5, triple) == ["axes_count = 3, must be 1, or reduces_hw = no, must be yes"]


@pytest.mark.parametrize("op", ["Gather", "TopK", "GatherElements", "Tile", "Expand"])
def test_index_ops_are_on_the_cpu_of_x3_only(op: str) -> None:
    build = one(op, MAP)
    assert [ok(march, build) for march in (X3, ULTRA, X5)] == [False, True, True]


EVERYWHERE_ON_THE_CPU = (
    "Neg Where And Or Not CumSum Cast Identity LayerNormalization GroupNormalization InstanceNormalization LogSoftmax "
    "ReduceMin RoiAlign ScatterND GatherND Opaque"
).split()


@pytest.mark.parametrize("op", EVERYWHERE_ON_THE_CPU)
def test_ops_that_no_march_of_this_generation_has(op: str) -> None:
    for march in (X3, ULTRA, X5):
        found = support(march, one(op, MAP))
        assert not found.ok
        assert found.text.startswith(f"{op} is not on the BPU (")


def test_only_x3_has_no_int16() -> None:
    for march, expected in ((X3, False), (ULTRA, True), (X5, True)):
        assert get_march(march).parameter("int16_supported") is expected
        rows = get_march(march).rows.values()
        assert any("int16" in row.input_dtypes for row in rows) is expected


def test_matmul_is_int8_everywhere() -> None:
    for march in (X3, ULTRA, X5):
        assert get_march(march).row("MatMul").input_dtypes == ("int8",)
