"""Products of activations, read where attention leaves them, equal the reference on every instruction path."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa
from qworkbench.emulator.kernels.calls import listening, noted
from qworkbench.emulator.kernels.queue import Queue
from qworkbench.emulator.kernels.values import value_of
from qworkbench.numerics import Requantize, reference
from tests.emulator.codes import assert_equal, random_codes

RQ = Requantize(np.array([0.003]), "int8", -128, 127)


@pytest.fixture(params=isa.PATHS, autouse=True)
def path(request, monkeypatch):
    if request.param not in isa.available():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(isa.VARIABLE, request.param)


def heads(rng, tokens, width, dtype, count=3):
    """Queries, keys or values as they lie after a linear layer: heads side by side in a row."""
    return random_codes(rng, (2, tokens, count * width), dtype).reshape(2, tokens, count, width).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(("tokens", "width"), [(50, 64), (33, 128), (70, 32), (49, 72), (81, 20), (17, 200), (130, 61)])
def test_attention_equals_reference(tokens, width, dtype):
    rng = np.random.default_rng(tokens * width)
    query, key, value = (heads(rng, tokens, width, dtype) // (64 if dtype == "int16" else 1) for _ in range(3))
    assert_same(query, key.swapaxes(-1, -2), RQ)
    weights = random_codes(rng, (2, 3, tokens, tokens), "int8")
    assert_same(weights, value, RQ)
    assert_same(weights[:, :1], value[:1], None)
    assert_same(weights, value[:, :, ::-1], RQ)
    assert_same(weights, np.broadcast_to(value[:, :, :1], value.shape), RQ)


def assert_same(a, b, rq):
    for _ in range(2):
        found, overflow = kernels.matmul(a, b, rq)
        expected, _ = reference.matmul(a, b, rq)
        assert_equal(np.ascontiguousarray(found), expected)
        assert overflow == 0


@pytest.mark.parametrize("threads", ["1", "2"])
def test_prepared_products_repeat_themselves(threads, monkeypatch):
    monkeypatch.setenv("QWORKBENCH_NUM_THREADS", threads)
    monkeypatch.setattr("qworkbench.emulator.kernels.queue.WORTH_WAKING", 0)
    rng = np.random.default_rng(3)
    shapes = (4, 256, 96), (4, 96, 400)
    first = [random_codes(rng, shape, "int8") for shape in shapes]
    with listening() as notes:
        out, _ = kernels.matmul(*first, RQ)
    again = noted(notes, first, (out,))
    if isa.chosen() in (isa.PORTABLE, "avx2", "neon"):  # these read int8 widened, which is more than a call
        assert again is None
        return
    queue = Queue()
    given = [[random_codes(rng, shape, "int8") for shape in shapes] for _ in range(3)]
    values = [queue.add(again, [value_of(x) for x in pair])[0] for pair in given]
    queue.run()
    for pair, found in zip(given, values, strict=True):
        assert_equal(found.array, reference.matmul(*pair, RQ)[0])


def test_what_only_these_codes_keep_in_int32_leaves_no_note():
    a, b = np.full((64, 300), 1000, np.int16), np.full((300, 64), 100, np.int16)
    with listening() as notes:
        out, overflow = kernels.matmul(a, b, RQ)
    assert overflow == 0
    assert noted(notes, (a, b), (out,)) is None
