"""A weight that was written is noticed, however it was written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from qworkbench.graph.freshness import weight_versions, written
from qworkbench.graph.torch_frontend import capture


def step(model: torch.nn.Sequential) -> None:
    model(torch.ones(1, 4)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()


def load(model: torch.nn.Sequential) -> None:
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})


def assign(model: torch.nn.Sequential) -> None:
    model[0].weight = torch.nn.Parameter(torch.zeros(3, 4))


@pytest.mark.parametrize("write", [step, load, assign])
def test_a_written_weight_is_named(write: Callable[[torch.nn.Sequential], None]) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
    graph = capture(model, torch.ones(1, 4))
    before = weight_versions(graph)
    model(torch.ones(2, 4))
    assert written(graph, before) == []
    write(model)
    assert "0.weight" in written(graph, before)
