"""Rows whose formula is more than a list of ranges."""

from __future__ import annotations

import pytest

from qworkbench.graph.node import Sym
from tests.march.builder import Build, one, one_conv, reasons, support

X3, ULTRA, X5 = "bernoulli2", "bayes", "bayes-e"
BAYES_FAMILY = [ULTRA, X5]


def linear(cin: int, cout: int, *, before: tuple[int, ...] = ()) -> Build:
    build = Build()
    x = build.input(1, *(before or (cin,)))
    if before:
        x = build.node("Flatten", (x,), (1, cin), "flat", axis=1)
    build.node("Gemm", (x, build.weight(cout, cin)), (1, cout), "fc", transB=True)
    return build


def test_a_linear_behind_a_flatten_is_a_convolution_over_the_feature_map() -> None:
    vgg = linear(25088, 4096, before=(512, 7, 7))
    assert all(support(march, vgg, "fc").ok for march in (X3, ULTRA, X5))
    wide = linear(9000, 10)
    assert [support(march, wide, "fc").ok for march in (X3, ULTRA, X5)] == [True, False, False]
    assert reasons(X5, wide, "fc") == ["gemm_c = 9000 > 8192"]
    assert reasons(X3, linear(16385, 10), "fc") == ["gemm_c = 16385 > 16384 when gemm_w == 1 and gemm_h == 1"]
    assert reasons(X3, linear(2049 * 4, 10, before=(2049, 2, 2)), "fc") == [
        "gemm_c = 2049 > 2048 when gemm_h >= 2",
        "gemm_c = 2049 > 2048 when gemm_w >= 2",
    ]


def test_a_linear_on_x3_may_be_larger_at_the_end_where_it_leaves_as_int32() -> None:
    build = linear(40000, 10, before=(400, 10, 10))
    assert support(X3, build, "fc").ok
    build.node("Relu", ("fc",), (1, 10))
    assert reasons(X3, build, "fc") == ["in_features = 40000 > 32768 when not is_last"]


def test_a_linear_over_more_than_two_dims_falls_under_matmul() -> None:
    build = Build()
    build.node("Gemm", (build.input(1, 197, 768), build.weight(3072, 768)), (1, 197, 3072), "fc", transB=True)
    for march in (X3, ULTRA, X5):
        found = support(march, build, "fc")
        assert found.ok
        assert found.row.op == "MatMul"
    too_long = Build()
    too_long.node("Gemm", (too_long.input(1, 9000, 8), too_long.weight(8, 4)), (1, 9000, 4), "fc", transB=False)
    assert reasons(X5, too_long, "fc") == ["matmul_m = 9000 > 8192"]


def test_matmul_of_two_features() -> None:
    heads = one("MatMul", (1, 8, 64, 32), (1, 8, 32, 64), out=(1, 8, 64, 64))
    assert [support(march, heads).ok for march in (X3, ULTRA, X5)] == [False, True, True]
    assert reasons(X3, heads) == [
        "matmul_a = (1, 8, 64, 32) with matmul_b = (1, 8, 32, 64), must be 1BMK with 11KN "
        "when operands == featurexfeature"
    ]
    assert support(X3, one("MatMul", (1, 8, 64, 32), (1, 1, 32, 64), out=(1, 8, 64, 64))).ok
    mixed = one("MatMul", (2, 1, 4, 5), (2, 3, 5, 6), out=(2, 3, 4, 6))
    for march in BAYES_FAMILY:
        assert reasons(march, mixed) == [
            "pairing = the first operand broadcasts on some leading dims only, must be allowed"
        ]
        uneven = one("MatMul", (1, 2, 4, 5), (5, 6), out=(1, 2, 4, 6))
        assert reasons(march, uneven) == ["same_rank = no, must be yes"]


def test_matmul_of_a_constant_and_a_feature_on_x3_needs_more_than_one_matrix() -> None:
    def build(count: int) -> Build:
        made = Build()
        inputs = (made.weight(1, count, 4, 5), made.input(1, 1, 5, 6))
        made.node("MatMul", inputs, (1, count, 4, 6))
        return made

    assert support(X3, build(3)).ok
    assert reasons(X3, build(1)) == ["leading_a = 1 < 2 when operands == constantxfeature"]


@pytest.mark.parametrize("march", BAYES_FAMILY)
def test_conv3d(march: str) -> None:
    assert support(march, one_conv(8, 8, (3, 3, 3), (8, 16, 16), pad=(1, 1, 1))).ok
    assert reasons(march, one_conv(8, 8, (3, 3, 3), (8, 16, 16), stride=(1, 1, 2))) == [
        "stride_hw = (1, 2), must be one of (1, 1), (2, 2)"
    ]
    assert reasons(march, one_conv(8, 8, (3, 3, 3), (8, 16, 16), group=2)) == ["group = 2, must be 1"]
    assert reasons(march, one_conv(8, 8, (3, 3, 3), (8, 16, 16), pad=(2, 1, 1))) == ["pad_d = 2 > half_kernel_d = 1"]
    assert reasons(march, one_conv(3000, 8, (3, 1, 1), (8, 16, 16))) == ["kernel_depth_channels = 9000 > 8192"]


