"""Reference convolution, linear layer and matmul against torch in float64 and ONNX Runtime's quantized operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.numerics import ConvGeometry, Requantize, Residual, conv_multiplier, reference
from tests.emulator.codes import geometries, random_codes, seeds
from tests.numerics.onnx_model import run

quick = settings(max_examples=40, deadline=None, derandomize=True)


def double(codes):
    return torch.from_numpy(codes.astype(np.float64))


@quick
@given(seed=seeds, geometry=geometries(), group=st.integers(1, 3), dtype=st.sampled_from(("int8", "int16")))
def test_conv2d_accumulator_equals_torch_float64(seed, geometry, group, dtype):
    rng = np.random.default_rng(seed)
    geometry = replace(geometry, group=group)
    size = tuple(int(n) for n in rng.integers(3, 9, 2))
    assume(min(geometry.output_size(*size)) >= 1)
    x = random_codes(rng, (2, 2 * group, *size), dtype)
    w = random_codes(rng, (3 * group, 2, *geometry.kernel), "int8")
    bias = rng.integers(-1000, 1000, len(w)).astype(np.int32)
    top, left, bottom, right = geometry.pads
    padded = torch.nn.functional.pad(double(x), (left, right, top, bottom))
    expected = torch.nn.functional.conv2d(
        padded, double(w), double(bias), geometry.strides, 0, geometry.dilations, geometry.group
    )
    y, overflow = reference.conv2d(x, w, bias, geometry, None)
    np.testing.assert_array_equal(y, expected.numpy())
    assert overflow == 0


@quick
@given(seed=seeds, geometry=geometries(), group=st.integers(1, 3), pad=st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_conv_transpose2d_accumulator_equals_torch_float64(seed, geometry, group, pad):
    rng = np.random.default_rng(seed)
    extra = tuple(int(rng.integers(0, s)) for s in geometry.strides)
    geometry = replace(geometry, group=group, pads=(*pad, *pad), output_padding=extra)
    size = tuple(int(n) for n in rng.integers(1, 6, 2))
    assume(min(geometry.transposed_output_size(*size)) >= 1)
    x = random_codes(rng, (2, 2 * group, *size), "int8")
    w = random_codes(rng, (2 * group, 3, *geometry.kernel), "int8")
    bias = rng.integers(-1000, 1000, 3 * group).astype(np.int32)
    expected = torch.nn.functional.conv_transpose2d(
        double(x), double(w), double(bias), geometry.strides, pad, extra, group, geometry.dilations
    )
    np.testing.assert_array_equal(reference.conv_transpose2d(x, w, bias, geometry, None)[0], expected.numpy())


def test_gemm_and_matmul_accumulators_equal_torch_float64():
    rng = np.random.default_rng(0)
    x, w = random_codes(rng, (2, 5, 40), "int16"), random_codes(rng, (7, 40), "int8")
    bias = rng.integers(-1000, 1000, 7).astype(np.int32)
    expected = torch.nn.functional.linear(double(x), double(w), double(bias))
    np.testing.assert_array_equal(reference.gemm(x, w, bias, None)[0], expected.numpy())
    b = random_codes(rng, (3, 1, 40, 4), "int8")
    np.testing.assert_array_equal(reference.matmul(x, b, None)[0], (double(x) @ double(b)).numpy())


def test_residual_enters_the_accumulator_rounded_half_to_even():
    x, w = np.zeros((1, 1, 1, 4), np.int8), np.ones((1, 1, 1, 1), np.int8)
    residual = Residual(np.array([[[[1, 3, -1, -3]]]], np.int8), np.array([2.5]))
    y, _ = reference.conv2d(x, w, None, ConvGeometry((1, 1)), None, residual)
    assert y.reshape(-1).tolist() == [2, 8, -2, -8]


def test_overflow_is_counted_and_wraps():
    x, w = np.full((1, 4, 1, 2), -32768, np.int16), np.full((1, 4, 1, 1), -32768, np.int16)
    x[..., 1] = 1
    y, overflow = reference.conv2d(x, w, None, ConvGeometry((1, 1)), None)
    assert overflow == 1
    assert y.reshape(-1).tolist() == [0, -4 * 32768]


def scales(rng, channels):
    return np.float32(rng.uniform(0.01, 0.1)), rng.uniform(1e-3, 1e-2, channels).astype(np.float32)


@pytest.mark.parametrize("package", [reference, kernels], ids=["reference", "kernels"])
@pytest.mark.parametrize("signed", [True, False], ids=["s8s8", "u8s8"])
@pytest.mark.parametrize("case", range(6))
def test_conv2d_equals_onnxruntime_qlinearconv(package, signed, case):
    """Weights stay within 7 bits: on machines without VNNI onnxruntime's u8 x s8 pair sums saturate beyond that."""
    rng = np.random.default_rng(case)
    group = (1, 1, 2, 16, 1, 1)[case]
    x = random_codes(rng, (2, 16, 13, 11), "int8")
    w = rng.integers(-64, 64, (16, 16 // group, 3, 3)).astype(np.int8)
    bias = rng.integers(-5000, 5000, 16).astype(np.int32)
    geometry = ConvGeometry((3, 3), (1 + case % 2, 1), (1, 0, 2, 1), (1, 1), group)
    s_x, s_w = scales(rng, 16)
    s_y = np.float32(s_x * s_w.mean() * 30000 / np.sqrt(group) / 127 * rng.uniform(0.5, 2))
    zero = np.int8(0) if signed else np.uint8(128)
    shown = x if signed else x.view(np.uint8) ^ 128
    inputs = {"x": shown, "sx": s_x, "zx": zero, "w": w, "sw": s_w, "zw": np.zeros(16, np.int8), "sy": s_y, "zy": zero}
    inputs = {name: np.asarray(value) for name, value in {**inputs, "b": bias}.items()}
    expected = run(
        "QLinearConv",
        inputs,
        "int8" if signed else "uint8",
        kernel_shape=[3, 3],
        strides=list(geometry.strides),
        pads=list(geometry.pads),
        group=group,
    )
    expected = expected if signed else (expected ^ 128).view(np.int8)
    rq = Requantize(conv_multiplier(s_x, s_w, s_y, "float32"), "int8", -128, 127)
    y, overflow = package.conv2d(x, w, bias, geometry, rq)
    assert overflow == 0
    assert len(np.unique(y)) > 200  # the codes use their range, so that equality means something
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("package", [reference, kernels], ids=["reference", "kernels"])
@pytest.mark.parametrize("signed", [True, False], ids=["s8s8", "u8s8"])
def test_matmul_equals_onnxruntime_qlinearmatmul(package, signed):
    rng = np.random.default_rng(0)
    a = random_codes(rng, (3, 17, 64), "int8")
    b = rng.integers(-64, 64, (64, 29)).astype(np.int8)
    (s_a, s_b), s_y = rng.uniform(0.01, 0.1, 2).astype(np.float32), np.float32(0.3)
    zero = np.int8(0) if signed else np.uint8(128)
    shown = a if signed else a.view(np.uint8) ^ 128
    inputs = {"x": shown, "sa": s_a, "za": zero, "b": b, "sb": s_b, "zb": np.int8(0), "sy": s_y, "zy": zero}
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    expected = run("QLinearMatMul", inputs, "int8" if signed else "uint8")
    expected = expected if signed else (expected ^ 128).view(np.int8)
    rq = Requantize(conv_multiplier(s_a, np.asarray([s_b]), s_y, "float32"), "int8", -128, 127)
    y, _ = package.matmul(a, b, rq)
    assert len(np.unique(y)) > 200
    np.testing.assert_array_equal(y, expected)
