"""The converted model and the emulator's plan of the float model give the same codes at the same scales."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import qworkbench as q
from qworkbench.emulator.builder import build_plan
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.march import get_march
from qworkbench.numerics.arithmetic import Arithmetic
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides
from qworkbench.qat.quantization import convert_fx, get_default_qconfig, prepare_qat_fx
from tests.qat.nets import ResNetLike

# value of the captured graph: module of the prepared model that quantizes it
SCALES = {
    "x": "quant",
    "stem.2": "stem.0",
    "stem.3": "stem.0",
    "layer1._generated_relu_0": "layer1.conv1",
    "layer1.relu": "_generated_add_0",
    "layer2._generated_relu_0": "layer2.conv1",
    "layer2.down.1": "layer2.down.0",
    "layer2.relu": "_generated_add_1",
    "pool": "pool",
    "_generated_flatten_0": "pool",
}


class FromTraining:
    """Thresholds of a plan: the scales of the prepared model."""

    def __init__(self, model):
        self.model = model

    def threshold(self, name):
        fake = self.model.get_submodule(SCALES[name]).activation_post_process
        return float(fake.scale) * {"qint8": 128, "qint16": 32768}[fake.dtype]

    def channel_thresholds(self, _):
        return None


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_convert_equals_the_plan_bit_for_bit(dtype):
    model, x = ResNetLike().eval(), torch.randn(3, 3, 16, 16)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    graph = q.capture(model, x)
    wishes = {n.name: DtypeRequest("int16", None, "int16") for n in graph.nodes if n.name != "fc"}
    wishes = wishes if dtype == "int16" else {}
    placement = place(graph, get_march("bayes-e"), Overrides(dtypes=wishes))
    given = {SCALES[v]: f"q{g.dtype}" for g in placement.groups for v in g.values if v in SCALES}
    assert f"q{dtype}" in given.values()
    names = {k: get_default_qconfig(activation_qkwargs={"dtype": v}) for k, v in given.items()}
    names["fc"] = get_default_qconfig(activation_fake_quant=None)
    prepared = prepare_qat_fx(copy.deepcopy(model), {"module_name": names})
    prepared(x)
    prepared.eval()
    integers = convert_fx(prepared)

    plan = build_plan(graph, placement, FromTraining(prepared), Arithmetic(scale_denominator=128))
    feeds = {"x": x.numpy()}
    keys = {name: key for name, key in plan.results.items() if "@" in key}
    arrays = execute(plan, feeds, set(keys.values()) | set(plan.outputs), ResultCache()).arrays

    seen = {}
    for name, module in integers.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
    whole = integers(x)
    compared = 0
    for value, module in SCALES.items():
        key = keys.get(value)
        if key is None or value in ("_generated_flatten_0", "stem.3"):
            continue
        found = seen[module].int_repr().numpy()
        assert found.dtype == arrays[key].dtype
        assert np.array_equal(found, arrays[key]), value
        compared += 1
    assert compared >= 6
    assert np.array_equal(whole.numpy(), arrays[plan.outputs[0]])
