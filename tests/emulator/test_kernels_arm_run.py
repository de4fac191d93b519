"""Tiles compiled for AArch64 give the reference's codes, on any machine that has `unicorn`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qworkbench.emulator.kernels.surface import new_surface, surface_of, surfaced
from qworkbench.emulator.kernels.vector import channels, convolution, depthwise, neon, paths
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.arm import FEATURES, table_of
from qworkbench.emulator.kernels.vector.columns import Column
from qworkbench.emulator.kernels.vector.neon_depthwise import WideningWalk
from qworkbench.emulator.kernels.vector.tile import Tile
from qworkbench.emulator.kernels.vector.windows import margin_of
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator.aarch64 import Emulated, module_of, tile_module
from tests.emulator.codes import assert_equal, random_codes

pytest.importorskip("unicorn", reason="unicorn runs what is compiled for AArch64")
TILES = {
    "int8": tile_module(Tile("sdot", 4, 5, 4), neon.ByLane),
    "int16": tile_module(Tile("mlal", 4, 5, 4), neon.ByElement),
}


def arrays_of(held: Any) -> list[np.ndarray]:
    """Every array in nested tuples."""
    if isinstance(held, np.ndarray):
        return [held]
    return [array for part in held for array in arrays_of(part)] if isinstance(held, tuple) else []


def convolve(x, w, bias, geometry, rq, residual=None):
    """A convolution by the tiles of `dotprod`, one panel after the other, and the instructions that it takes."""
    path = paths._path("dotprod", x.dtype.type, w.dtype.type)
    surface = surfaced(x, path.codes, max(geometry.pads))
    product, shape = convolution._prepare(
        path, surface, convolution.Given(x, w, bias, geometry, rq, residual, None), ()
    )
    out = new_surface(shape, rq.dtype if rq else np.int32, margin_of(shape))
    to = surface_of(out)
    call, row = product.call(1 if residual else 0), product.row
    row[[at.X, at.OUT]] = surface.origin, to.origin
    held = (row, surface, to, *arrays_of(product.kept))
    if residual:
        entering = surface_of(new_surface(shape, np.int8, to.margin))
        np.copyto(np.ndarray(shape, np.int8, entering, to.layout.first, to.layout.strides), residual.codes)
        row[at.CODES], row[at.CODE_BYTES] = entering.origin, 1
        held = (*held, entering)
    assert len(call.row) == len(row)
    machine = Emulated(TILES[str(x.dtype)], held)
    for panel in range(row[at.PANELS]):
        weights = row[at.WEIGHTS] + panel * row[at.PANEL_BYTES]
        machine.run([row.ctypes.data, weights, panel * 16, 16, 0, row[at.COUNT], 0])
    return out, int(row[at.OVERFLOW]), machine.instructions


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("leaves", ["int8", "int16", "int32"])
@pytest.mark.parametrize(("inputs", "outputs", "kernel", "stride"), [(3, 20, 3, 2), (24, 16, 3, 1), (40, 33, 1, 1)])
def test_tiles_equal_the_reference(inputs, outputs, kernel, stride, leaves, dtype):
    rng = np.random.default_rng(inputs)
    x = random_codes(rng, (2, inputs, 9, 7), dtype)
    w = random_codes(rng, (outputs, inputs, kernel, kernel), "int8")
    bias = rng.integers(-999, 999, outputs).astype(np.int32)
    geometry = ConvGeometry((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
    size = 127 * np.iinfo(dtype).max * np.sqrt(w[0].size) / 3
    rq = None
    if leaves != "int32":
        info, kind = np.iinfo(leaves), {"int8": "float32", "int16": "float64"}[leaves]
        rq = Requantize(rng.uniform(0.3, 2.0, outputs) * info.max / size, leaves, 0, info.max, "half_even", kind)
    found, overflow, _ = convolve(x, w, bias, geometry, rq)
    assert_equal((np.asarray(found), overflow), reference.conv2d(x, w, bias, geometry, rq))


def test_a_residual_enters_as_the_reference_says():
    rng = np.random.default_rng(2)
    x, w = random_codes(rng, (1, 32, 6, 6), "int8"), random_codes(rng, (16, 32, 3, 3), "int8")
    geometry, rq = ConvGeometry((3, 3), pads=(1, 1, 1, 1)), Requantize(np.full(16, 1e-4), "int8", 0, 127)
    for ratio in (rng.uniform(1.0, 99.0, 16), np.full(16, 2.5)):  # the second one lies on ties
        residual = Residual(random_codes(rng, (1, 16, 6, 6), "int8"), ratio)
        found, overflow, _ = convolve(x, w, None, geometry, rq, residual)
        assert_equal((np.asarray(found), overflow), reference.conv2d(x, w, None, geometry, rq, residual))


def test_int16_sums_that_leave_int32_are_counted():
    x, w = np.full((1, 200, 5, 5), -32768, np.int16), np.full((16, 200, 3, 3), 127, np.int8)
    w[1:] = random_codes(np.random.default_rng(5), (15, 200, 3, 3), "int8")
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
    rq = Requantize(np.full(16, 1e-6), "int16", -32768, 32767, "half_even", "float64")
    found, overflow, _ = convolve(x, w, None, geometry, rq)
    assert overflow > 0
    assert_equal((np.asarray(found), overflow), reference.conv2d(x, w, None, geometry, rq))


@pytest.mark.parametrize(("dtype", "most"), [("int8", 0.11), ("int16", 0.36)])
def test_a_multiply_add_takes_a_fraction_of_an_instruction(dtype, most):
    rng = np.random.default_rng(3)
    x, w = random_codes(rng, (1, 64, 14, 14), dtype), random_codes(rng, (32, 64, 3, 3), "int8")
    rq = Requantize(np.full(32, 1e-4), "int8", 0, 127) if dtype == "int8" else None
    instructions = convolve(x, w, None, ConvGeometry((3, 3), pads=(1, 1, 1, 1)), rq)[2]
    assert instructions / (14 * 14 * w.size) < most


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("isa", "dtype", "leaves"), [
    ("dotprod", "int8", "int8"), ("neon", "int8", "int8"), ("neon", "int16", "int16"), ("dotprod", "int16", "int32"),
])  # fmt: skip
def test_depthwise_columns_equal_the_reference(isa, dtype, leaves, stride):
    rng = np.random.default_rng(stride)
    x, w = random_codes(rng, (1, 40, 7, 8), dtype), random_codes(rng, (40, 1, 3, 3), "int8")
    bias = rng.integers(-999, 999, 40).astype(np.int32)
    geometry, rq = ConvGeometry((3, 3), (stride, stride), (1, 1, 1, 1), group=40), None
    if leaves != "int32":
        info, kind = np.iinfo(leaves), {"int8": "float32", "int16": "float64"}[leaves]
        rq = Requantize(rng.uniform(0.3, 2.0, 40) * info.max / 127**2 / 3, leaves, info.min, 99, "half_even", kind)
    surface = surfaced(x, x.dtype, 1)
    made = channels._prepare(isa, surface, x, w, bias, geometry, rq, None)
    out = new_surface(made.shape, made.dtype, 1)
    to, p, dots = surface_of(out), made.row, made.sweep.__name__ == "columns_dotprod"
    if dots:
        module, block = module_of(lambda b, given: Column(b, stride, 4, given).write(), 14, FEATURES["sdot"]), 16
    else:
        bits = 8 * x.itemsize
        module, block = module_of(lambda b, given: WideningWalk(b, stride, 4, bits, given).write(), 14), 8
    machine = Emulated(module, (surface, to, *made.kept, p))
    pitch, item, size = p[depthwise.CHANNELS], x.itemsize, to.itemsize
    wide = 2 if leaves == "int16" else 1
    for column in range(made.shape[3]):
        for c in range(0, pitch, block):
            source = surface.origin - surface.strides[1] - surface.strides[2] + (stride * column * pitch + c) * item
            places = (c, c, c) if dots else (2 * c, 4 * c, 4 * wide * c)
            weights, begin, scale = (
                p[slot] + place
                for slot, place in zip((depthwise.WEIGHTS, depthwise.BIAS, depthwise.SCALE), places, strict=True)
            )
            line, last = ((pitch // 16 + 3) * 16, p[depthwise.SIGN]) if dots else (2 * pitch, p[depthwise.MODE])
            machine.run([
                source, *surface.strides[1:3], made.shape[2], weights, line, begin, scale,
                to.origin + (column * pitch + c) * size, to.strides[1], *p[[depthwise.LOW, depthwise.HIGH]], -1, last,
            ])  # fmt: skip
    expected, _ = reference.conv2d(x, w, bias, geometry, rq)
    assert_equal(np.asarray(out), expected)


def test_a_table_of_bytes_is_read_from_registers():
    def write(b, given):
        found = table_of(b, given[0])
        for i in range(16):
            place = v.word(16 * i)
            v.store(b, found(v.load(b, b.add(given[1], place), v.vector(v.i8, 16))), b.add(given[2], place))

    codes, table = (np.random.default_rng(i).permutation(np.arange(-128, 128)).astype(np.int8) for i in range(2))
    out = np.zeros(256, np.int8)
    Emulated(module_of(write, 3), (codes, table, out)).run([a.ctypes.data for a in (table, codes, out)])
    assert_equal(out, reference.lut(codes, table))