def test_conv1d_and_conv3d_are_not_on_x3() -> None:
    for kernel, size in (((3,), (32,)), ((3, 3, 3), (8, 8, 8))):
        rank = len(kernel) + 2
        assert reasons(X3, one_conv(8, 8, kernel, size))[0] == f"input_rank = {rank}, must be 4"
    assert reasons(X5, one_conv(8, 8, (3,), (32,))) == ["input_rank = 3 < 4", "output_rank = 3 < 4"]


def deconv(cin: int, cout: int, kernel: int, stride: int, pad: int = 0, output_padding: int = 0) -> Build:
    return one_conv(
        cin,
        cout,
        (kernel, kernel),
        (16, 16),
        op="ConvTranspose",
        stride=(stride, stride),
        pad=(pad, pad),
        output_padding=(output_padding, output_padding),
    )


def test_transposed_convolutions() -> None:
    assert all(support(march, deconv(64, 63, 4, 2, 1)).ok for march in (X3, ULTRA, X5))
    assert reasons(X3, deconv(64, 64, 3, 3)) == [
        "stride_h = 3, must be one of 2, 4",
        "stride_w = 3, must be one of 2, 4",
    ]
    assert reasons(X3, deconv(64, 64, 4, 2, 2)) == [
        "pad_h = 2 > half_kernel_below_h = 1",
        "pad_w = 2 > half_kernel_below_w = 1",
    ]
    for march in BAYES_FAMILY:
        assert support(march, deconv(32, 32, 4, 2, 2)).ok  # even stride: up to kernel / stride
        assert reasons(march, deconv(64, 64, 3, 3, 1)) == [  # odd stride: below kernel / stride
            "pad_h = 1 > pad_limit_h = 0",
            "pad_w = 1 > pad_limit_w = 0",
        ]
        assert reasons(march, deconv(64, 64, 3, 1)) == ["stride_area = 1 < 2"]
        assert reasons(march, deconv(32, 32, 4, 4, output_padding=2)) == [
            "output_padding_h = 2, must be one of 0, 1",
            "output_padding_w = 2, must be one of 0, 1",
        ]


def test_the_weight_of_a_transposed_convolution_is_bounded_whole_on_ultra_and_per_phase_on_x5() -> None:
    build = deconv(128, 128, 4, 2, 1)
    assert reasons(ULTRA, build) == ["weight_elements = 262144 > 65535"]
    assert support(X5, build).ok
    # pad 1 % stride 2 = 1; (4 - 1 + 1) // 2 + 1 = 3 taps per axis; 3 * 3 * 128
    volume = next(r.value for r in support(X5, build).results if r.fact == "effective_kernel_volume")
    assert volume == 3 * 3 * 128


def resize(factor_h: float, factor_w: float, mode: str = "nearest") -> Build:
    out = (1, 8, int(16 * factor_h), int(16 * factor_w))
    return one("Resize", (1, 8, 16, 16), out=out, mode=mode, coordinate_transformation_mode="asymmetric")


@pytest.mark.parametrize("march", [X3, ULTRA, X5])
def test_nearest_resize_takes_powers_of_two(march: str) -> None:
    assert support(march, resize(2, 2)).ok
    assert support(march, resize(0.5, 0.5)).ok
    assert support(march, resize(3, 3, "linear")).ok
    assert reasons(march, resize(3, 4)) == ["resize_factor_h = 3 is not a power of two when mode == nearest"]
    assert reasons(march, resize(4, 2)) == ["resize_factor_h = 4 > resize_factor_w = 2 when mode == nearest"]
    assert reasons(march, resize(2, 2, "cubic")) == ["mode = cubic, must be one of nearest, linear"]


@pytest.mark.parametrize("march", [X3, ULTRA, X5])
def test_split_parts_may_differ_but_each_divides_the_dim(march: str) -> None:
    parts = {"axis": 1, "out": (1, 32, 8, 8)}
    assert support(march, one("Split", (1, 128, 8, 8), split=(32, 32, 64), **parts)).ok
    assert reasons(march, one("Split", (1, 128, 8, 8), split=(24, 104), **parts)) == [
        "split_parts = (24, 104), must each divide split_dim = 128"
    ]
    assert not support(march, one("Split", (4, 8, 8, 8), out=(2, 8, 8, 8), axis=0, split=(2, 2))).ok


