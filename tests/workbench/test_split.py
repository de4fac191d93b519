"""Segmented deployment: stages run alone, and chained they equal the whole bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.errors import EditError
from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat import march
from qworkbench.qat.quantization import convert_fx, prepare_qat_fx
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig
from tests.qat.nets import ALL, ResNetLike, TransformerLike, UNetLike


def loaded(make, **options):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 16, 16)
    return q.Workbench(make().eval(), x, calibration=torch.randn(6, 3, 16, 16), **options), x


def check(workbench, *nodes, inputs=None):
    made = workbench.split(*nodes)
    whole = workbench.run(inputs).outputs
    found = made.run(inputs)
    assert list(found) == list(whole)
    for name in whole:
        assert np.array_equal(found[name], whole[name]), (nodes, name)
    return made


@pytest.mark.parametrize("make", ALL)
def test_every_cut_that_is_one_gives_the_whole(make):
    workbench, _ = loaded(make)
    cuts = 0
    for name in workbench.graph.nodes.names()[::3]:
        try:
            check(workbench, name)
        except EditError:
            continue
        cuts += 1
    assert cuts >= 3


def test_edits_int16_and_unit_convs_are_kept_by_the_stages():
    workbench, _ = loaded(ResNetLike)
    workbench.edit(
        q.SetDtype("layer1.conv1", "int16"), q.InsertUnitConv("stem.3", "after"), q.SetPlacement("pool", "cpu")
    )
    made = check(workbench, "layer1._generated_relu_0")
    assert {b.value: b.dtype for b in made.boundaries}["layer1._generated_relu_0"] == "int16"
    assert "_unitconv_0" in made.stage1.graph.nodes
    assert made.stage2.placement["pool"].on == "CPU"


def test_new_data_of_another_batch_size_goes_through():
    workbench, _ = loaded(UNetLike)
    check(workbench, "deep.2", inputs=torch.randn(5, 3, 16, 16))


def test_the_boundary_keeps_its_scale_on_both_sides_and_the_whole_stays():
    workbench, _ = loaded(ResNetLike)
    before = workbench.config
    made = check(workbench, "layer1.relu")
    (boundary,) = made.boundaries
    scale = float(workbench._stages.plan(before).quantities["layer1.relu@int8"].single)
    assert boundary.scale == scale
    assert made.stage1.placement.group("layer1.relu").fixed_scale == scale
    assert made.stage2.placement.group("layer1.relu").fixed_scale == scale
    assert workbench.config == before
    assert not made.stage1.can_undo
    codes = made.stage1.run().outputs["layer1.relu"] / np.float32(scale)
    assert np.abs(codes - np.rint(codes)).max() < 1e-3


def test_several_tensors_may_cross():
    workbench, _ = loaded(UNetLike)
    made = check(workbench, "up")
    assert [b.value for b in made.boundaries] == ["down.2", "_generated_interpolate_0", "up"]
    assert set(made.stage2.base_graph.inputs) == {b.value for b in made.boundaries}


def test_levels_of_a_pyramid_are_cut_together():
    class Pyramid(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 2, 1)
            self.head_a, self.head_b = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            a = self.a(x).relu()
            b = self.b(a).relu()
            return self.head_a(a), self.head_b(b)

    workbench, _ = loaded(Pyramid)
    levels = [n.name for n in workbench.graph.nodes if n.op == "Relu"]
    made = check(workbench, *levels)
    assert made.stage2.base_graph.nodes.names() == ("head_a", "head_b")


def test_a_trained_model_with_a_stub_at_the_cut():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.cut, self.dequant = QuantStub(), QuantStub(scale=None), DeQuantStub()
            self.one, self.two = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 2, 3)

        def forward(self, x):
            return self.dequant(self.two(self.cut(self.one(self.quant(x)).relu())))

    march.set_march("bayes")
    try:
        x = torch.randn(2, 3, 12, 12)
        made = prepare_qat_fx(Two().train(), {"": default_qat_8bit_fake_quant_qconfig})
        made(x)
        made.eval()
        workbench = q.Workbench(made, x)
        for node in (next(n.name for n in workbench.graph.nodes if n.op == "Relu"), "cut"):
            stages = check(workbench, node)
            assert stages.boundaries[0].scale == float(made.one.activation_post_process.scale)
        assert np.array_equal(stages.run()["output"], convert_fx(made)(x).detach().numpy())
    finally:
        march._set.clear()


def test_what_is_no_cut_is_one_sentence():
    workbench, x = loaded(ResNetLike)
    with pytest.raises(EditError, match=r"goes through stem.0 \+ stem.1 \+ stem.2.*cut behind 'stem.2'"):
        workbench.split("stem.0")
    with pytest.raises(EditError, match="nothing lies behind 'dequant'"):
        workbench.split("dequant")
    with pytest.raises(q.QWorkbenchError, match=r"did you mean 'layer1\.relu'"):
        workbench.split("layer1.relo")
    with pytest.raises(EditError, match="name the node"):
        workbench.split()
    with pytest.raises(q.QWorkbenchError, match="calibrate first"):
        q.Workbench(ResNetLike(), x).split("layer1.relu")


def test_a_scale_per_channel_at_the_boundary_is_refused():
    workbench, x = loaded(ResNetLike)
    workbench.calibrate(x, per_channel=True)
    per_channel = [k for k, v in workbench._stages.plan(workbench.config).quantities.items() if v.per_channel]
    inside = [k.split("@")[0] for k in per_channel if k.split("@")[0] in workbench.graph.nodes and "@int8" in k]
    if not inside:
        pytest.skip("no tensor of this model has a scale per channel")
    with pytest.raises(EditError, match="one scale per channel"):
        workbench.split(inside[0])


def test_both_stages_are_written_and_read_again(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    workbench, x = loaded(TransformerLike)
    made = workbench.split("norm2")
    names = {path.name for path in made.export(tmp_path / "out")}
    assert names == {"stage1.onnx", "stage1.yaml", "stage2.onnx", "stage2.yaml", "boundaries.txt"}
    one = onnxruntime.InferenceSession(tmp_path / "out" / "stage1.onnx")
    two = onnxruntime.InferenceSession(tmp_path / "out" / "stage2.onnx")
    crossing = one.run(None, {one.get_inputs()[0].name: x.numpy()})
    given = dict(zip([i.name for i in two.get_inputs()], crossing, strict=True))
    wanted = workbench.model(x).detach().numpy()
    assert np.allclose(two.run(None, given)[0], wanted, atol=1e-4)
