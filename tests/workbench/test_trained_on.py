"""A model that was trained on while its workbench was open."""

from __future__ import annotations

import pytest
import torch

from qworkbench import SetPlacement, Workbench
from qworkbench.errors import CalibrationError


def test_calibration_takes_a_single_number_that_was_written_past_torch() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 40, 3), torch.nn.ReLU(), torch.nn.Conv2d(40, 2, 1)).eval()
    example = torch.randn(2, 3, 8, 8)
    wb = Workbench(model, example, calibration=example)
    wb.run()
    model[0].weight.data[1, 2, 2, 2] = 9.0
    wb.calibrate(example)
    fresh = Workbench(model, example, calibration=example)
    assert (wb.run().result == fresh.run().result).all()


def test_weights_that_changed_are_refused_until_calibration_takes_them() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1)).eval()
    example = torch.randn(2, 3, 8, 8)
    wb = Workbench(model, example)
    wb.calibrate(example)
    wb.edit(SetPlacement("2", "cpu"))
    before = next(iter(wb.run().outputs.values()))
    with torch.no_grad():
        model[0].weight.mul_(2.0)
    with pytest.raises(CalibrationError, match="weights changed"):
        wb.run()
    wb.calibrate(example)
    run = wb.run()
    after = next(iter(run.outputs.values()))
    assert wb.journal
    assert wb.placement["2"].on == "CPU"
    assert run.table["cosine"].min() > 0.99
    assert abs(after - before).max() > 0.01
    fresh = Workbench(model, example)
    fresh.calibrate(example)
    fresh.edit(SetPlacement("2", "cpu"))
    assert (next(iter(fresh.run().outputs.values())) == after).all()
