from __future__ import annotations

import operator

import pytest
import torch
from torch import nn

from qworkbench.nn import FloatFunctional
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.intrinsic import FUSED
from qworkbench.qat.qat_mode import QATMode, set_qat_mode
from qworkbench.qat.quantization import MatchAllNode, fuse_fx, register_fusion_pattern
from qworkbench.qat.quantization.fuse_patterns import PATTERNS
from tests.qat.nets import MODELS

CONVS = {
    nn.Conv2d: (lambda: nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d, (2, 4, 5, 5)),
    nn.ConvTranspose2d: (lambda: nn.ConvTranspose2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d, (2, 4, 5, 5)),
    nn.Conv3d: (lambda: nn.Conv3d(4, 4, 3, padding=1), nn.BatchNorm3d, (2, 4, 5, 5, 5)),
    nn.Linear: (lambda: nn.Linear(4, 4), nn.BatchNorm1d, (6, 4)),
}


class Chain(nn.Module):
    def __init__(self, conv, bn, add, relu):
        super().__init__()
        make, norm, _ = CONVS[conv]
        self.conv = make()
        self.bn = norm(4) if bn else None
        self.add, self.relu = add, relu
        self.ff = FloatFunctional()
        self.act = nn.ReLU6() if relu == "ReLU6" else nn.ReLU()

    def forward(self, x, y):
        z = self.conv(x)
        if self.bn is not None:
            z = self.bn(z)
        if self.add == "left":
            z = z + y
        elif self.add == "right":
            z = torch.add(y, z)
        elif self.add == "module":
            z = self.ff.add(y, z)
        if self.relu == "function":
            z = nn.functional.relu(z)
        elif self.relu:
            z = self.act(z)
        return z


@pytest.mark.parametrize("conv", CONVS)
@pytest.mark.parametrize("bn", [False, True])
@pytest.mark.parametrize("add", [None, "left", "right", "module"])
@pytest.mark.parametrize("relu", ["", "ReLU", "ReLU6", "function"])
@pytest.mark.parametrize("mode", QATMode)
def test_every_combination_becomes_one_operator_with_the_same_values(conv, bn, add, relu, mode):
    set_qat_mode(mode)
    model = Chain(conv, bn, add, relu).eval()
    if bn:
        model.bn.running_mean.normal_()
        model.bn.running_var.uniform_(0.5, 2)
        nn.init.normal_(model.bn.weight)
    x, y = torch.randn(CONVS[conv][2]), torch.randn(CONVS[conv][2])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fused = fuse_fx(model)
    calls = [n for n in fused.graph.nodes if n.op.startswith("call")]
    assert len(calls) == 1
    assert torch.allclose(fused(x, y), model(x, y), atol=1e-5)
    operator_ = fused.get_submodule(calls[0].target)
    kind = type(operator_).__name__
    assert ("BN" in kind) == (bn and mode is QATMode.WithBN)
    assert ("Add" in kind) == (add is not None)
    assert kind.rstrip("2d3").endswith({"function": "ReLU"}.get(relu, relu)) or not relu
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert isinstance(model.conv, conv)


@pytest.mark.parametrize("make", MODELS)
def test_models_fuse_and_keep_their_values(make):
    model = make().eval()
    x = torch.randn(2, 3, 16, 16)
    fused = fuse_fx(model)
    assert torch.allclose(fused(x), model(x), atol=1e-5)
    kinds = {type(fused.get_submodule(n.target)) for n in fused.graph.nodes if n.op == "call_module"}
    assert not {nn.BatchNorm2d, nn.ReLU6, nn.Identity} & kinds
    assert kinds & set(FUSED.values())
    assert type(fused).__name__ == make.__name__
    again = fuse_fx(fused)
    assert torch.equal(again(x), fused(x))


def test_a_shared_convolution_and_a_value_with_two_readers_stay_apart():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.other = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            a = self.other(x)
            return self.relu(self.conv(self.conv(x))) + self.relu(a) + a

    model = Shared()
    x = torch.randn(1, 3, 4, 4)
    fused = fuse_fx(model)
    assert torch.equal(fused(x), model(x))
    assert type(fused.conv) is type(fused.other) is nn.Conv2d
    assert type(fused._generated_add_1) is FloatFunctional


def test_an_operator_whose_input_is_changed_in_place_meanwhile_is_not_moved():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True)

        def forward(self, x):
            x = x * 2
            y = self.conv(x)
            return y + self.relu(x)

    model, x = InPlace(), torch.randn(1, 3, 4, 4)
    fused = fuse_fx(model)
    assert torch.equal(fused(x), model(x))
    assert type(fused.conv) is nn.Conv2d


def test_users_add_patterns():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Tanh(), nn.Sigmoid()

        def forward(self, x):
            return self.b(self.a(x))

    found = []
    pattern = (nn.Sigmoid, nn.Tanh)
    try:
        register_fusion_pattern(pattern)(lambda match: found.append([n.target for n in match.nodes]))
        fuse_fx(Twice())
    finally:
        del PATTERNS[pattern]
    assert found == [["b", "a"]]
    assert (operator.add, nn.Conv2d, MatchAllNode) in PATTERNS


def test_what_fx_cannot_follow_is_one_sentence_with_a_way_out():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(QATError, match=r"Branch cannot be traced by fx: .*wrap"):
        fuse_fx(Branch())


def test_sizes_are_no_tensors():
    class Sizes(nn.Module):
        def forward(self, x):
            n = x.shape[0] * x.size(1) + 2
            return (x * 2 + 1).reshape(n - 2, -1)

    fused = fuse_fx(Sizes())
    x = torch.randn(2, 3, 4)
    assert torch.equal(fused(x), Sizes()(x))
    assert sorted(fused._modules) == ["_generated_add_0", "_generated_mul_0"]
