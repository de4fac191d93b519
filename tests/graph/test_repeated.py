"""Tensors that only repeat along the batch are constants, and nothing that differs per batch element is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import difference_on

X = torch.randn(2, 3, 4, 4)


class Positions(nn.Module):
    def forward(self, x):
        mask = torch.ones(x.shape[0], *x.shape[2:], dtype=torch.bool)
        rows = mask.cumsum(1, dtype=torch.float32)
        return x + (rows / 7).sin().unsqueeze(1)


class Queries(nn.Module):
    def forward(self, x):
        queries = torch.arange(3.0).repeat(x.shape[0], 1)
        return torch.cat([queries, x.mean((2, 3))], 1)


class Numbered(nn.Module):
    """Every element of the batch gets its own number, which no constant holds."""

    def forward(self, x):
        return x * torch.arange(x.shape[0]).float().reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("made", [Positions, Queries, Numbered])
def test_the_graph_computes_the_same_at_any_batch(made, batch):
    graph = capture(made(), X)
    sample = torch.randn(batch, 3, 4, 4)
    assert difference_on(graph, made(), sample) < 1e-6 * max(1.0, float(batch))


def test_positions_of_a_mask_of_ones_are_one_constant_operand():
    graph = capture(Positions(), X)
    assert [n.op for n in graph.nodes] == ["Add"]
    constant = next(v for v in graph.nodes["_generated_add_0"].inputs if not graph.is_activation(v))
    assert graph.values[constant].shape == (1, 1, 4, 4)


def test_where_broadcasting_does_not_repeat_an_expand_does():
    graph = capture(Queries(), X)
    assert [n.op for n in graph.nodes if n.op != "ReduceMean"] == ["Expand", "Concat"]


def test_what_differs_per_batch_element_stays_computed():
    assert {n.op for n in capture(Numbered(), X).nodes} > {"Mul"}
