"""Products in AMX tiles equal the reference: by the processor, or in a process whose tiles a trap computes."""

from __future__ import annotations

import mmap
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import qworkbench as q
from benchmarks.peers import peak
from qworkbench.emulator import kernels
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.emulator.kernels import isa, threads
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator import amx
from tests.emulator.codes import assert_equal, random_codes
from tests.emulator.conftest import TRAP
from tests.emulator.test_plan import Prepared
from tests.models.zoo import ZOO

FILES = ["test_amx_trap", "test_kernels_amx", "test_kernels_isa", "test_kernels_products", "test_kernels_calls"]
ELSEWHERE = "grouped or depthwise or between"  # tests of isa whose kernels are those of other paths
tiles = pytest.mark.skipif("amx" not in isa.available(), reason="no AMX here, nor its trap")


@pytest.mark.skipif("amx" in isa.available(), reason="every test of the path runs in this process")
def test_amx_machine_code_gives_the_references_codes_in_software(tmp_path):
    plugins = ["-p", "no:cacheprovider", "-p", "no:faulthandler"]  # the latter would take the signal from the trap
    chosen = ["-k", f"calls or (amx and not ({ELSEWHERE}))", *(f"tests/emulator/{name}.py" for name in FILES)]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rs", *plugins, *chosen]
    done = subprocess.run(command, env=amx.environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "no AMX here" not in done.stdout


@pytest.fixture
def run(monkeypatch):
    """Run an operator of both backends on the AMX path; the second time from what is remembered beside the weight."""
    monkeypatch.setenv(isa.VARIABLE, "amx")

    def run(name, *operands, tiles=True):
        forms: dict = {}
        for _ in range(2):
            before = TRAP.amx_executed() if TRAP is not None else 0
            found = getattr(kernels, name)(*operands, forms=forms)
            assert (TRAP is None) or (TRAP.amx_executed() > before) == tiles
            assert any(key[0].startswith("tiles") for key in forms.get("panels", ())) == tiles
        expected = getattr(reference, name)(*operands)
        assert_equal(found, expected)
        return expected

    return run


def requantize(rng, outputs, target, spread):
    info = np.iinfo(target)
    kind = "float32" if target == "int8" else "float64"
    multiplier = rng.uniform(0.3, 2.0, outputs) * info.max / spread
    return Requantize(multiplier, target, int(info.min), int(info.max), "half_even", kind)


WINDOWS = {
    "3 x 3": ((1, 64, 12, 12), 64, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    "ragged channels, batch": ((3, 70, 9, 7), 45, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    "1 x 1": ((2, 144, 7, 7), 100, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    "1 x 1, few inputs": ((1, 40, 13, 16), 64, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    "stride 2": ((2, 66, 21, 33), 96, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    "1 x 1, stride 2": ((1, 96, 19, 36), 130, (1, 1), (2, 2), (0, 0, 0, 0), (1, 1)),
    "uneven stride": ((1, 80, 14, 12), 64, (3, 2), (2, 1), (0, 1, 2, 1), (1, 1)),
    "dilation": ((1, 100, 14, 12), 50, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),
    "first of a network": ((2, 3, 14, 64), 64, (7, 7), (2, 2), (3, 3, 3, 3), (1, 1)),
    "one line": ((1, 64, 1, 40), 64, (1, 3), (1, 1), (0, 1, 0, 1), (1, 1)),
    "one column": ((2, 64, 40, 1), 64, (3, 1), (1, 1), (1, 0, 1, 0), (1, 1)),
    "one pixel of many images": ((37, 64, 1, 1), 64, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    "no margin": ((1, 64, 9, 9), 200, (2, 2), (1, 1), (0, 0, 0, 0), (1, 1)),
}


@tiles
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("what", WINDOWS)
def test_convolutions_in_tiles_equal_the_reference(what, dtype, run):
    shape, outputs, kernel, strides, pads, dilations = WINDOWS[what]
    rng = np.random.default_rng(len(what))
    geometry = ConvGeometry(kernel, strides, pads, dilations)
    x, w = random_codes(rng, shape, dtype), random_codes(rng, (outputs, shape[1], *kernel), "int8")
    bias = rng.integers(-(2**16), 2**16, outputs).astype(np.int32)
    spread = float(np.iinfo(dtype).max) * 127 * np.sqrt(w[0].size) / 3
    size = (shape[0], outputs, *geometry.output_size(*shape[2:]))
    for target in ("int8", "int16"):
        rq = requantize(rng, outputs, target, spread)
        run("conv2d", x, w, bias, geometry, rq, None)
        for entering in ("int8", "int16"):
            residual = Residual(random_codes(rng, size, entering), rng.uniform(0.1, 1.0, outputs) * spread / 2**15)
            run("conv2d", x, w, bias, geometry, rq, residual)
    run("conv2d", x, w, bias, geometry, None, None)
    run("conv2d", x, w, bias, geometry, replace(rq, rounding="half_up"), None)


@tiles
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "dilation"), [(2, 2, 0, 1), (4, 2, 1, 1), (3, 1, 1, 1), (3, 2, 1, 1)]
)
def test_transposed_convolutions_in_tiles_equal_the_reference(kernel, stride, pad, dilation, dtype, monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, "amx")
    rng = np.random.default_rng(kernel)
    geometry = ConvGeometry((kernel,) * 2, (stride,) * 2, (pad,) * 4, (dilation,) * 2)
    x, w = random_codes(rng, (2, 100, 5, 15), dtype), random_codes(rng, (100, 40, kernel, kernel), "int8") // 4
    bias = rng.integers(-(2**16), 2**16, 40).astype(np.int32)
    shape = (2, 40, *geometry.transposed_output_size(5, 15))
    for target in ("int8", "int16"):
        rq = requantize(rng, 40, target, float(np.iinfo(dtype).max) * 127 * np.sqrt(100 * kernel) / 3)
        for residual in (None, Residual(random_codes(rng, shape, "int8"), rng.uniform(50, 100, 40))):
            before = TRAP.amx_executed() if TRAP is not None else 0
            operands = (x, w, bias, geometry, rq, residual)
            assert_equal(kernels.conv_transpose2d(*operands), reference.conv_transpose2d(*operands))
            assert TRAP is None or TRAP.amx_executed() > before


@tiles
@pytest.mark.parametrize("fill", ["low", "ends"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_extreme_codes_saturate_and_what_leaves_int32_is_counted_alike(dtype, fill, run, monkeypatch):
    rng = np.random.default_rng(9)
    x, w = random_codes(rng, (1, 600, 9, 7), dtype, fill), random_codes(rng, (70, 600, 3, 3), "int8", fill)
    w[::3] = 127
    rq = Requantize(
        np.full(70, 1.0), dtype, *((-128, 127) if dtype == "int8" else (-32768, 32767, "half_even", "float64"))
    )
    bias = rng.integers(-(2**20), 2**20, 70).astype(np.int32)
    for count in ("1", "3"):
        monkeypatch.setenv(threads.VARIABLE, count)
        monkeypatch.setattr("qworkbench.emulator.kernels.vector.product.WORTH_A_THREAD", 0)
        _, left = run("conv2d", x, w, bias, ConvGeometry((3, 3), pads=(1, 1, 1, 1)), rq, None)
        assert (left > 0) == (dtype == "int16" and fill == "low")


@tiles
@pytest.mark.parametrize("count", ["1", "3"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_threads_share_a_product_in_tiles(dtype, count, run, monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, count)
    monkeypatch.setattr("qworkbench.emulator.kernels.vector.product.WORTH_A_THREAD", 0)
    rng = np.random.default_rng(11)
    x, w = random_codes(rng, (2, 64, 20, 20), dtype), random_codes(rng, (160, 64, 1, 1), "int8")
    rq = requantize(rng, 160, dtype, float(np.iinfo(dtype).max) * 127 * 8)
    run("conv2d", x, w, None, ConvGeometry((1, 1)), rq, None)


def at_the_end_of_memory(codes):
    """Return the codes right before a page that nobody may read."""
    pages = -(-codes.nbytes // mmap.PAGESIZE) + 1
    room = mmap.mmap(-1, pages * mmap.PAGESIZE)
    whole = np.frombuffer(room, np.uint8)
    last = whole.ctypes.data + (pages - 1) * mmap.PAGESIZE
    import ctypes

    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(last), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    begin = (pages - 1) * mmap.PAGESIZE - codes.nbytes
    placed = whole[begin : begin + codes.nbytes].view(codes.dtype).reshape(codes.shape)
    placed[...] = codes
    return placed


@tiles
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(("rows", "length", "outputs"), [(16, 64, 64), (33, 100, 40), (50, 197, 96), (197, 192, 33)])
def test_linear_layers_in_tiles_read_nothing_behind_their_rows(rows, length, outputs, dtype, run):
    rng = np.random.default_rng(rows)
    x = at_the_end_of_memory(random_codes(rng, (rows, length), dtype))
    w = random_codes(rng, (outputs, length), "int8")
    spread = float(np.iinfo(dtype).max) * 127 * np.sqrt(length) / 3
    rq = requantize(rng, outputs, dtype, spread)
    bias = rng.integers(-(2**16), 2**16, outputs).astype(np.int32)
    run("gemm", x, w, bias, rq, None)
    run("gemm", x, w, bias, rq, Residual(random_codes(rng, (rows, outputs), dtype), np.full(outputs, spread / 2**15)))
    run("gemm", x, w, None, None, None)


@tiles
@pytest.mark.parametrize(("tokens", "width"), [(50, 64), (46, 128), (197, 64), (49, 72)])
def test_products_of_activations_in_tiles_equal_the_reference(tokens, width, monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, "amx")
    rng = np.random.default_rng(tokens)
    a, b = random_codes(rng, (2, 3, tokens, width), "int8"), random_codes(rng, (2, 3, tokens, width), "int8")
    rq = Requantize(np.array([0.003]), "int8", -128, 127)
    weights = random_codes(rng, (2, 3, tokens, tokens), "int8")
    half = width // 2
    pairs = (a, b.swapaxes(-1, -2)), (weights, b), (a[..., :half], b[..., :half].swapaxes(-1, -2))
    for left, right in pairs:
        before = TRAP.amx_executed() if TRAP is not None else 0
        assert_equal(kernels.matmul(left, right, rq), reference.matmul(left, right, rq))
        if left.shape[-1] % 64 == 0 or left.shape[-1] % 4:
            assert TRAP is None or TRAP.amx_executed() > before


@tiles
@pytest.mark.parametrize("what", ["few codes", "few rows", "one image row", "groups"])
def test_what_tiles_would_mostly_fill_with_zeros_runs_elsewhere(what, run):
    rng = np.random.default_rng(2)
    rq = Requantize(np.full(64, 0.01), "int8", -128, 127)
    if what == "few rows":
        run(
            "gemm",
            random_codes(rng, (4, 256), "int8"),
            random_codes(rng, (64, 256), "int8"),
            None,
            rq,
            None,
            tiles=False,
        )
        return
    inputs, kernel, group = {"few codes": (16, 1, 1), "one image row": (3, 3, 1), "groups": (64, 3, 2)}[what]
    x, w = (
        random_codes(rng, (1, inputs, 14, 14), "int8"),
        random_codes(rng, (64, inputs // group, kernel, kernel), "int8"),
    )
    run("conv2d", x, w, None, ConvGeometry((kernel, kernel), group=group), rq, None, tiles=False)


@tiles
@pytest.mark.parametrize("count", ["1", "3"])
@pytest.mark.parametrize("name", ["resnet18", "vit"])
def test_a_network_gives_the_codes_of_the_vector_path(name, count, monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, count)
    torch.manual_seed(0)
    model, example = ZOO[name]()
    prepared = Prepared(q.capture(model, example), example)
    found = {}
    for path in ("amx", "avx512vnni"):
        monkeypatch.setenv(isa.VARIABLE, path)
        plan = prepared.plan()
        keys = {key for step in plan.steps for key in step.outputs}
        for _ in range(3):  # as it comes, queued, and played from what was taken down
            found[path] = execute(plan, prepared.feeds, keys, ResultCache()).arrays
    for key, array in found["avx512vnni"].items():
        np.testing.assert_array_equal(found["amx"][key], array, err_msg=key)


@tiles
def test_the_peak_of_tiles_is_measured_in_tiles(monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, "amx")
    monkeypatch.setattr(peak, "TILE_LOOPS", 20)
    before = TRAP.amx_executed() if TRAP is not None else 0
    assert peak.peak() > 0
    assert TRAP is None or TRAP.amx_executed() >= before + 15 * 20 * 4
