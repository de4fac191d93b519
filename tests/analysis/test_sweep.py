"""How the sensitivity sweep runs: segments, changes by Winograd, and memory that stays within what was asked for."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.analysis import onednn
from qworkbench.analysis import program as program_module
from qworkbench.analysis.program import FloatProgram
from qworkbench.analysis.quantizers import quantizers_of
from qworkbench.analysis.segments import segments_of
from qworkbench.analysis.winograd import Winograd, fits


@pytest.mark.skipif(not onednn.AVAILABLE, reason="this torch has no oneDNN convolutions")
@pytest.mark.parametrize(("side", "pads"), [((7, 7), (1, 1)), ((14, 9), (1, 1)), ((12, 10), (0, 0)), ((8, 8), (1, 0))])
def test_a_change_is_convolved_with_rounding_relative_to_the_change(side, pads):
    torch.manual_seed(0)
    attrs = {"pads": (*pads, *pads), "strides": (1, 1), "dilations": (1, 1), "group": 1}
    weight = torch.randn(80, 64, 3, 3) / 24
    assert fits(weight, attrs)
    assert not fits(weight, {**attrs, "strides": (2, 2)})
    assert not fits(weight[:40], attrs)
    plain = torch.randn(3, 64, *side).contiguous(memory_format=torch.channels_last)
    rows = np.array([2, 0, 0, 1, 2])
    change = (torch.randn(5, 64, *side) * 1e-3).contiguous(memory_format=torch.channels_last)
    x = plain[torch.from_numpy(rows)] + change
    x = x.contiguous(memory_format=torch.channels_last)
    exact_plain = torch.conv2d(plain.double(), weight.double(), None, padding=pads)
    exact = torch.conv2d(x.double(), weight.double(), None, padding=pads)
    plain_y = exact_plain.float().contiguous(memory_format=torch.channels_last)
    made = Winograd(weight, pads).apply(x, plain, plain_y, rows)
    assert made.shape == exact.shape
    moved, expected = made.double() - plain_y.double()[rows], exact - exact_plain[rows]
    assert (moved - expected).abs().mean() < 1e-3 * expected.abs().mean()
    clamped = Winograd(weight, pads).apply(x, plain, plain_y, rows, -0.1, 0.2)
    torch.testing.assert_close(clamped, made.clamp(-0.1, 0.2), rtol=0, atol=0)


class Residual(nn.Module):
    """Two residual blocks wide enough for Winograd, with a wider inside, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        self.a, self.b = nn.Conv2d(64, 128, 3, padding=1), nn.Conv2d(128, 64, 3, padding=1)
        self.c, self.d = nn.Conv2d(64, 128, 3, padding=1), nn.Conv2d(128, 64, 3, padding=1)
        self.head = nn.Conv2d(64, 5, 1)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.b(torch.relu(self.a(x))))
        x = x + self.d(torch.relu(self.c(x)))
        return self.head(x).mean((2, 3))


@pytest.fixture
def residual(make_workbench):
    torch.manual_seed(0)
    x = torch.randn(6, 3, 16, 16)
    return make_workbench(Residual().eval(), x), x


def exact_effects(wb, x):
    """Each quantizer alone, in float64, by complete runs."""
    program = FloatProgram(wb.graph, wb.placement, torch.float64)
    feeds = {wb.graph.inputs[0]: x.double()}
    plain = program.reference(feeds, len(x))
    out = wb.placement.canonical[wb.graph.outputs[0]]
    found = {}
    for quantizer in quantizers_of(wb.graph, wb.placement, wb._stages.plan(wb.config), "half_even"):
        values = dict(feeds)
        if quantizer.unit is None:
            values[quantizer.value] = quantizer.apply(values[quantizer.value])
        for unit in program.units:
            weight = None
            if quantizer.kind == "weight" and quantizer.unit == unit.name:
                weight = torch.from_numpy(quantizer.weight()).double()
            made = program.run(unit, values, len(x), weight=weight)
            values.update(zip(unit.outputs, made, strict=False))
            if quantizer.kind == "activation" and quantizer.unit == unit.name:
                values[quantizer.value] = quantizer.apply(values[quantizer.value])
        found[quantizer.name, quantizer.kind] = float((values[out] - plain[out]).abs().mean())
    return found


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_every_row_equals_complete_runs_in_float64(residual, dtype):
    wb, x = residual
    if dtype == "int16":
        wb.edit(*(q.SetDtype(name, "int16") for name in ("stem", "a", "c")))
    table = wb.sensitivity(x).set_index(["op_name", "sensitive_type"]).L1
    expected = exact_effects(wb, x)
    assert set(table.index) == set(expected)
    for key, value in expected.items():
        assert table[key] == pytest.approx(value, rel=5e-3, abs=1e-7), key


def test_segments_hold_every_unit_once_and_let_out_what_is_read_later(residual):
    wb, _ = residual
    program = FloatProgram(wb.graph, wb.placement)
    watched = {wb.placement.canonical[wb.graph.outputs[0]]}
    segments = segments_of(program, watched)
    assert [unit.name for segment in segments for unit in segment.units] == [unit.name for unit in program.units]
    assert any(len(segment.units) > 1 for segment in segments)
    for number, segment in enumerate(segments):
        later = {value for other in segments[number + 1 :] for unit in other.units for value in unit.inputs}
        assert set(segment.leaving) == segment.inner & (later | watched)
        assert not set(segment.dead) & later


def living_bytes():
    """Return the bytes of tensors that are alive and that the collector has not frozen."""
    storages = {}
    for thing in gc.get_objects():
        if type(thing) is torch.Tensor and not thing.is_mkldnn:
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


@pytest.mark.parametrize("budget", [2 * 2**20, 4 * 2**20, 12 * 2**20, 40 * 2**20])
def test_what_is_alive_stays_within_the_budget(residual, budget):
    wb, x = residual
    table = wb.sensitivity(x)
    program = wb._effects.references.program(wb.graph, wb.placement)
    wb._effects.references.kept.clear()
    wb._effects.effects.clear()
    gc.collect()
    gc.freeze()  # what there is now does not count
    most = 0

    def look(*_):
        nonlocal most
        most = max(most, living_bytes())

    try:
        again = wb.sensitivity(x, budget=budget, progress=look)
    finally:
        gc.unfreeze()
    assert wb._effects.references.program(wb.graph, wb.placement) is program
    assert 0 < most <= budget
    index = ["op_name", "sensitive_type"]
    both = table.merge(again, on=index, suffixes=("", "_again"))
    assert len(both) == len(table) == len(again)
    np.testing.assert_allclose(both.L1, both.L1_again, rtol=1e-3)


def test_transformed_weights_are_bounded_and_without_them_the_rows_are_the_same(residual, monkeypatch):
    wb, x = residual
    table = wb.sensitivity(x)
    held = wb._effects.references.program(wb.graph, wb.placement)._changes
    assert any(change is not None for change in held.values()) == onednn.AVAILABLE
    monkeypatch.setattr(program_module, "MOST_TRANSFORMED", 0)
    wb.forget()
    wb._effects.references._program = None
    plain = wb.sensitivity(x)
    held = wb._effects.references.program(wb.graph, wb.placement)._changes
    assert all(change is None for change in held.values())
    both = table.merge(plain, on=["op_name", "sensitive_type"], suffixes=("", "_plain"))
    np.testing.assert_allclose(both.L1, both.L1_plain, rtol=1e-3)
    assert len(both) == len(table)
