"""What is computed on surfaces, on broadcast operands and on permuted ones equals the reference on plain arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.analysis.metrics import compare, compare_codes
from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa
from qworkbench.emulator.kernels.moving import concat, resurfaced
from qworkbench.emulator.kernels.surface import channels_last, is_surface, new_surface, planes_of, surface_of
from qworkbench.errors import EmulationError
from qworkbench.numerics import ConvGeometry, reference
from qworkbench.numerics.resize import linear_index, nearest_index
from tests.emulator.codes import DTYPES, KINDS, ROUNDINGS, assert_equal, quick, random_codes, random_requantize, seeds

VECTOR = [name for name in isa.PATHS if name != isa.PORTABLE]


@pytest.fixture(params=VECTOR, autouse=True)
def path(request, monkeypatch):
    if request.param not in isa.available():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(isa.VARIABLE, request.param)


def laid(codes, margin, *, wide=False):
    """`codes` on a surface whose unused channels hold garbage."""
    pitch = -(-codes.shape[1] // 16) * 16 + 16 * wide
    surface = new_surface(codes.shape, codes.dtype, margin, pitch)
    whole = surface_of(surface).view(np.ndarray)
    whole[...] = 99
    surface[...] = codes
    if margin:
        for edge in (np.s_[:, :margin], np.s_[:, -margin:], np.s_[:, :, :margin], np.s_[:, :, -margin:]):
            whole[edge] = 0
    return surface


def margin_of(x):
    whole, m = surface_of(x).view(np.ndarray), surface_of(x).margin
    return [] if m == 0 else [whole[:, :m], whole[:, -m:], whole[:, :, :m], whole[:, :, -m:]]


def operands(seed, dtype, count=2):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 70)), int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    plain = [random_codes(rng, shape, dtype) for _ in range(count)]
    return rng, plain, [laid(codes, int(rng.integers(0, 3))) for codes in plain]


def same(found, expected):
    assert_equal(np.ascontiguousarray(found), expected)
    if is_surface(found):
        assert not any(edge.any() for edge in margin_of(found))


types = st.sampled_from(DTYPES)


@quick(30)
@given(seed=seeds, dtype=types, kind=st.sampled_from(KINDS), rounding=st.sampled_from(ROUNDINGS))
def test_elementwise_functions_of_surfaces(seed, dtype, kind, rounding):
    rng, (a, b), (x, y) = operands(seed, dtype)
    target = DTYPES[seed % 2]
    rq = random_requantize(rng, 1, target, kind, rounding, float(np.iinfo(dtype).max))
    per_channel = random_requantize(rng, a.shape[1], target, kind, rounding, float(np.iinfo(dtype).max))
    same(kernels.requantize(x, rq), reference.requantize(a, rq))
    same(kernels.requantize(x, per_channel), reference.requantize(a, per_channel))
    ratios = 0.3 + rng.random(2)
    for name in ("add", "sub"):
        same(getattr(kernels, name)(x, y, *ratios, rq), getattr(reference, name)(a, b, *ratios, rq))
        same(getattr(kernels, name)(x, b, *ratios, rq), getattr(reference, name)(a, b, *ratios, rq))
    small = replace(rq, multiplier=rq.multiplier / np.iinfo(dtype).max)
    gate = random_codes(rng, (a.shape[0], a.shape[1], 1, 1), dtype)
    for left, right, one, other in (
        (x, y, a, b),
        (x, gate, a, gate),
        (gate, y, gate, b),
        (x, gate[:1, :1], a, gate[:1, :1]),
    ):
        same(kernels.mul(left, right, small), reference.mul(one, other, small))
        same(kernels.sub(left, right, *ratios, rq), reference.sub(one, other, *ratios, rq))
    row = random_codes(rng, (a.shape[3],), dtype)
    same(kernels.mul(x, row, small), reference.mul(a, row, small))
    same(kernels.maximum(x, y), reference.maximum(a, b))
    same(kernels.minimum(x, b), reference.minimum(a, b))
    scale = rng.random(a.shape[1]).astype(np.float32) + np.float32(0.1)
    same(kernels.dequantize(x, scale), reference.dequantize(a, scale))
    real = laid(rng.normal(size=a.shape).astype(np.float32), 1)
    same(
        kernels.quantize(real, scale, target, rounding),
        reference.quantize(np.ascontiguousarray(real), scale, target, rounding),
    )


@quick(20)
@given(seed=seeds)
def test_tables_of_surfaces(seed):
    rng, (a,), (x,) = operands(seed, "int8", 1)
    for dtype in DTYPES:
        table = random_codes(rng, (256,), dtype)
        same(kernels.lut(x, table), reference.lut(a, table))
    same(kernels.lut(a, table), reference.lut(a, table))


@quick(20)
@given(seed=seeds)
def test_operands_in_any_order_of_axes(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 6, 4))
    order = tuple(int(n) for n in rng.permutation(4))
    a, b = (random_codes(rng, shape, "int8").transpose(order) for _ in range(2))
    rq = random_requantize(rng, 1, "int8", "float32", "half_even", 127.0)
    same(kernels.add(a, b, 0.7, 0.4, rq), reference.add(a, b, 0.7, 0.4, rq))
    last = b[..., :1]
    same(kernels.sub(a, last, 0.7, 0.4, rq), reference.sub(a, last, 0.7, 0.4, rq))
    same(kernels.sub(last, a, 0.7, 0.4, rq), reference.sub(last, a, 0.7, 0.4, rq))
    same(kernels.lut(a, np.arange(256).astype(np.int8)), reference.lut(a, np.arange(256).astype(np.int8)))
    k = random_codes(rng, (2, 40, 3, 33), "int8").transpose(0, 2, 1, 3)
    for right in (k.swapaxes(2, 3), random_codes(rng, (2, 37, 3, 33), "int8").transpose(0, 2, 3, 1)[:, :, :33, :]):
        found, expected = kernels.matmul(k, right, rq), reference.matmul(k, right, rq)
        assert_equal(found, expected)


@quick(20)
@given(seed=seeds, dtype=types)
def test_surfaces_move_whole_pixels(seed, dtype):
    rng, (a, b), (x, y) = operands(seed, dtype)
    wide = random_codes(rng, (len(a), 21, *a.shape[2:]), dtype)
    same(concat([x, y], 1), np.concatenate([a, b], 1))
    same(concat([x, wide, y], 1), np.concatenate([a, wide, b], 1))
    cut = np.s_[:, a.shape[1] // 3 :, ::2, 1:] if a.shape[3] > 1 else np.s_[:, a.shape[1] // 3 :]
    part = resurfaced(x[cut], x)
    assert is_surface(part)
    same(part, a[cut])
    size = (a.shape[2] * 2, a.shape[3] * 3)
    index = [nearest_index(n, m, "asymmetric", None) for n, m in zip(a.shape[2:], size, strict=True)]
    same(kernels.resize_nearest(x, size, *index), reference.resize_nearest(a, size, *index))
    assert_equal(planes_of(x), a)
    real = rng.normal(size=a.shape).astype(np.float32)
    assert_equal(planes_of(laid(real, 1)), real)
    assert_equal(np.ascontiguousarray(channels_last(real)), real)


@quick(80)
@given(seed=seeds, dtype=types, few=st.booleans(), ceil_mode=st.booleans())
def test_max_pool_of_surfaces(seed, dtype, few, ceil_mode):
    rng = np.random.default_rng(seed)
    shape = (
        int(rng.integers(1, 4)),
        int(rng.integers(1, 4 if few else 140)),
        *(int(n) for n in rng.integers(1, 20, 2)),
    )
    a = random_codes(rng, shape, dtype, "low" if rng.random() < 0.1 else "any")
    x = kernels.quantize(a.astype(np.float32), np.float32(1), dtype, "half_even", margin=int(rng.integers(0, 4)))
    kernel, strides, dilations = (tuple(map(int, rng.integers(1, top, 2))) for top in (6, 4, 3))
    pads = tuple(int(rng.integers(0, kernel[i % 2] // 2 + 1)) for i in range(4))
    geometry = ConvGeometry(kernel, strides, pads, dilations)
    try:
        expected = reference.max_pool2d(a, geometry, ceil_mode)
    except EmulationError:
        return
    same(kernels.max_pool2d(x, geometry, ceil_mode), expected)
    same(kernels.global_max_pool(x), reference.global_max_pool(a))


@quick(60)
@given(seed=seeds, dtype=types, few=st.booleans(), ceil_mode=st.booleans(), include=st.booleans())
def test_means_of_windows_and_bilinear_resize_of_surfaces(seed, dtype, few, ceil_mode, include):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 4 if few else 90)), *(int(n) for n in rng.integers(1, 16, 2)))
    a = random_codes(rng, shape, dtype, "low" if rng.random() < 0.1 else "any")
    x = kernels.quantize(a.astype(np.float32), np.float32(1), dtype, "half_even", margin=int(rng.integers(0, 3)))
    bits, mode = int(rng.integers(1, 14)), str(rng.choice(["asymmetric", "half_pixel", "align_corners"]))
    index = [linear_index(n, int(rng.integers(1, 30)), mode, None, bits) for n in shape[2:]]
    tables = (*index[0], *index[1], bits)
    same(kernels.resize_bilinear(x, *tables), reference.resize_bilinear(a, *tables))
    kernel, strides, dilations = (tuple(map(int, rng.integers(1, top, 2))) for top in (6, 4, 3))
    pads = tuple(int(rng.integers(0, kernel[i % 2] // 2 + 1)) for i in range(4))
    given = ConvGeometry(kernel, strides, pads, dilations), ceil_mode, include
    kind, rounding = ("float32", "half_even") if seed % 4 else ("fixed", "half_away")
    rq = random_requantize(rng, 1, dtype, kind, rounding, float(np.iinfo(dtype).max))
    try:
        expected = reference.average_pool2d(a, *given, rq)
    except EmulationError:
        return
    same(kernels.average_pool2d(x, *given, rq), expected)


@quick(40)
@given(seed=seeds, dtype=types, leaves=types)
def test_mean_of_surfaces(seed, dtype, leaves):
    rng, (a,), (x,) = operands(seed, dtype, 1)
    usual = "float32" if leaves == "int8" else "float64"
    kind, rounding = ((usual, "half_even"), ("float32", "half_up"), ("fixed", "half_away"))[seed % 3]
    rq = random_requantize(rng, 1, leaves, kind, rounding, float(np.iinfo(dtype).max))
    same(kernels.global_average_pool(x, rq), reference.global_average_pool(a, rq))
    same(kernels.reduce_mean(x, (2, 3), False, rq), reference.reduce_mean(a, (2, 3), False, rq))
    same(kernels.reduce_sum(x, (-1, -2), True, rq), reference.reduce_sum(a, (-1, -2), True, rq))


@quick(20)
@given(seed=seeds, dtype=types)
def test_distances_do_not_depend_on_where_codes_lie(seed, dtype):
    rng, (a,), (x,) = operands(seed, dtype, 1)
    real = (a * 0.01 + rng.normal(0, 0.01, a.shape)).astype(np.float32)
    plain = compare_codes(real, a, 0.01)
    for reference_of in (real, channels_last(real)):
        found = compare_codes(reference_of, x, 0.01)
        assert found.atol == plain.atol
        assert found.rtol == plain.rtol
        for name in ("cosine", "l1", "mse", "sqnr"):
            assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=1e-12)
    numbers = a.astype(np.float32) * np.float32(0.01)
    assert compare(real, numbers, 0.01) == plain


def near_ties(rng, shape, scales, dtype):
    """Numbers at, just below and just above every tie of the codes, and at the ends of float32."""
    top = np.iinfo(dtype).max + 3
    ties = (rng.integers(-top, top, shape) + rng.choice([0.0, 0.5, 0.25], shape)).astype(np.float32)
    x = ties * scales.reshape(1, -1, 1, 1)
    x = np.where(rng.random(shape) < 0.5, x, np.nextafter(x, np.float32(rng.choice([-np.inf, np.inf]))))
    x.reshape(-1)[: x.size // 9] = rng.choice(np.array([np.inf, -np.inf, 1e-42, 3e38, -0.0], np.float32))
    return x.astype(np.float32)


@quick(60)
@given(seed=seeds, dtype=types, rounding=st.sampled_from(ROUNDINGS), few=st.booleans(), per_channel=st.booleans())
def test_planes_quantized_to_a_surface(seed, dtype, rounding, few, per_channel):
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(1, 5 if few else 40))
    shape = (int(rng.integers(1, 4)), channels, int(rng.integers(1, 9)), int(rng.integers(1, 150)))
    scales = (2.0 ** rng.uniform(-100, 100, channels if per_channel else 1)).astype(np.float32)
    x = near_ties(rng, shape, scales, dtype)
    found = kernels.quantize(x, scales, dtype, rounding, margin=int(rng.integers(0, 4)))
    assert is_surface(found)
    same(found, reference.quantize(x, scales, dtype, rounding))
    beside = surface_of(found).view(np.ndarray)[..., channels:]
    assert not beside.any()
    assert_equal(planes_of(found), np.ascontiguousarray(found))
    assert_equal(channels_last(x), np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))


def test_nan_among_planes_is_counted():
    x = np.zeros((2, 3, 5, 70), np.float32)
    x[0, 1, 2, 69] = x[1, 2, 4, 0] = x[1, 0, 0, 17] = np.nan
    with pytest.raises(EmulationError, match="3 of 2100 values are NaN"):
        kernels.quantize(x, np.float32(0.5), "int8", "half_even", margin=1)


@quick(20)
@given(seed=seeds, dtype=types, channels=st.integers(1, 6), margin=st.integers(0, 3))
def test_convolution_reads_an_image_as_quantize_leaves_it(seed, dtype, channels, margin):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-200, 200, (int(rng.integers(1, 3)), channels, *rng.integers(12, 40, 2))).astype(np.float32)
    image = kernels.quantize(x, np.float32(1), dtype, "half_even", margin=margin)
    kernel = (int(rng.integers(1, 8)), int(rng.integers(1, 8)))
    geometry = ConvGeometry(kernel, (2, 2), tuple(map(int, rng.integers(0, 4, 4))))
    w = random_codes(rng, (int(rng.integers(1, 80)), channels, *kernel), "int8")
    operands = (
        np.ascontiguousarray(image),
        w,
        None,
        geometry,
        random_requantize(rng, 1, "int8", "float32", "half_even", 1e5),
    )
    assert_equal(kernels.conv2d(image, *operands[1:]), reference.conv2d(*operands))
