"""Ways in which capturing is known to go wrong, those that no other file here is about.

Names, views, state, refusals and structures have files of their own; what follows is the rest.
"""

from __future__ import annotations

import gc
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import qworkbench as q
from qworkbench.graph.fusion import find_fusions
from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import difference_on, module_of
from tests.models.zoo import ZOO

X = torch.randn(2, 4, 15, 15, generator=torch.Generator().manual_seed(0))


@torch.fx.wrap
def hidden_by_the_library(x):
    """A function that its library keeps fx from looking into."""
    return torch.relu(x) * 2


def test_a_function_that_a_library_wraps_for_fx_is_still_opened():
    graph = capture(module_of(lambda s, x: hidden_by_the_library(x)), X)
    assert [n.op for n in graph.nodes] == ["Relu", "Mul"]


def test_edits_never_write_to_the_users_weights():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.MaxPool2d(2)).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wb = q.Workbench(model, X, calibration=X)
    wb.edit(q.InsertUnitConv("2", "after"), q.FixScale("0", 0.1))
    wb.run()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "resize",
    [
        lambda s, x: F.interpolate(x[..., :4, :4], scale_factor=1.6, mode="bilinear"),
        lambda s, x: F.interpolate(x[..., :4, :4], scale_factor=1.6, mode="bilinear", recompute_scale_factor=True),
        lambda s, x: F.interpolate(x[..., :4, :4], size=(6, 6), mode="bilinear"),
        lambda s, x: F.interpolate(x[..., :4, :4], size=(6, 6), mode="bilinear", align_corners=True),
    ],
)
def test_a_scale_factor_and_the_size_that_it_gives_are_two_things(resize):
    model = module_of(resize)
    assert difference_on(capture(model, X), model, torch.randn(2, 4, 15, 15)) < 1e-6


@pytest.mark.parametrize(
    ("size", "operator"),
    [(1, "GlobalAveragePool"), (5, "AveragePool"), (15, "Identity"), (7, "AdaptiveAvgPool")],
)
def test_an_adaptive_pool_is_what_it_does_to_its_input(size, operator):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(size))
    graph = capture(model, X)
    assert [n.op for n in graph.nodes] == [operator]
    assert difference_on(graph, model, torch.randn(3, 4, 15, 15)) < 1e-6


def test_fused_attention_of_the_evaluation_mode_is_opened_all_the_same():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    graph = capture(layer, torch.randn(2, 5, 16))
    assert {"Gemm", "MatMul", "Softmax", "LayerNormalization"} <= {n.op for n in graph.nodes}
    assert torch.backends.mha.get_fastpath_enabled()


class InPlace(nn.Module):
    """What the older exporter gets wrong without a word."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        a = self.c1(x)
        y = self.c2(a)
        y += a
        y[:, :2] = 0
        y[:, 2:4].mul_(2)
        y.view(y.shape[0], -1).add_(1)
        return y


def test_writes_in_place_come_out_right_where_the_exported_file_does_not():
    model = InPlace().eval()
    assert difference_on(capture(model, X), model, torch.randn(3, 4, 15, 15)) < 1e-6


def test_a_file_is_its_own_reference(tmp_path):
    """Conv and BatchNormalization are one node of the file; its graph agrees with the file, not with the module."""
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (X,), tmp_path / "model.onnx", dynamo=False, opset_version=11)
    graph = read_onnx(tmp_path / "model.onnx")
    assert [n.op for n in graph.nodes] == ["Conv", "Relu"]
    assert graph.nodes.names()[0] == "/0/Conv"


def test_either_convolution_may_own_an_add_and_the_first_does():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return torch.relu(self.second(x) + self.first(x))

    (group,) = [g for g in find_fusions(capture(Branches(), X)) if g.add]
    assert group.anchor == "second"  # it is called first


def test_each_call_of_a_module_without_weights_has_a_scale_of_its_own():
    model, example = ZOO["resnet18"]()
    wb = q.Workbench(model, example, calibration=example)
    assert wb.graph.call_counts["layer1.0.relu"] == 2
    first, second = (wb.placement.unit_of(name).outputs[0] for name in ("layer1.0.relu", "layer1.0.relu#1"))
    assert wb.placement.group_of[first] != wb.placement.group_of[second]
    assert not any("relu" in str(line) for line in wb.check().unusual)


def test_activations_of_a_capture_are_let_go():
    seen = []
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    model[0].register_forward_hook(lambda *args: seen.append(weakref.ref(args[2])))
    graph = capture(model, X)
    gc.collect()
    assert seen
    assert [made() for made in seen if made() is not None] == []
    assert len(graph.nodes) == 3


def test_no_deprecated_way_of_tracing_is_used():
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        capture(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), X)
