"""A call that was prepared gives the same codes on other operands that lie alike, queued among others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa
from qworkbench.emulator.kernels.calls import listening, noted
from qworkbench.emulator.kernels.moving import concat
from qworkbench.emulator.kernels.queue import CALLS, Queue
from qworkbench.emulator.kernels.script import Script, room_of
from qworkbench.emulator.kernels.surface import inside_of, new_surface, surfaced
from qworkbench.emulator.kernels.threads import VARIABLE as THREADS
from qworkbench.emulator.kernels.values import value_of
from qworkbench.numerics import ConvGeometry, Requantize, Residual, SegmentTable, reference
from tests.emulator.codes import assert_equal, random_codes

pytestmark = pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")

SQUARE = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
RQ = Requantize(np.random.default_rng(3).uniform(1e-4, 1e-3, 24), "int8", -128, 127)
WIDE = replace(RQ, dtype="int16", low=-32768, high=32767, kind="float64")
ONE = Requantize(np.full(1, 0.01), "int8", -128, 127)
ONE_TO_ONE = replace(ONE, multiplier=np.ones(1))
WIDE_ONE = replace(ONE_TO_ONE, dtype="int16", low=-30000, high=32767, kind="float64")
RATIO = np.linspace(1, 9, 24)


def on_surface(codes):
    return inside_of(surfaced(codes, codes.dtype, 1))


def maps(rng, count=1, dtype="int8", shape=(2, 24, 9, 7)):
    return tuple(on_surface(random_codes(rng, shape, dtype)) for _ in range(count))


def rows(rng):
    return (random_codes(rng, (5, 24), "int8"),)


W = random_codes(np.random.default_rng(1), (24, 24, 3, 3), "int8")
ALONE = random_codes(np.random.default_rng(2), (24, 1, 3, 3), "int8")
LINEAR = random_codes(np.random.default_rng(4), (24, 24), "int8")
DEEP = random_codes(np.random.default_rng(15), (24, 700, 1, 1), "int8")  # 700 * 127 * 32767 leaves int32
DEEP_RQ = replace(WIDE, multiplier=np.full(24, 1e-4))
TABLE = random_codes(np.random.default_rng(5), (256,), "int8")
WIDE_TABLE = SegmentTable(
    np.zeros((2, 4), np.int16), np.zeros((0, 64), np.int16), random_codes(np.random.default_rng(6), (65536,), "int16")
)
OPERATIONS = {
    "conv": (maps, lambda ops, x: ops.conv2d(x, W, None, SQUARE, RQ)[0]),
    "conv stride 2": (maps, lambda ops, x: ops.conv2d(x, W, None, replace(SQUARE, strides=(2, 2)), RQ)[0]),
    "conv int16": (
        lambda rng: maps(rng, dtype="int16"),
        lambda ops, x: ops.conv2d(
            x, W, None, SQUARE, replace(RQ, dtype="int16", low=-32768, high=32767, kind="float64")
        )[0],
    ),
    "deep conv int16": (
        lambda rng: maps(rng, dtype="int16", shape=(1, 700, 4, 3)),
        lambda ops, x: ops.conv2d(x, DEEP, None, ConvGeometry((1, 1)), DEEP_RQ)[0],
    ),
    "deep conv int16, residual": (
        lambda rng: maps(rng, dtype="int16", shape=(1, 700, 4, 3)) + maps(rng, dtype="int16", shape=(1, 24, 4, 3)),
        lambda ops, x, y: ops.conv2d(x, DEEP, None, ConvGeometry((1, 1)), DEEP_RQ, Residual(y, RATIO))[0],
    ),
    "residual": (
        lambda rng: maps(rng, 2),
        lambda ops, x, y: ops.conv2d(x, W, None, SQUARE, RQ, Residual(y, RATIO))[0],
    ),
    "depthwise": (maps, lambda ops, x: ops.conv2d(x, ALONE, None, replace(SQUARE, group=24), RQ)[0]),
    "transposed": (
        maps,
        lambda ops, x: ops.conv_transpose2d(x, W, None, replace(SQUARE, strides=(2, 2)), RQ)[0],
    ),
    "gemm": (rows, lambda ops, x: ops.gemm(x, LINEAR, None, RQ)[0]),
    "gemm, residual": (
        lambda rng: rows(rng) + rows(rng),
        lambda ops, x, y: ops.gemm(x, LINEAR, None, RQ, Residual(y, RATIO))[0],
    ),
    "deep gemm int16": (
        lambda rng: (random_codes(rng, (5, 700), "int16"),),
        lambda ops, x: ops.gemm(x, DEEP[:, :, 0, 0], None, DEEP_RQ)[0],
    ),
    "table": (maps, lambda ops, x: ops.lut(x, TABLE)),
    "table of rows": (rows, lambda ops, x: ops.lut(x, TABLE)),
    "table from int8 to int16": (maps, lambda ops, x: ops.requantize(x, WIDE_ONE)),
    "table of int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.lut16(x, WIDE_TABLE)),
    "requantize int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.requantize(x, WIDE_ONE)),
    "requantize int16 by channel": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.requantize(x, RQ)),
    "max pool of int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.max_pool2d(x, SQUARE)),
    "means of int16": (lambda rng: maps(rng, dtype="int16"), lambda ops, x: ops.global_average_pool(x, WIDE_ONE)),
    "max pool": (maps, lambda ops, x: ops.max_pool2d(x, replace(SQUARE, strides=(2, 2)))),
    "concat": (
        lambda rng: maps(rng, 2),
        lambda ops, x, y: concat([x, y], 1) if ops is kernels else np.concatenate([x, y], 1),
    ),
    "sum": (lambda rng: maps(rng, 2), lambda ops, x, y: ops.add(x, y, 0.4, 0.7, ONE_TO_ONE)),
    "difference of rows": (
        lambda rng: rows(rng) + rows(rng),
        lambda ops, x, y: ops.sub(x, y, 0.4, 0.7, ONE_TO_ONE),
    ),
    "sum of int16": (lambda rng: maps(rng, 2, "int16"), lambda ops, x, y: ops.add(x, y, 0.4, 0.7, WIDE_ONE)),
    "nearest": (maps, lambda ops, x: ops.resize_nearest(x, (5, 9), np.arange(5), np.arange(9) % 7)),
    "dequantize": (rows, lambda ops, x: ops.dequantize(x, np.float32(0.3))),
    "dequantize to planes": (maps, lambda ops, x: ops.dequantize(x, np.float32(0.3))),
    "dequantize by channel": (
        lambda rng: maps(rng, shape=(3, 20, 4, 5)),
        lambda ops, x: ops.dequantize(x, np.linspace(0.1, 2, 20, dtype=np.float32)),
    ),
    "dequantize few channels": (
        lambda rng: maps(rng, shape=(2, 5, 4, 5)),
        lambda ops, x: ops.dequantize(x, np.linspace(0.1, 2, 5, dtype=np.float32)),
    ),
    "dequantize few pixels": (
        lambda rng: maps(rng, dtype="int16", shape=(2, 24, 3, 5)),
        lambda ops, x: ops.dequantize(x, np.float32(0.3)),
    ),
    "dequantize int16": (
        lambda rng: maps(rng, dtype="int16"),
        lambda ops, x: ops.dequantize(x, np.linspace(0.1, 2, 24, dtype=np.float32)),
    ),
    "means": (maps, lambda ops, x: ops.global_average_pool(x, ONE)),
}
OTHERWISE = {
    "conv": (maps, lambda rq, ops, x: ops.conv2d(x, W, None, SQUARE, rq)[0]),
    "depthwise": (maps, lambda rq, ops, x: ops.conv2d(x, ALONE, None, replace(SQUARE, group=24), rq)[0]),
    "transposed": (
        maps,
        lambda rq, ops, x: ops.conv_transpose2d(x, W, None, replace(SQUARE, strides=(2, 2)), rq)[0],
    ),
    "gemm": (rows, lambda rq, ops, x: ops.gemm(x, LINEAR, None, rq)[0]),
}
OPERATIONS |= {
    f"{name}, {kind} and {rounding}": (operands, partial(run, replace(RQ, kind=kind, rounding=rounding)))
    for name, (operands, run) in OTHERWISE.items()
    for kind, rounding in (("float32", "half_up"), ("fixed", "half_away"), ("pow2", "half_even"))
}
COPIED = {name for name in OPERATIONS if "gemm" in name}  # outputs that are filled up to whole tiles
NOT_ON = dict.fromkeys(("i8mm", "dotprod", "neon"), COPIED)
ALWAYS = set(OPERATIONS) - NOT_ON.get(isa.chosen(), set())


def prepared(name, rng):
    """Run an operation once; return its prepared call, and what the call needs to be tried."""
    operands, run = OPERATIONS[name]
    first = operands(rng)
    with listening() as notes:
        out = run(kernels, *first)
    assert_equal(out, run(reference, *map(np.ascontiguousarray, first)))
    return noted(notes, first, [out]), operands, run


@pytest.fixture
def shared(monkeypatch):
    """Share even the smallest call among so many threads."""

    def share_among(threads):
        monkeypatch.setenv(THREADS, threads)
        for module in ("vector.product", "vector.channels"):
            monkeypatch.setattr(f"qworkbench.emulator.kernels.{module}.WORTH_A_THREAD", 0)
        monkeypatch.setattr("qworkbench.emulator.kernels.queue.WORTH_WAKING", 0)

    return share_among


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_prepared_call_repeats_the_operation(name, threads, shared):
    shared(threads)
    rng = np.random.default_rng(7)
    again, operands, run = prepared(name, rng)
    assert (again is not None) >= (name in ALWAYS)
    if again is None:
        return
    queue = Queue()
    given = [operands(rng) for _ in range(CALLS)]  # more than wait at once
    values = []
    for one in given:
        if not queue.fits(again):
            assert not queue.run()
        values += queue.add(again, [value_of(x) for x in one])
    assert not queue.run()
    for one, value in zip(given, values, strict=True):
        assert_equal(value.array, run(reference, *map(np.ascontiguousarray, one)))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_call_may_read_what_waits(threads, shared):
    shared(threads)
    rng = np.random.default_rng(8)
    conv, _, run = prepared("conv", rng)
    alone, _, run_alone = prepared("depthwise", rng)
    (x,) = maps(rng)
    queue, value, expected = Queue(), value_of(x), np.ascontiguousarray(x)
    for _ in range(20):
        (value,) = queue.add(alone, queue.add(conv, [value]))
        expected = run_alone(reference, run(reference, expected))
    queue.run()
    assert_equal(value.array, expected)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_what_was_taken_down_runs_again_at_other_addresses(threads, shared):
    shared(threads)
    rng = np.random.default_rng(12)
    conv, operands, run = prepared("conv", rng)
    queue = Queue()
    queue.trace = []
    (x,) = operands(rng)
    (y,) = queue.add(conv, [value_of(x)])
    taken = queue.taken_down()
    queue.run()
    script = Script(taken, [(int(value is y), distance) for _, value, distance in taken.trace])
    room = np.empty(room_of(taken), np.uint8)
    for _ in range(20):
        (x,) = operands(rng)
        out = new_surface(y.array.shape, np.int8, y.layout.margin)
        assert script.run(room.ctypes.data, (value_of(x).origin, value_of(out).origin))
        assert_equal(out, run(reference, np.ascontiguousarray(x)))


def test_no_thread_is_woken_for_little_work(monkeypatch):
    woken = []
    monkeypatch.setenv(THREADS, "3")
    monkeypatch.setattr("qworkbench.emulator.kernels.vector.product.WORTH_A_THREAD", 0)
    conv, operands, _ = prepared("conv", np.random.default_rng(13))
    monkeypatch.setattr("qworkbench.emulator.kernels.queue.share", lambda *_, threads, helper: woken.append(threads))
    for worth, expected in ((1 << 28, []), (0, [3])):
        monkeypatch.setattr("qworkbench.emulator.kernels.queue.WORTH_WAKING", worth)
        queue = Queue()
        queue.add(conv, [value_of(operands(np.random.default_rng(14))[0])])
        queue.run()
        assert woken == expected


def test_what_needs_more_than_calls_leaves_no_note():
    rng = np.random.default_rng(9)
    (x,) = maps(rng)
    (flat,) = rows(rng)
    wide = random_codes(rng, (5, 23), "int8")
    attempts = [
        ((np.ascontiguousarray(x),), lambda: kernels.conv2d(np.ascontiguousarray(x), W, None, SQUARE, RQ)[0]),
        ((wide,), lambda: kernels.gemm(wide, LINEAR[:, :23], None, RQ)[0]),  # rows of no whole words are copied
        ((x, flat), lambda: kernels.conv2d(x, W, None, SQUARE, RQ)[0]),  # another operand than the note's
    ]
    for operands, run in attempts:
        with listening() as notes:
            out = run()
        assert noted(notes, operands, [out]) is None


def test_a_margin_stays_zero_through_reuse_of_its_memory():
    rng = np.random.default_rng(10)
    conv, operands, run = prepared("conv", rng)
    queue = Queue()
    for _ in range(3):
        for _ in range(2):
            given = operands(rng)
            (value,) = queue.add(conv, [value_of(given[0])])
            queue.run()
            surface = value.array.base
            inside = np.zeros(surface.shape, bool)
            inside[:, 1:-1, 1:-1] = True
            assert not np.asarray(surface)[~inside].any()
            assert_equal(value.array, run(reference, np.ascontiguousarray(given[0])))
        del value, surface
        on_surface(random_codes(rng, (2, 24, 9, 7), "int8"))[...] = 99
        np.asarray(surfaced(random_codes(rng, (2, 24, 11, 9), "int8"), np.int8, 0))[...] = 77


def test_memory_that_a_waiting_call_reads_is_not_lent_to_others():
    rng = np.random.default_rng(11)
    conv, operands, run = prepared("conv", rng)
    (x,) = operands(rng)
    expected = run(reference, np.ascontiguousarray(x))
    queue = Queue()
    (value,) = queue.add(conv, [value_of(x)])
    shape, dtype = x.shape, x.dtype
    del x
    held = [on_surface(random_codes(rng, shape, str(dtype))) for _ in range(8)]
    queue.run()
    assert_equal(value.array, expected)
    assert held
