"""A prepared, trained or converted model in the workbench: the same codes as convert(), bit for bit, at every op."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.emulator.execute import execute
from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat import QTensor
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.quantized.common import Quantized
from qworkbench.qat.qat_mode import QATMode, set_qat_mode
from qworkbench.qat.quantization import FakeQuantState, convert_fx, prepare_qat_fx, set_fake_quantize
from qworkbench.qat.quantization.qconfig import (
    default_calib_8bit_fake_quant_qconfig,
    default_qat_8bit_fake_quant_qconfig,
    default_qat_8bit_lsq_quant_qconfig,
    default_qat_8bit_weight_16bit_act_fake_quant_qconfig,
)
from tests.qat.nets import ALL, MobileLike, ResNetLike, UNetLike

QCONFIGS = {
    "int8": default_qat_8bit_fake_quant_qconfig,
    "int16": default_qat_8bit_weight_16bit_act_fake_quant_qconfig,
    "lsq": default_qat_8bit_lsq_quant_qconfig,
}


def trained(make, qconfig, steps=3):
    """Return a prepared model whose weights moved on after they were last observed."""
    x = torch.randn(4, 3, 16, 16)
    made = prepare_qat_fx(make().train(), {"": qconfig})
    optimizer = torch.optim.SGD(made.parameters(), lr=1e-2)
    for _ in range(steps):
        made(x).square().mean().backward()
        optimizer.step()
    made.eval()
    set_fake_quantize(made, FakeQuantState.VALIDATION)
    return made, x


def output(workbench, x):
    run = workbench.run(x)
    return np.asarray(next(iter(run.outputs.values())) if isinstance(run.outputs, dict) else run.outputs[0])


def codes_of_plan(workbench, x):
    plan = workbench._stages.plan(workbench.config)
    made = {unit.name: plan.results[unit.tail] for unit in workbench.placement.units}
    keys = {name: key for name, key in made.items() if "@" in key}
    return {
        name: execute(plan, {workbench.graph.inputs[0]: x.numpy()}, {key}, workbench._cache).arrays[key]
        for name, key in keys.items()
    }


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("name", QCONFIGS)
@pytest.mark.parametrize("mode", QATMode)
def test_the_plan_is_the_converted_model_at_every_op(make, name, mode):
    set_qat_mode(mode)
    prepared, x = trained(make, QCONFIGS[name])
    integers = convert_fx(prepared)
    seen = {}
    for path, module in integers.named_modules():
        if isinstance(module, Quantized) and not getattr(module, "float_functional", False):
            module.register_forward_hook(lambda _, __, out, path=path: seen.setdefault(path, out))
    wanted = integers(x).detach().numpy()
    for model in (prepared, integers):
        workbench = q.Workbench(model, x)
        assert workbench.remarks == ()
        assert np.array_equal(output(workbench, x), wanted)
        codes = codes_of_plan(workbench, x)
        shared = [path for path in seen if path in codes and isinstance(seen[path], QTensor)]
        assert len(shared) >= 5
        for path in shared:
            assert np.array_equal(seen[path].int_repr().numpy(), codes[path]), path


def test_scales_are_fixed_scales_and_dtypes_are_wishes():
    prepared, x = trained(ResNetLike, QCONFIGS["int16"])
    workbench = q.Workbench(prepared, x)
    quant = float(prepared.quant.activation_post_process.scale)
    assert workbench.config.scales["quant"] == quant
    assert workbench.placement["_generated_add_0"].dtype == "int16"
    assert workbench.config.dtypes["_generated_add_0"].output == "int16"
    assert workbench.placement["pool"].reason.code == "trained"
    assert workbench.config.arithmetic.scale_denominator == 128
    assert workbench.journal == ()


def test_a_trained_model_can_be_edited_and_undone():
    prepared, x = trained(MobileLike, QCONFIGS["int8"])
    workbench = q.Workbench(prepared, x)
    before = output(workbench, x)
    workbench.edit(q.SetPlacement("depth.0", "cpu"))
    assert not np.array_equal(output(workbench, x), before)
    workbench.undo()
    assert np.array_equal(output(workbench, x), before)


def test_training_goes_on_beside_an_open_workbench():
    prepared, x = trained(MobileLike, QCONFIGS["int8"])
    workbench = q.Workbench(prepared, x)
    before = output(workbench, x)
    with torch.no_grad():
        for parameter in prepared.parameters():
            parameter.mul_(1.5)
    workbench.forget()
    assert np.array_equal(output(workbench, x), before)
    assert not np.array_equal(output(q.Workbench(prepared, x), x), before)


def test_a_calibrated_model_opens_and_one_without_data_is_a_clear_error():
    x = torch.randn(4, 3, 16, 16)
    prepared = prepare_qat_fx(UNetLike().eval(), {"": default_calib_8bit_fake_quant_qconfig})
    with pytest.raises(QATError, match=r"never observed.*run the prepared model on data"):
        q.Workbench(prepared, x)
    prepared(x)
    prepared.eval()
    set_fake_quantize(prepared, FakeQuantState.VALIDATION)
    wanted = convert_fx(prepared)(x).detach().numpy()
    assert np.array_equal(output(q.Workbench(prepared, x), x), wanted)


def test_what_is_left_in_float_runs_on_the_cpu():
    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.again, self.dequant, self.out = QuantStub(), QuantStub(), DeQuantStub(), DeQuantStub()
            self.conv, self.free, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Conv2d(6, 2, 1)

        def forward(self, x):
            x = self.dequant(self.conv(self.quant(x)))
            return self.out(self.last(self.again(self.free(x).relu())))

    x = torch.randn(2, 3, 12, 12)
    prepared = prepare_qat_fx(Part().train(), {"": QCONFIGS["int8"]})
    prepared(x)
    prepared.eval()
    wanted = convert_fx(prepared)(x).detach().numpy()
    workbench = q.Workbench(prepared, x)
    assert workbench.placement["free"].on == "CPU"
    assert workbench.placement["last"].on == "BPU"
    assert np.array_equal(output(workbench, x), wanted)


def test_a_converted_model_that_was_saved_and_loaded_opens_too():
    prepared, x = trained(ResNetLike, QCONFIGS["int8"])
    integers = convert_fx(prepared)
    fresh = convert_fx(copy.deepcopy(prepared))
    for buffer in fresh.buffers():
        buffer.zero_()
    fresh.load_state_dict(integers.state_dict())
    assert np.array_equal(output(q.Workbench(fresh, x), x), integers(x).detach().numpy())


def test_a_saved_workbench_of_a_trained_model_opens_again(tmp_path):
    prepared, x = trained(MobileLike, QCONFIGS["int8"])
    workbench = q.Workbench(prepared, x)
    workbench.edit(q.SetPlacement("depth.0", "cpu"))
    workbench.save(tmp_path / "state.qwb.json")
    again = q.Workbench.open(tmp_path / "state.qwb.json", prepared)
    assert again.config == workbench.config
    assert np.array_equal(output(again, x), output(workbench, x))
