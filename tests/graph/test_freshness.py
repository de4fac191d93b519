"""A weight that was written is noticed, however it was written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from qworkbench.graph.freshness import WeightWatch
from qworkbench.graph.torch_frontend import capture


def step(model: torch.nn.Sequential) -> None:
    model(torch.ones(1, 4)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()


def load(model: torch.nn.Sequential) -> None:
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})


def assign(model: torch.nn.Sequential) -> None:
    model[0].weight = torch.nn.Parameter(torch.zeros(3, 4))


def replace_module(model: torch.nn.Sequential) -> None:
    model[0] = torch.nn.Linear(4, 3)


def remove(model: torch.nn.Sequential) -> None:
    del model[0].weight


def move_away(model: torch.nn.Sequential) -> None:
    weight = model[0].weight
    del model[0].weight
    model[0].weight = weight.detach().clone()  # a plain attribute now, as pruning and old weight norm leave it


def through_data(model: torch.nn.Sequential) -> None:
    model[0].weight.data *= 0.5


def assign_data(model: torch.nn.Sequential) -> None:
    model[0].weight.data = torch.ones(3, 4)


def through_numpy(model: torch.nn.Sequential) -> None:
    model[0].weight.detach().numpy()[:] = 1


WRITES = [step, load, assign, replace_module, remove, move_away, through_data, assign_data, through_numpy]


@pytest.mark.parametrize("write", WRITES)
def test_a_written_weight_is_named(write: Callable[[torch.nn.Sequential], None]) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
    watch = WeightWatch(capture(model, torch.ones(1, 4)))
    model(torch.ones(2, 4))
    assert watch.written() == []
    write(model)
    assert "0.weight" in watch.written()


def test_a_weight_that_holds_nan_is_not_taken_for_written() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3)).eval()
    model[0].bias.data[0] = float("nan")
    assert WeightWatch(capture(model, torch.ones(1, 4))).written() == []


@pytest.mark.parametrize("cast", [torch.nn.Module.double, lambda model: model.to(torch.bfloat16)])
def test_weights_of_other_widths_are_watched(cast: Callable[[torch.nn.Module], torch.nn.Module]) -> None:
    model = cast(torch.nn.Sequential(torch.nn.Linear(4, 3)).eval())
    watch = WeightWatch(capture(model, torch.ones(1, 4, dtype=model[0].weight.dtype)))
    assert watch.written() == []
    model[0].weight.data.zero_()
    assert watch.written() == ["0.weight"]


def test_weights_without_a_counter_are_watched() -> None:
    with torch.inference_mode():
        model = torch.nn.Sequential(torch.nn.Linear(4, 3)).eval()
    watch = WeightWatch(capture(model, torch.ones(1, 4)))
    assert watch.written() == []
    with torch.inference_mode():
        model[0].weight.zero_()
    assert watch.written() == ["0.weight"]
