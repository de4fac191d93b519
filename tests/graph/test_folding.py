from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.errors import QWorkbenchError
from qworkbench.graph.folding import folded_weight_bias
from qworkbench.graph.fusion import find_fusions
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import module_of
from tests.models.zoo import randomised

X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("anchor", "run"),
    [
        (nn.Conv2d(4, 6, 3, bias=False), F.conv2d),
        (nn.Conv2d(4, 6, 3, 2, 1, groups=2), lambda x, w, b: F.conv2d(x, w, b, 2, 1, groups=2)),
        (nn.ConvTranspose2d(4, 6, 2, 2), lambda x, w, b: F.conv_transpose2d(x, w, b, 2)),
        (
            nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2, bias=False),
            lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, groups=2),
        ),
    ],
    ids=["conv", "grouped conv", "transposed", "grouped transposed"],
)
def test_folded_weights_compute_what_both_layers_compute(anchor, run):
    model = randomised(nn.Sequential(anchor, nn.BatchNorm2d(6)))
    graph = capture(model, X)
    (group,) = find_fusions(graph)
    weight, bias = folded_weight_bias(graph, group)
    assert (weight.dtype, bias.dtype) == (np.float32, np.float32)
    assert weight.shape == tuple(anchor.weight.shape)
    got = run(X, torch.from_numpy(weight), torch.from_numpy(bias))
    assert torch.allclose(got, model(X), atol=2e-6)


def test_folding_is_float64_rounded_once():
    model = randomised(nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)))
    graph = capture(model, X)
    weight, bias = folded_weight_bias(graph, find_fusions(graph)[0])
    c, b = model[0], model[1]
    factor = b.weight.double() / torch.sqrt(b.running_var.double() + b.eps)
    want = (c.weight.double() * factor.view(-1, 1, 1, 1)).float()
    assert np.array_equal(weight, want.detach().numpy())
    shift = (c.bias.double() - b.running_mean.double()) * factor + b.bias.double()
    assert np.array_equal(bias, shift.float().detach().numpy())


def test_gemm_weight_is_always_out_by_in():
    plain = capture(nn.Sequential(nn.Linear(6, 3)), X)
    turned = capture(module_of(lambda s, x: x @ torch.arange(18.0).view(6, 3)), X)
    assert folded_weight_bias(plain, "0")[0].shape == (3, 6)
    weight, bias = folded_weight_bias(turned, next(iter(turned.nodes)))
    assert bias is None
    assert np.array_equal(weight, np.arange(18.0).reshape(6, 3).T)


def test_node_alone_keeps_its_own_weights_and_the_model_is_not_touched():
    model = randomised(nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)))
    before = model[0].weight.clone()
    graph = capture(model, X)
    weight, bias = folded_weight_bias(graph, "0")
    weight[:] = 0
    assert np.array_equal(bias, model[0].bias.detach().numpy())
    assert torch.equal(model[0].weight, before)


def test_other_operators_and_computed_weights_are_refused():
    graph = capture(module_of(lambda s, x: F.relu(F.conv2d(x, x[:1, :, :1, :1]))), X[:1])
    with pytest.raises(QWorkbenchError, match="is a Relu; only Conv"):
        folded_weight_bias(graph, "_generated_relu_0")
    with pytest.raises(QWorkbenchError, match="computed from the model's input"):
        folded_weight_bias(graph, "_generated_conv2d_0")
