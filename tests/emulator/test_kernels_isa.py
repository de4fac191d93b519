"""Every instruction path of this machine gives the reference's codes, and the choice of a path is the user's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa, memory, threads
from qworkbench.emulator.kernels.surface import inside_of, is_surface, new_surface, planes_of, surface_of, surfaced
from qworkbench.errors import EmulationError
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator.codes import DTYPES, assert_equal, fills, geometries, quick, random_codes, seeds


def case(seed, x_type, w_type, fill, *, group=1, channels=200, batch=3):
    """Random operands of a convolution with ragged channels, a requantize of the default arithmetic, a residual."""
    rng = np.random.default_rng(seed)
    kernel = [(1, 1), (3, 3), (3, 3), (7, 7), (1, 3), (5, 2)][int(rng.integers(0, 6))]
    pads = tuple(int(p) for p in rng.integers(0, 4, 4)) if rng.random() < 0.7 else (0, 0, 0, 0)
    strides, dilations = (tuple(int(s) for s in rng.integers(1, 3, 2)) for _ in range(2))
    geometry = ConvGeometry(kernel, strides, pads, dilations if rng.random() < 0.3 else (1, 1), group)
    size = [int(s) + 12 for s in rng.integers(0, 6, 2)]
    inputs, outputs = (int(rng.integers(1, channels // group + 1)) for _ in range(2))
    x = random_codes(rng, (int(rng.integers(1, batch + 1)), inputs * group, *size), x_type, fill)
    w = random_codes(rng, (outputs * group, inputs, *kernel), w_type, fill)
    shape = (len(x), len(w), *geometry.output_size(*size))
    bias = rng.integers(-(2**16), 2**16, len(w)).astype(np.int32)
    target = DTYPES[int(rng.integers(0, 2))]
    info = np.iinfo(target)
    spread = float(np.iinfo(x_type).max) * np.iinfo(w_type).max * np.sqrt(w[0].size) / 3
    multiplier = rng.uniform(0.3, 2.0, len(w)) * info.max / spread
    kind = "float32" if target == "int8" else "float64"
    rq = Requantize(multiplier, target, 0 if rng.random() < 0.5 else info.min, info.max, "half_even", kind)
    residual = None
    if rng.random() < 0.5:
        codes = random_codes(rng, shape, DTYPES[int(rng.integers(0, 2))])
        residual = Residual(codes, rng.uniform(0.1, 1.0, len(w)) * spread / 2**15)
    return x, w, bias, geometry, None if rng.random() < 0.15 else rq, residual


types = st.sampled_from([("int8", "int8"), ("int8", "int8"), ("int16", "int8"), ("int16", "int16"), ("int8", "int16")])


@quick(25)
@given(seed=seeds, dtypes=types, fill=fills)
def check_dense(seed, dtypes, fill):
    operands = case(seed, *dtypes, fill)
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


@quick(20)
@given(seed=seeds, dtypes=types, fill=fills, group=st.sampled_from([2, 3, 7, 32]))
def check_grouped(seed, dtypes, fill, group):
    operands = case(seed, *dtypes, fill, group=group, channels=80)
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


@quick(30)
@given(seed=seeds, dtypes=types, fill=fills)
def check_transposed(seed, dtypes, fill):
    rng = np.random.default_rng(seed)
    kernel, strides, dilations = (tuple(int(n) for n in rng.integers(1, top, 2)) for top in (6, 4, 3))
    pads = tuple(int(p) for p in rng.integers(0, 3, 4))
    more = tuple(int(rng.integers(0, stride)) for stride in strides)
    geometry = ConvGeometry(kernel, strides, pads, dilations, output_padding=more)
    size = tuple(int(s) for s in rng.integers(5, 9, 2))
    batch, inputs, outputs = (int(rng.integers(1, top)) for top in (4, 90, 90))
    x = random_codes(rng, (batch, inputs, *size), dtypes[0], fill)
    w = random_codes(rng, (inputs, outputs, *kernel), dtypes[1], fill)
    spread = float(np.iinfo(dtypes[0]).max) * np.iinfo(dtypes[1]).max * np.sqrt(inputs) / 3
    rq = Requantize(rng.uniform(0.3, 2.0, outputs) * 127 / spread, "int8", -128, 127)
    bias = rng.integers(-(2**16), 2**16, outputs).astype(np.int32)
    shape = (batch, outputs, *geometry.transposed_output_size(*size))
    if min(shape) < 1:
        return
    entering = Residual(random_codes(rng, shape, "int8"), rng.uniform(0.1, 1.0, outputs) * spread / 2**15)
    for residual in (None, entering):
        operands = x, w, bias, geometry, rq if seed % 5 else None, residual
        assert_equal(kernels.conv_transpose2d(*operands), reference.conv_transpose2d(*operands))


@quick(40)
@given(seed=seeds, dtypes=types, fill=fills, square=st.booleans(), channels=st.integers(2, 150))
def check_depthwise(seed, dtypes, fill, square, channels):
    x, w, bias, geometry, rq, residual = case(seed, *dtypes, fill, group=channels, channels=channels)
    if square:
        strides = (1, 1) if seed % 2 else (2, 2)
        geometry = replace(geometry, kernel=(3, 3), dilations=(1, 1), strides=strides)
        w, residual = random_codes(np.random.default_rng(seed), (*w.shape[:2], 3, 3), dtypes[1], fill), None
    operands = x, w, bias, geometry, rq, residual
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


@quick(25)
@given(seed=seeds, dtypes=types, fill=fills)
def check_products(seed, dtypes, fill):
    rng = np.random.default_rng(seed)
    m, k, n = (int(rng.integers(1, top)) for top in (40, 300, 200))
    x, w = random_codes(rng, (2, m, k), dtypes[0], fill), random_codes(rng, (n, k), dtypes[1], fill)
    size = float(np.iinfo(dtypes[0]).max) * np.iinfo(dtypes[1]).max * np.sqrt(k) / 3
    rq = Requantize(rng.uniform(0.3, 2.0, n) * 127 / size, "int8", -128, 127)
    bias = rng.integers(-(2**16), 2**16, n).astype(np.int32)
    assert_equal(kernels.gemm(x, w, bias, rq), reference.gemm(x, w, bias, rq))
    one = replace(rq, multiplier=rq.multiplier[:1])
    b = np.ascontiguousarray(w.T)[None]
    assert_equal(kernels.matmul(x, b, one), reference.matmul(x, b, one))
    assert_equal(kernels.matmul(x, b, None), reference.matmul(x, b, None))


def test_convolutions_equal_the_reference(path):
    check_dense()


def test_grouped_convolutions_equal_the_reference(path):
    check_grouped()


def test_transposed_convolutions_equal_the_reference(path):
    check_transposed()


def test_depthwise_convolutions_equal_the_reference(path):
    check_depthwise()


def test_products_equal_the_reference(path):
    check_products()


def test_extreme_codes_saturate_alike(path):
    x = np.full((2, 130, 9, 9), -128, np.int8)
    w = np.full((70, 130, 3, 3), -128, np.int8)
    w[::2] = 127
    rq = Requantize(np.full(70, 1.0), "int8", -128, 127)
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
    for operands in ((x, w, None, geometry, rq, None), (x, w, None, geometry, replace(rq, kind="fixed"), None)):
        assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


def test_a_chain_stays_on_surfaces_and_equals_the_reference(path):
    rng = np.random.default_rng(3)
    x = random_codes(rng, (2, 3, 20, 20), "int8")
    first, second = random_codes(rng, (24, 3, 3, 3), "int8"), random_codes(rng, (24, 24, 3, 3), "int8")
    rq = Requantize(rng.uniform(1e-4, 1e-3, 24), "int8", 0, 127)
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1))

    def chain(ops):
        y, _ = ops.conv2d(x, first, None, geometry, rq)
        return y, ops.conv2d(y, second, None, geometry, rq, Residual(y, np.full(24, 50.0)))[0]

    y, z = chain(kernels)
    assert_equal((y, z), chain(reference))
    if path != isa.PORTABLE:
        assert is_surface(y)
        assert is_surface(z)
        whole = surface_of(z)
        assert not whole[:, 0].any()
        assert not whole[:, :, -1].any()
        # what is not the whole inside is an array like any other
        assert not is_surface(z[:, :8])
        assert not is_surface(z[:1])
        assert not is_surface(z.copy())
        part = np.ascontiguousarray(second[:, :8])
        assert_equal(
            kernels.conv2d(z[:, :8], part, None, geometry, rq), reference.conv2d(z[:, :8], part, None, geometry, rq)
        )


def test_several_threads_give_the_same_codes(path, monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, "3")
    rng = np.random.default_rng(4)
    x, w = random_codes(rng, (1, 64, 40, 40), "int8"), random_codes(rng, (160, 64, 3, 3), "int8")
    rq = Requantize(rng.uniform(1e-5, 1e-4, 160), "int8", -128, 127)
    operands = (x, w, None, ConvGeometry((3, 3), pads=(1, 1, 1, 1)), rq)
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))
    operands = (x[:, :, :4, :4].copy(), w, None, ConvGeometry((3, 3), pads=(1, 1, 1, 1)), rq)
    assert_equal(kernels.conv2d(*operands), reference.conv2d(*operands))


def test_packed_weights_are_kept_beside_the_weight_and_follow_the_scales(path):
    rng = np.random.default_rng(5)
    x, w = random_codes(rng, (1, 16, 9, 9), "int8"), random_codes(rng, (32, 16, 3, 3), "int8")
    forms: dict = {}
    for _ in range(2):
        for size in (1e-4, 1e-3):
            rq = Requantize(np.full(32, size), "int8", -128, 127)
            found = kernels.conv2d(x, w, None, ConvGeometry((3, 3)), rq, forms=forms)
            assert_equal(found, reference.conv2d(x, w, None, ConvGeometry((3, 3)), rq))
    assert len(forms.get("panels", ())) == (path != isa.PORTABLE)


def test_int16_sums_that_leave_int32_are_exact_and_counted(path):
    rng = np.random.default_rng(8)
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
    w = random_codes(rng, (40, 200, 3, 3), "int8")
    w[0] = 127
    rq = Requantize(rng.uniform(1e-6, 1e-5, 40), "int16", -32768, 32767, "half_even", "float64")
    forms: dict = {}
    for x in (np.ones((1, 200, 6, 6), np.int16), random_codes(rng, (1, 200, 6, 6), "int16", "low")):
        found = kernels.conv2d(x, w, None, geometry, rq, forms=forms)
        assert_equal(found, reference.conv2d(x, w, None, geometry, rq))
    assert found[1] > 0


def test_a_path_that_the_processor_lacks_is_refused_by_name(monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, "avx513")
    with pytest.raises(EmulationError, match="does not exist"):
        isa.chosen()
    monkeypatch.setitem(isa.PATHS, "quantum", frozenset({"qubits"}))
    monkeypatch.setenv(isa.VARIABLE, "quantum")
    with pytest.raises(EmulationError, match="lacks qubits"):
        isa.chosen()
    monkeypatch.setenv(isa.VARIABLE, "")
    assert isa.chosen() == isa.available()[0]


def test_the_number_of_threads_is_a_whole_number(monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, "2")
    assert threads.thread_count() == 2
    for wrong in ("0", "two", "-1"):
        monkeypatch.setenv(threads.VARIABLE, wrong)
        with pytest.raises(EmulationError, match="whole number from 1 up"):
            threads.thread_count()


@pytest.mark.parametrize("shape", [(1, 3, 40, 37), (2, 64, 16, 16), (2, 70, 5, 33), (1, 24, 7, 7), (1, 16, 1, 1)])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_planes_to_pixels_and_back(shape, dtype):
    codes = random_codes(np.random.default_rng(6), shape, dtype)
    surface = surfaced(codes, np.dtype(dtype), 1)
    inside = inside_of(surface)
    np.testing.assert_array_equal(inside, codes)
    assert not surface[:, 0].any()
    back = planes_of(inside)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, codes)


@quick(30)
@given(seed=seeds, geometry=geometries(), fill=fills, channels=st.integers(1, 40), ceil=st.booleans())
def check_pooling(seed, geometry, fill, channels, ceil):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 3)), channels, *(int(n) for n in rng.integers(7, 14, 2)))
    codes = random_codes(rng, shape, "int8", fill)
    x = inside_of(surfaced(codes, np.dtype(np.int8), 1))
    assert_equal(kernels.max_pool2d(x, geometry, ceil), reference.max_pool2d(codes, geometry, ceil))
    rq = Requantize(rng.uniform(0.5, 2.0, 1), "int8", -128, 127)
    assert_equal(kernels.global_average_pool(x, rq), reference.global_average_pool(codes, rq))
    assert_equal(kernels.reduce_mean(x, (2, 3), False, rq), reference.reduce_mean(codes, (2, 3), False, rq))
    assert_equal(kernels.reduce_sum(x, (-1,), True, rq), reference.reduce_sum(codes, (-1,), True, rq))
    ratio = Requantize(np.ones(1), "int8", 0, 127)
    assert_equal(kernels.add(x, x, 0.7, 0.9, ratio), reference.add(codes, codes, 0.7, 0.9, ratio))
    assert_equal(kernels.requantize(x, rq), reference.requantize(codes, rq))
    assert_equal(kernels.dequantize(x, 0.25), reference.dequantize(codes, 0.25))


def test_operators_between_convolutions_read_surfaces(path):
    check_pooling()


def test_memory_returns_when_the_last_view_is_gone_and_idle_memory_is_bounded(monkeypatch):
    x = new_surface((1, 16, 40, 40), np.int8, 1)
    origin, before = surface_of(x).origin, memory.idle_bytes()
    part = x[:, :4]
    del x
    assert memory.idle_bytes() == before  # a part still reads it
    del part
    assert memory.idle_bytes() > before
    again = new_surface((1, 16, 40, 40), np.int8, 1)
    assert surface_of(again).origin == origin
    monkeypatch.setattr(memory, "IDLE_BYTES", 0)
    before = memory.idle_bytes()
    del again
    assert memory.idle_bytes() == before


def test_memory_of_an_array_that_is_no_surface_returns_when_the_array_is_gone():
    whole = memory.block_size(5000)
    lent, offset, _ = memory.borrowed(whole, None)
    before, array = memory.idle_bytes(), np.ndarray((50, 100), np.int8, lent, offset)
    del lent
    assert memory.idle_bytes() == before  # the array still reads it
    del array
    assert memory.idle_bytes() == before + whole


@pytest.mark.parametrize("shape", [(96, 128, 3, 5), (40, 1200, 1, 7), (64, 512, 3, 7), (24, 300, 5, 6)])
@pytest.mark.parametrize("fill", ["any", "ends"])
def test_long_int16_sums_are_formed_in_parts(path, shape, fill):
    outputs, inputs, kernel, size = shape
    rng = np.random.default_rng(inputs)
    x = random_codes(rng, (1, inputs, size, size), "int16", fill)
    w = random_codes(rng, (outputs, inputs, kernel, kernel), "int8")
    w[1] = np.where(x[0, :, :kernel, :kernel] < 0, -128, 127)
    bias = rng.integers(-(2**20), 2**20, outputs).astype(np.int32)
    rq = Requantize(rng.uniform(1e-6, 1e-5, outputs), "int16", -32768, 32767, "half_even", "float64")
    operands = (x, w, bias, ConvGeometry((kernel, kernel), pads=(kernel // 2,) * 4), rq)
    found = kernels.conv2d(*operands)
    assert_equal(found, reference.conv2d(*operands))
    assert_equal(kernels.conv2d(*operands[:4], None), reference.conv2d(*operands[:4], None))
    assert found[1] > 0
