from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qworkbench.graph.node import Sym
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import difference_on, largest_difference, module_of, replayed

X = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1))


def test_dict_example_with_parameter_names_is_keywords():
    model = module_of(lambda s, a, scale=2.0, *, b: (a * scale, b + 1))
    graph = capture(model, {"a": X, "b": X})
    assert graph.inputs == ("a", "b")
    with torch.no_grad():
        want = model(a=Y, b=Y)
    assert largest_difference(replayed(graph, {"a": Y, "b": Y}), want) == 0


def test_other_dict_is_one_argument_and_its_tensors_are_inputs():
    model = module_of(lambda s, data: {"a": [data["img"] * 2, data["w"] + 1], "img": data["img"], "n": 3})
    graph = capture(model, {"img": X, "w": X})
    assert graph.inputs == ("data.img", "data.w")
    assert graph.output_names == ("a.0", "a.1", "img")
    assert difference_on(graph, model, ({"img": Y, "w": Y},)) == 0
    assert replayed(graph, {"img": Y, "w": Y})["n"] == 3


def test_tuple_spreads_over_arguments_unless_forward_takes_one():
    two = capture(module_of(lambda s, a, b: a + b), (X, X))
    one = capture(module_of(lambda s, feats: feats[0] + feats[1]), (X, X))
    assert two.inputs == ("a", "b")
    assert one.inputs == ("feats.0", "feats.1")


class Found(NamedTuple):
    boxes: Tensor
    scores: Tensor


@dataclass
class Result:
    logits: Tensor
    loss: Tensor | None


@pytest.mark.parametrize(
    ("forward", "names"),
    [
        (lambda s, x: (x, None, 1.5, [x + 1]), ("0", "3.0")),
        (lambda s, x: Found(x + 1, x.mean((1, 2, 3))), ("boxes", "scores")),
        (lambda s, x: Result(x * 2, None), ("logits",)),
        (lambda s, x: {"out": x * 2, "same": x * 2}, ("out", "same")),
        (lambda s, x: (x * 2,), ("0",)),
    ],
)
def test_outputs_keep_their_structure_and_are_named_by_their_place(forward, names):
    model = module_of(forward)
    graph = capture(model, X)
    assert graph.output_names == names
    with torch.no_grad():
        want = model(Y)
    got = replayed(graph, Y)
    assert type(got) is type(want)
    assert largest_difference(got, want) == 0


def test_output_that_does_not_depend_on_the_input_is_a_constant():
    model = module_of(lambda s, x: (x * 2, s.anchors + 1))
    model.register_buffer("anchors", torch.arange(3.0))
    graph = capture(model, X)
    assert graph.values[graph.outputs[1]].kind == "constant"
    assert difference_on(graph, model, Y) == 0


def test_input_named_like_a_module_gets_another_name():
    graph = capture(module_of(lambda s, head: s.head(head), head=nn.Conv2d(4, 2, 1)), X)
    assert graph.inputs == ("head_input",)
    assert "head" in graph.nodes


def test_numpy_arrays_in_the_example_are_tensors():
    assert capture(nn.Sequential(nn.Conv2d(4, 2, 1)), np.zeros((1, 4, 6, 6), np.float32)).inputs == ("input",)


def test_sizes_written_in_python_follow_the_batch():
    def forward(self, x):
        n, c, h, w = x.shape
        rows = sum(r for r in x.unbind(1))
        grid = torch.arange(h * w).view(1, h, w) / c
        zeros = torch.zeros(x.size(0), 1, *x.shape[2:])
        return torch.cat([zeros, x.new_ones(len(x), 1, h, w), x], 1).view(n, -1), rows + grid, x.reshape(-1, w) / n

    model = module_of(forward)
    graph = capture(model, X)
    assert graph.values[graph.outputs[0]].shape[0] == Sym(1)
    assert graph.values[graph.outputs[2]].shape[0] == Sym(24)
    assert difference_on(graph, model, Y) == 0


@pytest.mark.parametrize("forward", [lambda s, x: x * 2 if x.shape[0] > 1 else x * 3, lambda s, x: x.view(4, 6, 6) + 0])
def test_program_that_depends_on_the_batch_is_captured_at_the_examples(forward):
    model = module_of(forward)
    graph = capture(model, X)
    assert graph.values["x"].shape == (1, 4, 6, 6)
    assert difference_on(graph, model, Y[:1]) == 0


def test_input_whose_first_axis_is_not_the_batch_stays_fixed():
    model = module_of(lambda s, x, anchors: x.flatten(1)[:, :7] + anchors)
    graph = capture(model, (Y, torch.randn(7)))
    assert graph.values["anchors"].shape == (7,)
    assert graph.values["x"].shape[0] == Sym(1)


def test_compiled_and_data_parallel_wrappers_are_taken_off():
    inner = nn.Sequential(nn.Conv2d(4, 2, 1))
    assert [n.name for n in capture(nn.DataParallel(inner), X).nodes] == ["0"]


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "bidirectional": True}, {"num_layers": 2}], ids=str)
@pytest.mark.parametrize("first_state", [False, True])
def test_a_recurrent_layer_has_the_shapes_of_all_its_steps(kind, options, first_state):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = kind(3, 4, **options)

        def forward(self, x):
            if not first_state:
                return self.cell(x)[0]
            rows = x.shape[0 if options.get("batch_first") else 1]
            depth = (1 + bool(options.get("bidirectional"))) * options.get("num_layers", 1)
            state = x.new_zeros(depth, rows, 4)
            return self.cell(x, (state, state) if kind is nn.LSTM else state)[0]

    model, x = Recurrent().eval(), torch.randn(2, 7, 3)
    graph = capture(model, x)
    assert graph.shape(graph.outputs[0]) == tuple(model(x).shape)