def test_padding_of_channels_is_not_on_x3() -> None:
    build = one("Pad", (1, 8, 8, 8), out=(1, 12, 8, 8), pads=(0, 0, 0, 0, 0, 4, 0, 0), mode="constant")
    assert reasons(X3, build) == ["padded_axes = (1), must lie in 2, 3"]
    assert support(X5, build).ok
    reflect = one("Pad", (1, 8, 8, 8), out=(1, 8, 10, 8), pads=(0, 0, 1, 0, 0, 0, 1, 0), mode="reflect")
    assert reasons(X5, reflect) == ["mode = reflect, must be constant"]


@pytest.mark.parametrize("march", BAYES_FAMILY)
def test_concat_over_the_batch_stays_on_the_cpu(march: str) -> None:
    assert reasons(march, one("Concat", (1, 8, 4, 4), (1, 8, 4, 4), out=(2, 8, 4, 4), axis=0)) == ["axis = 0 < 1"]


def test_concat_channels_on_x3() -> None:
    build = one("Concat", (1, 2049, 4, 4), (1, 8, 4, 4), out=(1, 2057, 4, 4), axis=1)
    assert reasons(X3, build) == ["output_c = 2057 > 2048", "input_channels = (2049, 8) > 2048"]
    assert support(X5, build).ok


@pytest.mark.parametrize("march", BAYES_FAMILY)
def test_gather_indices(march: str) -> None:
    def gather(dtype: str) -> Build:
        build = Build()
        inputs = (build.input(1, 8, 4, 4), build.weight(3, dtype=dtype))
        build.node("Gather", inputs, (1, 3, 4, 4), axis=1)
        return build

    assert support(march, gather("int64")).ok
    assert reasons(march, gather("int16")) == [
        "indices_dtype = int16, must be one of int32, int64 when indices_constant"
    ]


def test_relu_on_x3_fuses_behind_a_convolution() -> None:
    fused = one_conv(8, 8, (1, 1))
    fused.node("Relu", (fused.nodes[0].name,), (1, 8, 32, 32), "relu")
    assert support(X3, fused, "relu").ok
    alone = one("Relu", (1, 8, 4, 4))
    assert reasons(X3, alone)[0].startswith("producer_op = model input, must be one of Conv, ")
    assert support(X5, alone).ok


def test_batch_normalization_on_x3_must_fold() -> None:
    build = one_conv(8, 8, (1, 1))
    conv = build.nodes[0].name
    build.node("BatchNormalization", (conv,), (1, 8, 32, 32), "bn")
    assert support(X3, build, "bn").ok
    build.node("Sigmoid", (conv,), (1, 8, 32, 32))
    assert reasons(X3, build, "bn") == ["producer_read_once = no, must be yes"]


def test_pow_needs_a_scalar_constant() -> None:
    build = Build()
    build.node("Pow", (build.input(1, 8, 4, 4), build.weight()), (1, 8, 4, 4))
    assert all(support(march, build).ok for march in (X3, ULTRA, X5))
    two = one("Pow", (1, 8, 4, 4), (1, 8, 4, 4))
    assert reasons(X5, two) == ["exponent_is_scalar_constant = no, must be yes"]


@pytest.mark.parametrize("march", BAYES_FAMILY)
def test_general_limits(march: str) -> None:
    assert {"input_w = 65537 > 65536", "output_w = 65537 > 65536"} <= set(reasons(march, one("Abs", (1, 8, 4, 65537))))
    assert "input_n = 4097 > 4096" in reasons(march, one("GlobalAveragePool", (4097, 8, 4, 4)))
    huge = one("GlobalAveragePool", (1, 1025, 1024, 1024), out=(1, 1025, 1, 1))
    assert reasons(march, huge) == ["input_elements = 1074790400 > 1073741824"]


def test_the_board_model_has_batch_one_whatever_the_example_has() -> None:
    build = one("Tanh", (Sym(), 8, 16, 16))
    assert support(X3, build).ok
    assert [r.text for r in support(X3, build, batch=2).failed] == ["input_n = 2, must be 1"]
    assert "batch = 129 > 128" in [r.text for r in support(X3, build, batch=129).failed]


@pytest.mark.parametrize(("march", "limit"), [(X3, 1024), (ULTRA, 256), (X5, 256)])
def test_global_max_pool_has_a_limit_on_each_side(march: str, limit: int) -> None:
    assert support(march, one("GlobalMaxPool", (1, 8, limit, limit), out=(1, 8, 1, 1))).ok
    build = one("GlobalMaxPool", (1, 8, limit + 1, limit + 1), out=(1, 8, 1, 1))
    assert reasons(march, build) == [f"input_h = {limit + 1} > {limit}", f"input_w = {limit + 1} > {limit}"]


def test_global_average_pool_on_x3_takes_8192_pixels() -> None:
    assert support(X3, one("GlobalAveragePool", (1, 8, 64, 128), out=(1, 8, 1, 1))).ok
    large = one("GlobalAveragePool", (1, 8, 64, 129), out=(1, 8, 1, 1))
    assert reasons(X3, large) == ["input_hw = 8256 > 8192"]
    assert support(X5, large).ok
