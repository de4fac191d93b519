"""Depthwise windows of any size, and the margins that they want: codes are the reference's, and nothing is copied."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qworkbench as q
from qworkbench.emulator import kernels
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.emulator.kernels.calls import listening, noted
from qworkbench.emulator.kernels.surface import asking, new_surface, surface_of
from qworkbench.emulator.kernels.threads import VARIABLE
from qworkbench.numerics import ConvGeometry, Requantize, reference

rng = np.random.default_rng(3)
GEOMETRIES = [
    ConvGeometry((5, 5), (1, 1), (2, 2, 2, 2)),
    ConvGeometry((5, 5), (2, 2), (2, 2, 2, 2)),
    ConvGeometry((7, 7), (1, 1), (3, 3, 3, 3)),
    ConvGeometry((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),
    ConvGeometry((3, 3), (1, 2), (1, 1, 1, 1)),
    ConvGeometry((1, 4), (1, 1), (0, 2, 0, 1)),
    ConvGeometry((9, 1), (2, 1), (4, 0, 4, 0)),
    ConvGeometry((2, 2), (2, 2), (0, 0, 0, 0)),
    ConvGeometry((1, 1), (1, 1), (0, 0, 0, 0)),
]


def _case(channels: int, geometry: ConvGeometry, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    x = new_surface((2, channels, *size), np.int8, max(geometry.pads))
    x[...] = rng.choice([-128, -128, -1, 0, 1, 127, 127], x.shape) if channels % 2 else rng.integers(-128, 128, x.shape)
    w = rng.integers(-128, 128, (channels, 1, *geometry.kernel)).astype(np.int8)
    return x, w, rng.integers(-(2**20), 2**20, channels).astype(np.int32)


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("size", [(9, 10), (9, 9), (12, 1), (5, 2)])
@pytest.mark.parametrize("channels", [3, 16, 64, 90, 144])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: f"{g.kernel}/{g.strides}/{g.dilations}")
def test_a_window_of_any_size_is_the_references(
    geometry: ConvGeometry, channels: int, size: tuple[int, int], threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if min(geometry.output_size(*size)) < 1:
        pytest.skip("the window is larger than the image")
    monkeypatch.setenv(VARIABLE, threads)
    monkeypatch.setattr("qworkbench.emulator.kernels.vector.channels.WORTH_A_THREAD", 1)
    whole = ConvGeometry(geometry.kernel, geometry.strides, geometry.pads, geometry.dilations, channels)
    x, w, bias = _case(channels, whole, size)
    for low in (-128, 3):
        rq = Requantize(rng.uniform(1e-5, 3e-3, channels), "int8", low, 120)
        with listening() as notes:
            got, overflow = kernels.conv2d(x, w, bias, whole, rq, forms={})
        expected, _ = reference.conv2d(np.array(x), w, bias, whole, rq)
        assert overflow == 0
        assert np.array_equal(got, expected)
        assert noted(notes, (x,), (got,)) is not None


@pytest.mark.parametrize("leaves", ["int8", "int16", "int32"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("channels", [5, 32, 72])
@pytest.mark.parametrize("geometry", GEOMETRIES[:7], ids=lambda g: f"{g.kernel}/{g.strides}/{g.dilations}")
def test_a_window_of_any_size_is_the_references_on_every_path(
    path: str, geometry: ConvGeometry, channels: int, dtype: str, leaves: str
) -> None:
    whole = ConvGeometry(geometry.kernel, geometry.strides, geometry.pads, geometry.dilations, channels)
    x, w, bias = _case(channels, whole, (9, 11))
    if dtype == "int16":
        codes, x = rng.choice([-32768, 32767, -5, 0, 9], x.shape), new_surface(x.shape, np.int16, max(whole.pads))
        x[...] = codes
    kind = "float32" if leaves == "int8" else "float64"
    small = (1e-3 if leaves == "int8" else 0.2) / (1 if dtype == "int8" else 256)
    multiplier = rng.uniform(0.1, 1.0, channels) * small
    rq = None if leaves == "int32" else Requantize(multiplier, leaves, -100, 120, "half_even", kind)
    got, _ = kernels.conv2d(x, w, bias, whole, rq, forms={})
    expected, _ = reference.conv2d(np.array(x), w, bias, whole, rq)
    assert got.dtype == expected.dtype
    assert np.array_equal(got, expected), path


def test_what_is_asked_for_is_the_least_margin() -> None:
    geometry = ConvGeometry((3, 3), (1, 1), (1, 1, 1, 1))
    x, forms = new_surface((1, 16, 6, 6), np.int8, 1), {}
    x[...] = rng.integers(-128, 128, x.shape)
    w, rq = rng.integers(-128, 128, (16, 16, 3, 3)).astype(np.int8), Requantize(np.full(16, 1e-3), "int8", -128, 127)
    expected, _ = reference.conv2d(np.array(x), w, None, geometry, rq)
    for margin in (0, 3, 1, 2, 3):  # the same weight, with places of its own for each
        with asking(margin):
            got, _ = kernels.conv2d(x, w, None, geometry, rq, forms=forms)
            table = kernels.lut(got, np.arange(-128, 128).astype(np.int8))
        for one in (got, table):
            surface = surface_of(one)
            assert surface is not None
            assert surface.margin == max(margin, 1)
            assert np.array_equal(one, expected)
            outside = np.array(surface)
            outside[:, surface.margin : -surface.margin, surface.margin : -surface.margin] = 0
            assert not outside.any()


class _Block(nn.Module):
    """A wide depthwise window behind a table, beside a shortcut that lies as the sum does."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 24, 3, 2, 1)
        self.up, self.down = nn.Conv2d(24, 48, 1), nn.Conv2d(48, 24, 1)
        self.wide, self.other = nn.Conv2d(48, 48, 5, 1, 2, groups=48), nn.Conv2d(24, 24, 7, 1, 3, groups=24)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = x + self.down(torch.nn.functional.silu(self.wide(torch.nn.functional.silu(self.up(x)))))
        return self.other(x)


def test_windows_of_a_network_find_their_margin_and_wait_in_the_queue() -> None:
    torch.manual_seed(0)
    samples = torch.rand(5, 1, 3, 20, 22)
    wb = q.Workbench(_Block(), samples[0], calibration=samples[1])
    plan = wb._stages.plan(wb.config)
    assert sorted(plan.margins.values()) == [2, 3, 3], "the table, the shortcut and the sum"
    (name,) = wb.graph.inputs
    for sample in samples:
        feeds = {name: sample.numpy()}
        expected = execute(plan, feeds, set(plan.outputs), ResultCache(), backend=reference).arrays
        found = execute(plan, feeds, set(plan.outputs), ResultCache()).arrays
        for key in plan.outputs:
            assert np.array_equal(found[key], expected[key])
    assert all(step.made for step in plan.steps), [step.name for step in plan.steps if not step.made]
