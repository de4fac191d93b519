"""Results that are views of others pass from kernel to kernel by address, and hold what numpy sees there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qworkbench as q
from qworkbench.emulator import kernels
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.emulator.kernels.moving import compacted
from qworkbench.emulator.kernels.surface import new_surface
from qworkbench.emulator.kernels.threads import VARIABLE
from qworkbench.emulator.kernels.values import Value, new_array, new_value, plain_layout, value_of
from qworkbench.numerics import Requantize, reference

rng = np.random.default_rng(11)
VIEWS = [
    lambda x: x.transpose(0, 2, 1, 3),
    lambda x: x.transpose(3, 0, 1, 2)[1:, :, ::2],
    lambda x: x[:, 2],
    lambda x: x[:, 1:2, :, 3],
    lambda x: x[1:],
]


def _held(shape: tuple[int, ...], how: str) -> Value:
    """Return random codes in memory of their own, as an array, or on a surface."""
    if how == "array":
        return value_of(rng.integers(-128, 128, shape).astype(np.int8))
    value = new_value(plain_layout(shape, np.int8)) if how == "memory" else value_of(new_surface(shape, np.int8, 1))
    value.array[...] = rng.integers(-128, 128, shape)
    return value


@pytest.mark.parametrize("how", ["array", "memory", "surface"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_value_seen_otherwise_shows_what_numpy_shows(how: str, view: Any) -> None:
    held = _held((2, 4, 6, 8), how)
    expected = view(held.array)
    like = value_of(expected)
    assert like.layout is not None
    assert held.layout is not None
    distance = like.origin - held.origin
    assert held.layout.holds(like.layout, distance)
    seen = held.seen_as(like.layout, distance)
    assert (seen.origin, seen.nbytes, seen.viewed) == (like.origin, expected.nbytes, True)
    assert np.array_equal(seen.array, expected)
    assert seen.array.strides == expected.strides
    with pytest.raises(ValueError, match="read-only"):
        seen.array[...] = 0
    again = seen.seen_as(like.layout)  # of what is a view already
    assert np.array_equal(again.array, expected)


@pytest.mark.parametrize("how", ["array", "memory"])
def test_a_view_of_a_view_may_be_whole_again(how: str) -> None:
    held = _held((2, 4, 6), how)
    turned = value_of(held.array.transpose(0, 2, 1)).layout
    assert turned is not None
    assert held.layout is not None
    back = held.seen_as(turned).seen_as(held.layout)
    assert np.array_equal(back.array, held.array)


def test_a_layout_does_not_hold_what_lies_beside_it() -> None:
    whole, part = plain_layout((4, 8), np.int8), plain_layout((2, 8), np.int8)
    assert whole.holds(part, 16)
    assert not whole.holds(part, 17)
    assert not whole.holds(part, -1)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("shape", [(2, 5, 3, 32), (1, 7, 2, 64), (3, 2, 2, 4)])
def test_what_lies_in_runs_is_copied_as_numpy_copies_it(shape: tuple[int, ...], dtype: str) -> None:
    whole = rng.integers(-128, 128, shape).astype(dtype)
    x = whole.transpose(0, 2, 1, 3)
    found = compacted(x, (shape[0], -1 if 0 in shape else x[0].size))
    if shape[3] * x.itemsize < 16:
        assert found is None, "numpy is as fast"
        return
    assert found is not None
    assert found.flags.c_contiguous
    assert np.array_equal(found, x.reshape(shape[0], -1))
    assert compacted(whole.transpose(3, 2, 1, 0), (whole.size,)) is None, "no runs"
    assert compacted(x[:, :, ::-1], (x.size,)) is None, "steps back"


@pytest.mark.parametrize("length", [1, 5, 6, 7, 64, 197])
def test_what_lies_behind_a_row_of_a_product_does_not_count(length: int) -> None:
    rq = Requantize(np.array([0.01]), "int8", -128, 127)
    a, b = new_array((2, 40, length), np.int8), rng.integers(-128, 128, (2, length, 90)).astype(np.int8)
    room = np.ndarray((a.size + 64,), np.int8, a.base)
    room[:] = rng.integers(-128, 128, room.size)
    got, _ = kernels.matmul(a, b, rq)
    assert np.array_equal(got, reference.matmul(np.array(a), b, rq)[0])


class _Attention(nn.Module):
    """Attention of three heads, by one layer whose result is cut in three; a view of what was mixed leaves, too."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens, self.heads, self.width = tokens, 3, 48
        self.parts, self.out = nn.Linear(48, 144), nn.Linear(48, 48)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        batch = x.shape[0]
        parts = self.parts(x).reshape(batch, self.tokens, 3, self.heads, 16).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        weight = torch.softmax(query * 0.25 @ key.transpose(2, 3), -1)
        mixed = (weight @ value).transpose(1, 2)
        return self.out(mixed.reshape(batch, self.tokens, 48)), mixed


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("tokens", [36, 37])
def test_attention_waits_in_the_queue_and_is_the_references(
    tokens: int, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, threads)
    torch.manual_seed(1)
    samples = torch.randn(6, 1, tokens, 48)
    wb = q.Workbench(_Attention(tokens), samples[0], calibration=samples[1])
    plan = wb._stages.plan(wb.config)
    (name,) = wb.graph.inputs
    kept = []
    for sample in samples:  # at once, prepared, taken down, played
        feeds = {name: sample.numpy()}
        expected = execute(plan, feeds, set(plan.outputs), ResultCache(), backend=reference).arrays
        found = execute(plan, feeds, set(plan.outputs), ResultCache()).arrays
        kept.append((found, expected))
    for found, expected in kept:
        for key in plan.outputs:
            assert np.array_equal(found[key], expected[key]), key
    alone = [step.name for step in plan.steps if not step.made]
    assert alone == ["_generated_softmax_0", "out.dequantize"], "torch's, and a scale for each of the last axis"
