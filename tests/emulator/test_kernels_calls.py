"""A call that was prepared gives the same codes on other operands that lie alike, queued among others."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa
from qworkbench.emulator.kernels.calls import listening, noted
from qworkbench.emulator.kernels.queue import CALLS, Queue
from qworkbench.emulator.kernels.script import Script, room_of
from qworkbench.emulator.kernels.surface import new_surface, surfaced
from qworkbench.emulator.kernels.threads import VARIABLE as THREADS
from qworkbench.emulator.kernels.values import new_value, value_of
from qworkbench.numerics import reference
from tests.emulator.codes import assert_equal, random_codes
from tests.emulator.operations import LINEAR, OPERATIONS, RQ, SQUARE, W, maps, on_surface, rows

pytestmark = pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")

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


def test_memory_that_waiting_calls_hand_on_is_not_lent_to_others():
    rng = np.random.default_rng(16)
    conv, operands, run = prepared("conv, fixed and half_away", rng)
    (x,), (layout,) = operands(rng), conv.scratch
    assert conv.block == conv.layouts[0].block + layout.block  # what waits is bounded
    queue = Queue()
    (value,) = queue.add(conv, [value_of(x)])
    others = [new_value(layout).array for _ in range(4)]
    for other in others:
        other[...] = 7
    queue.run()
    assert_equal(value.array, run(reference, np.ascontiguousarray(x)))
    assert all((other == 7).all() for other in others)
