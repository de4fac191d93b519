from __future__ import annotations

import numpy as np
import torch
from torch import nn

from qworkbench.graph.torch_frontend import capture
from qworkbench.graph.wrap import wrap
from tests.graph.replay import difference_on, largest_difference, module_of, replayed

X = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))


@wrap
def exponential(x):
    return torch.from_numpy(np.exp(x.numpy()))


class Detector(nn.Module):
    """As in the documentation of wrap: a method with a training branch, a module inside, a dict that it changes."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, padding=1)
        self.refine = nn.Linear(4, 5)

    def forward(self, data):
        return self._post_process(data, self.backbone(data["img"]))

    @wrap()
    def _post_process(self, data, features):
        scores = self.refine(features.permute(0, 2, 3, 1))
        if self.training:
            return {"loss": scores.mean()}
        assert "classes" not in data
        data["classes"] = torch.from_numpy(scores.numpy().argmax(-1))
        return data


def test_wrapped_function_is_one_opaque_node_and_runs_on_other_inputs():
    model = module_of(lambda s, x: exponential(x + 1) * 2)
    graph = capture(model, X)
    assert [(n.name, n.op) for n in graph.nodes] == [
        ("_generated_add_0", "Add"),
        ("_generated_exponential_0", "Opaque"),
        ("_generated_mul_0", "Mul"),
    ]
    assert difference_on(graph, model, Y) == 0


def test_wrapped_method_keeps_its_modules_counted_and_its_dict_fresh():
    model = Detector()
    graph = capture(model, {"img": X})
    assert [n.op for n in graph.nodes] == ["Conv", "Opaque"]
    assert graph.nodes["_generated__post_process_0"].attrs["inner_modules"] == ("refine",)
    assert graph.call_counts["refine"] == 1
    model.eval()
    for sample in (Y, Y * 2):
        with torch.no_grad():
            want = model({"img": sample})
        assert largest_difference(replayed(graph, {"img": sample}), want) == 0


def test_wrap_changes_nothing_outside_of_capture():
    assert torch.equal(exponential(X), torch.from_numpy(np.exp(X.numpy())))
    assert exponential.__name__ == "exponential"


def test_wrapped_call_inside_a_wrapped_call_is_part_of_it():
    @wrap
    def outer(x):
        return exponential(x) + 1

    graph = capture(module_of(lambda s, x: outer(x)), X)
    assert [n.name for n in graph.nodes] == ["_generated_outer_0"]
