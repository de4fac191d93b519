from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import difference_on, module_of, ops

EXAMPLE = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1))


def _aliased(self, x):
    b = self.c(x)
    y = b
    y += x
    y[:, :2] = 0
    y[:, 2:4].mul_(2)
    z = y.view(y.shape[0], -1)
    z.add_(1)
    return y, z, b


def _chunks(self, x):
    x = self.c(x)
    first, second = x.chunk(2, 1)
    first.mul_(3)
    second[:, 0] = 1
    return x, first


def _transposed(self, x):
    x = self.c(x)
    turned = x.transpose(1, 2)
    row = turned[:, 0]
    row.relu_()
    flat = x.flatten(1)
    row.neg_()
    return x, flat, turned


def _read_after_write_to_base(self, x):
    x = self.c(x)
    part = x[:, 1:3]
    x.mul_(2)
    return part + 1


def _returned_input_then_written(self, x):
    y = self.drop(self.c(x))
    z = y.contiguous()
    z += 1
    return y * 2, z


def _functional_inplace(self, x):
    x = self.c(x)
    F.relu(x, inplace=True)
    F.hardtanh_(x, -1, 0.5)
    F.celu(x, inplace=True)
    return x


def _copies(self, x):
    x = self.c(x)
    buffer = torch.empty_like(x)
    buffer.copy_(x)
    buffer[:, 0].zero_()
    buffer[:, 1].fill_(3.0)
    buffer.masked_fill_(buffer > 1, 0.25)
    return buffer, torch.add(x, 1, out=torch.empty_like(x))


FORWARDS = [
    _aliased,
    _chunks,
    _transposed,
    _read_after_write_to_base,
    _returned_input_then_written,
    _functional_inplace,
    _copies,
]


@pytest.mark.parametrize("forward", FORWARDS, ids=lambda f: f.__name__.strip("_"))
def test_writes_through_views_and_aliases_give_what_eager_gives(forward):
    model = module_of(forward, c=nn.Conv2d(4, 4, 1), drop=nn.Dropout())
    graph = capture(model, EXAMPLE)
    assert difference_on(graph, model, OTHER) == 0


@pytest.mark.parametrize("forward", FORWARDS, ids=lambda f: f.__name__.strip("_"))
def test_a_run_never_changes_an_activation_that_it_has_made(forward):
    graph = capture(module_of(forward, c=nn.Conv2d(4, 4, 1), drop=nn.Dropout()), EXAMPLE)
    copies: dict[str, torch.Tensor] = {}
    env = run_float(
        graph,
        feeds_of(graph, OTHER),
        on_node=lambda n, made: copies.update({v: t.clone() for v, t in zip(n.outputs, made, strict=True)}),
    )
    assert all(torch.equal(env[name], copies[name]) for name in copies)
    assert torch.equal(env["x"], OTHER)


def test_activation_before_an_inplace_relu_is_kept_as_it_was():
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()
    env = run_float(capture(model, EXAMPLE), {"input": EXAMPLE})
    assert env["1"].min() < 0
    assert env["2"].min() == 0


def test_dropout_identity_stay_and_calls_that_return_their_input_leave_no_node():
    def forward(self, x):
        x = self.i(self.d(x))
        x = F.dropout(x, 0.3, self.training)
        return x.contiguous().float().to(x).detach().clone() + 0

    graph = capture(module_of(forward, d=nn.Dropout(), i=nn.Identity()), EXAMPLE)
    assert [n.name for n in graph.nodes] == ["d", "i", "_generated_dropout_0", "_generated_add_0"]
    assert ops(graph) == ["Dropout", "Identity", "Dropout", "Add"]


def test_forward_that_changes_its_input_leaves_the_users_example_alone():
    example = EXAMPLE.clone()
    model = module_of(lambda s, x: x.mul_(2))
    graph = capture(model, example)
    assert torch.equal(example, EXAMPLE)
    assert difference_on(graph, model, OTHER) == 0
