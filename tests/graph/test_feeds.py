from __future__ import annotations

import numpy as np
import pytest
import torch

from qworkbench.errors import CalibrationError
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import module_of

X = torch.zeros(1, 3, 4, 4)


@pytest.fixture(scope="module")
def one():
    return capture(module_of(lambda s, x: x * 2), X)


@pytest.fixture(scope="module")
def two():
    return capture(module_of(lambda s, x, y: x + y), (X, X))


@pytest.mark.parametrize(
    "sample",
    [
        torch.ones(5, 3, 4, 4),
        np.ones((5, 3, 4, 4), np.float32),
        (torch.ones(5, 3, 4, 4),),
        {"x": torch.ones(5, 3, 4, 4)},
    ],
)
def test_tensor_array_tuple_and_dict_are_read_alike(one, sample):
    feeds = feeds_of(one, sample)
    assert torch.equal(feeds["x"], torch.ones(5, 3, 4, 4))


def test_order_of_a_dict_does_not_matter(two):
    feeds = feeds_of(two, {"y": X + 1, "x": X})
    assert (feeds["x"].max(), feeds["y"].max()) == (0, 1)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (torch.zeros(3, 4, 4), r"must have shape \(B, 3, 4, 4\), got \(3, 4, 4\); add the batch axis"),
        (torch.zeros(1, 3, 4, 5), r"must have shape \(B, 3, 4, 4\), got \(1, 3, 4, 5\)"),
        (torch.zeros(0, 3, 4, 4), r"got \(0, 3, 4, 4\)"),
        (np.zeros((1, 3, 4, 4)), r"must be float32, got float64; use x.astype\('float32'\)"),
        (torch.zeros(1, 3, 4, 4).int(), "must be float32, got int32"),
        ((X, X), r"takes 1 inputs \(x\), the sample holds 2"),
        ({"z": X}, "no input 'z'"),
        ("image.png", "got str"),
        ({"x": 3.0}, "must be a tensor or an array, got float"),
    ],
)
def test_what_does_not_fit_is_said_with_shape_rule_and_way_out(one, sample, message):
    with pytest.raises(CalibrationError, match=message):
        feeds_of(one, sample)


def test_missing_input_is_named(two):
    with pytest.raises(CalibrationError, match="lacks input 'y'"):
        feeds_of(two, {"x": X})


def test_inputs_of_different_batch_are_refused(two):
    with pytest.raises(CalibrationError, match="one batch size, got x 1, y 2"):
        feeds_of(two, (X, torch.zeros(2, 3, 4, 4)))


def test_graph_of_fixed_batch_accepts_only_that():
    graph = capture(module_of(lambda s, x: x.view(3, 4, 4) * 2), X)
    with pytest.raises(CalibrationError, match=r"must have shape \(1, 3, 4, 4\)"):
        feeds_of(graph, torch.zeros(2, 3, 4, 4))


def test_a_sample_that_wants_a_gradient_is_read_without_it(captured):
    graph = captured(lambda m, x: x + 1, (2, 3))
    (feed,) = feeds_of(graph, torch.ones(2, 3, requires_grad=True)).values()
    assert feed.numpy().tolist() == [[1.0] * 3] * 2
