"""What cannot be held in one graph is refused with the user's line and the ways out, never baked in."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

from qworkbench.errors import CaptureError
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import module_of

IMAGE = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def branch_on_value(self, x):
    return x * 2 if x.sum() > 0 else x * 3


def item(self, x):
    return x * x.mean().item()


def through_numpy(self, x):
    return torch.from_numpy(np.exp(x.numpy()))


def asarray(self, x):
    return torch.from_numpy(np.asarray(x) + 1)


def mask(self, x):
    return x[x > 0]


def to_list(self, x):
    return x * max(x.flatten().tolist())


def inner_function(self, x):
    return torch.vmap(lambda y: y * 2)(x) + 1


@pytest.mark.parametrize(
    "forward", [branch_on_value, item, through_numpy, asarray, mask, to_list, inner_function], ids=lambda f: f.__name__
)
def test_python_that_needs_a_tensors_content_is_refused_with_its_line(forward):
    with pytest.raises(CaptureError) as caught:
        capture(module_of(forward), IMAGE)
    line = forward.__code__.co_firstlineno + 1
    assert f"{__file__}:{line}" in str(caught.value)
    assert "qworkbench.wrap" in str(caught.value)
    assert "ONNX" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refusal_names_the_module():
    with pytest.raises(CaptureError, match="in module 'gate'"):
        capture(
            nn.Sequential().append(nn.Identity()) and module_of(lambda s, x: s.gate(x), gate=module_of(item)), IMAGE
        )


def test_branch_on_a_buffer_is_decided_at_capture():
    model = module_of(lambda s, x: x * 2 if s.flag.sum() > 0 else x * 3)
    model.register_buffer("flag", torch.ones(2))
    graph = capture(model, IMAGE)
    assert float(graph.tensor(graph.nodes["_generated_mul_0"].inputs[1])) == 2


def test_models_own_exception_is_quoted_in_one_line_with_its_place():
    def forward(self, x):
        return x @ torch.zeros(3, 3)

    with pytest.raises(CaptureError, match="RuntimeError: mat1 and mat2 shapes cannot be multiplied") as caught:
        capture(module_of(forward), IMAGE)
    assert f"{__file__}:{forward.__code__.co_firstlineno + 1}" in str(caught.value)


def test_exception_of_a_torch_module_names_the_users_call_of_it():
    def forward(self, x):
        return self.conv(x)

    with pytest.raises(CaptureError, match=re.escape(f"{__file__}:{forward.__code__.co_firstlineno + 1}")):
        capture(module_of(forward, conv=nn.Conv2d(3, 3, 1)), IMAGE)


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (torch.relu, IMAGE, "must be a torch.nn.Module, got builtin_function_or_method"),
        (nn.ReLU(), 3.0, "holds no tensor"),
        (nn.ReLU(), {}, "holds no tensor"),
    ],
)
def test_wrong_kind_of_model_or_example_is_said(model, example, message):
    with pytest.raises(CaptureError, match=message):
        capture(model, example)


def test_random_model_is_called_random():
    with pytest.raises(CaptureError, match="different results for the same input"):
        capture(module_of(lambda s, x: x + torch.rand(1)), IMAGE)


def test_wrong_graph_is_refused_with_the_first_node_that_differs():
    def change_output(module, args, output):
        return output + 1

    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.ReLU())
    model[1].register_forward_hook(change_output)
    with pytest.raises(CaptureError, match=r"first node that differs is '1' \(nn.Conv2d\)"):
        capture(model, IMAGE)


def test_script_module_is_refused():
    with pytest.raises(CaptureError, match="TorchScript"):
        capture(torch.jit.trace(nn.ReLU(), IMAGE), IMAGE)


def test_scripted_function_is_followed_on_fake_tensors():
    @torch.jit.script
    def scripted(x):
        return x * 2 + 1

    assert [n.op for n in capture(module_of(lambda s, x: scripted(x).relu()), IMAGE).nodes] == ["Mul", "Add", "Relu"]
