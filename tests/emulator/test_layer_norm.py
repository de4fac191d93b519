"""LayerNormalization of bayes and bayes-e: one op on the CPU, or its pieces on the BPU, as an assumption says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.emulator import kernels
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.numerics import reference

PIECES = q.SetAssumption("layer_norm", "pieces")


class Net(nn.Module):
    """A normalization between two linear layers."""

    def __init__(self, shape=(16,), *, affine=True):
        super().__init__()
        self.first, self.norm, self.last = (
            nn.Linear(16, 16),
            nn.LayerNorm(shape, elementwise_affine=affine),
            nn.Linear(16, 4),
        )
        if affine:
            nn.init.uniform_(self.norm.weight, 0.5, 2)
            nn.init.normal_(self.norm.bias)

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


def workbench(shape=(6, 16), march="bayes-e", **options):
    torch.manual_seed(3)
    x = torch.randn(12, *shape) * torch.linspace(0.2, 3, 16)
    wb = q.Workbench(Net(**options).eval(), x[:3], march=march)
    return wb, x


@pytest.mark.parametrize("march", ["bayes", "bayes-e"])
def test_it_is_whole_on_the_cpu_and_says_what_is_assumed_and_how_to_change_it(march):
    wb, x = workbench(march=march)
    wb.calibrate(x)
    assert wb.placement["norm"].on == "CPU"
    text = str(wb.why("norm"))
    assert "the converter sees the pieces" in text
    assert "assumed (layer_norm): taken as one op in float" in text
    assert "%qwb assume layer_norm pieces" in text
    assert any(name == "layer_norm" and value == "whole" for name, value, *_ in wb.placement.assumptions)


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "bare"])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((16,), "int8"), ((6, 16), "int8"), ((2, 6, 16), "int8"), ((16,), "int16")],  # only a Gemm of rank 2 reads int16
    ids=["rank 2", "rank 3", "rank 4", "int16"],
)
def test_its_pieces_run_in_integers(shape, affine, dtype):
    wb, x = workbench(shape, affine=affine)
    wb.edit(PIECES, q.SetDtype("norm", dtype))
    wb.calibrate(x)
    placed = wb.placement["norm"]
    assert (placed.on, placed.dtype) == ("BPU", dtype)
    assert "with int16 between them" in str(wb.why("norm"))
    plan = wb._stages.plan(wb.config)
    steps = [step for step in plan.steps if step.unit == "norm"]
    assert {"reduce_mean", "sub", "mul", "lut"} <= {step.kind for step in steps}
    assert "dequantize" not in {step.kind for step in steps}
    run = wb.run()
    assert run.layers.loc["norm", "cosine"] > 0.9995
    # kernels and the obviously right twins give the same codes
    feeds = {name: array.numpy() for name, array in zip(wb.graph.inputs, [x[:3]], strict=True)}
    keys = {key for step in steps for key in step.outputs}
    fast, slow = (
        execute(plan, feeds, keys, ResultCache(), backend=backend, together=False).arrays
        for backend in (kernels, reference)
    )
    for key in keys:
        np.testing.assert_array_equal(fast[key], slow[key])


def test_over_several_axes_it_stays_on_the_cpu():
    torch.manual_seed(3)
    x = torch.randn(12, 6, 16)
    wb = q.Workbench(Net((6, 16)).eval(), x[:3], march="bayes-e")
    wb.edit(PIECES)
    wb.calibrate(x)
    assert wb.placement["norm"].on == "CPU"
    assert "normalized_dims = 2" in str(wb.why("norm"))


def test_thresholds_of_the_pieces_are_watched_only_where_they_are_asked_for():
    wb, x = workbench()
    wb.calibrate(x)
    assert "norm.variance" not in wb.statistics.sketches
    wb.edit(PIECES)
    with pytest.raises(q.QWorkbenchError, match=r"no calibration data for 'norm\.\w+'; calibrate with data"):
        wb.run()
    assert "not known: no calibration data" in str(wb.why("norm"))
    wb.calibrate(x)
    assert wb.run().table["cosine"].min() > 0.999
    wb.undo()  # the assumption
    assert wb.placement["norm"].on == "CPU"
    assert wb.run().table["cosine"].min() > 0.999


def test_a_saved_state_brings_the_pieces_back_by_thresholds_or_by_data(tmp_path):
    wb, x = workbench()
    wb.edit(PIECES)
    wb.calibrate(x)
    path = wb.save(tmp_path / "state.qwb.json")
    for options in ({}, {"calibration": x}):
        other = q.Workbench.open(path, wb.model, **options)
        assert other.placement["norm"].on == "BPU"
        for name, array in wb.run().outputs.items():
            np.testing.assert_array_equal(other.run().outputs[name], array)


@pytest.mark.parametrize("march", ["bernoulli2", "nash-e", "nash-p"])
def test_other_marches_have_no_such_choice(march):
    wb, _ = workbench(march=march)
    with pytest.raises(q.QWorkbenchError, match="no assumption 'layer_norm'"):
        wb.edit(PIECES)


def test_another_march_takes_the_assumption_back():
    wb, x = workbench()
    wb.edit(PIECES)
    wb.calibrate(x)
    wb.edit(q.SetMarch("nash-e"))
    assert wb.config.assumptions == {}
    assert wb.placement["norm"].on == "CPU"
