"""A mean of floats on the CPU has torch's bits, whoever computes it, and waits with the calls around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.emulator.float_means import mean_of
from qworkbench.emulator.kernels.calls import listening, noted
from qworkbench.emulator.kernels.queue import Queue
from qworkbench.emulator.kernels.values import value_of
from qworkbench.emulator.node_call import WIRED, NodeCall
from qworkbench.graph.node import Node

rng = np.random.default_rng(5)
CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 1280, 7, 7), {"axes": (2, 3), "keepdims": False}),
    ((3, 20, 14, 14), {"axes": (2, 3), "keepdims": True}),
    ((3, 20, 14, 14), {"axes": (-1, -2)}),
    ((2, 8, 3, 3), {"axes": (2, 3), "keepdims": False}),
    ((2, 40, 1, 5), {"axes": (2, 3), "keepdims": False}),
    ((2, 4, 22, 23), {"axes": (2, 3), "keepdims": False}),
    ((2, 4, 60, 60), {"axes": (2, 3), "keepdims": False}),
    ((6, 77), {"axes": (1,), "keepdims": True}),
    ((6, 9, 7), {"axes": (0, 1), "keepdims": False}),
    ((6, 9, 7), {"axes": (1,), "keepdims": False}),
    ((1, 300), {"axes": (1,), "keepdims": False}),
    ((5, 33), {"keepdims": True}),
    ((0, 33), {"axes": (1,), "keepdims": False}),
]


def _numbers(shape: tuple[int, ...]) -> np.ndarray:
    x = (rng.normal(size=shape) * np.exp2(rng.integers(-9, 9, shape))).astype(np.float32)
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(("shape", "attrs"), CASES)
def test_a_mean_has_the_bits_of_torch(shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    call = NodeCall(Node("mean", "ReduceMean", ("x",), ("y",), attrs), [WIRED])
    axes = attrs.get("axes", tuple(range(len(shape))))
    for _ in range(2):
        x = _numbers(shape)
        (y,) = call([x], 1)
        expected = torch.from_numpy(x.copy()).mean(axes, keepdim=attrs.get("keepdims", True)).numpy()
        assert y.dtype == np.float32
        assert y.shape == expected.shape
        assert np.array_equal(y.view(np.int32), expected.view(np.int32))


def test_a_mean_of_an_axis_that_is_not_there_is_refused_by_torch() -> None:
    with pytest.raises(IndexError):
        NodeCall(Node("mean", "ReduceMean", ("x",), ("y",), {"axes": (2,)}), [WIRED])([_numbers((4, 9))], 1)


def test_an_order_that_is_not_torchs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    length = 51  # no other test asks for it
    attrs, shape = {"axes": (1,), "keepdims": False}, (4, length)
    monkeypatch.setattr("qworkbench.emulator.float_means.LANES_OF", ())
    assert mean_of(attrs, shape) is None
    x = _numbers(shape)
    (y,) = NodeCall(Node("mean", "ReduceMean", ("x",), ("y",), attrs), [WIRED])([x], 1)
    assert np.array_equal(y, torch.from_numpy(x.copy()).mean(1).numpy())


def test_a_mean_may_wait() -> None:
    mean = mean_of({"axes": (2, 3), "keepdims": False}, (2, 16, 7, 7))
    if mean is None:
        pytest.skip("torch adds in another order here")
    first = _numbers((2, 16, 7, 7))
    with listening() as notes:
        made = mean(first)
    assert made is not None
    prepared = noted(notes, [first], [made])
    assert prepared is not None
    queue, given = Queue(), [_numbers(first.shape) for _ in range(3)]
    values = [queue.add(prepared, [value_of(x)])[0] for x in given]
    assert not queue.run()
    for x, value in zip(given, values, strict=True):
        assert np.array_equal(value.array, torch.from_numpy(x.copy()).mean((2, 3)).numpy())


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features, self.classifier = nn.Conv2d(3, 24, 3, padding=1), nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def test_a_network_with_a_mean_answers_the_same_each_time() -> None:
    torch.manual_seed(4)
    x = torch.rand(2, 3, 9, 9)
    wb = q.Workbench(_Classifier(), x, calibration=x)
    first = {name: np.array(value) for name, value in wb.run(x).outputs.items()}
    for _ in range(4):
        wb.run(torch.rand_like(x))
        again = wb.run(x.clone()).outputs
        assert all(np.array_equal(value, np.asarray(again[name])) for name, value in first.items())
