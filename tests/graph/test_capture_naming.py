from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.graph.torch_frontend import capture
from qworkbench.nn import DeQuantStub, QuantStub
from tests.graph.replay import difference_on, module_of

IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class ModelForFusion(nn.Module):
    """The model that the public documentation of fusion shows."""

    def __init__(self) -> None:
        super().__init__()
        self.quantx = QuantStub()
        self.quanty = QuantStub()
        self.conv = nn.Conv2d(3, 3, 3)
        self.bn = nn.BatchNorm2d(3)
        self.relu = nn.ReLU()
        self.dequant = DeQuantStub()

    def forward(self, x, y):
        x = self.quantx(x)
        y = self.quanty(y)
        x = self.conv(x)
        x = self.bn(x)
        x = x + y
        x = self.relu(x)
        return self.dequant(x)


def test_nodes_of_the_documented_model_have_the_documented_names():
    graph = capture(ModelForFusion(), (IMAGE, torch.randn(1, 3, 6, 6)))
    assert [(n.name, n.op) for n in graph.nodes] == [
        ("quantx", "QuantizeLinear"),
        ("quanty", "QuantizeLinear"),
        ("conv", "Conv"),
        ("bn", "BatchNormalization"),
        ("_generated_add_0", "Add"),
        ("relu", "Relu"),
        ("dequant", "DequantizeLinear"),
    ]
    assert graph.inputs == ("x", "y")
    assert graph.output_names == ("output",)


class Block(nn.Module):
    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.twice = twice

    def forward(self, x):
        y = self.conv(x) + x
        return F.relu(y * 2 if self.twice else y)


def test_adding_an_operation_in_one_block_renames_nothing_elsewhere():
    def names(edited: bool) -> set[str]:
        return set(capture(nn.Sequential(Block(edited), Block(False)), IMAGE).nodes.names())

    assert names(True) - names(False) == {"0._generated_mul_0"}
    assert names(False) - names(True) == set()


def test_one_name_for_every_spelling_of_a_function():
    model = module_of(lambda s, x: torch.add(x, 1).add(2).add_(3) + 4 + (5 + x))
    assert [n.name for n in capture(model, IMAGE).nodes] == [f"_generated_add_{i}" for i in range(6)]


def test_shared_convolution_is_one_node_per_call_with_one_weight():
    graph = capture(module_of(lambda s, x: s.c(s.c(x)) + s.c(x), c=nn.Conv2d(3, 3, 1)), IMAGE)
    calls = [n for n in graph.nodes if n.op == "Conv"]
    assert [(n.name, n.call_index) for n in calls] == [("c", 0), ("c#1", 1), ("c#2", 2)]
    assert {n.inputs[1] for n in calls} == {"c.weight"}
    assert graph.call_counts["c"] == 3


def test_module_under_two_paths_takes_the_first_and_counts_all_calls():
    relu = nn.ReLU()
    graph = capture(module_of(lambda s, x: s.second(s.first(x) - 1), first=relu, second=relu), IMAGE)
    assert [n.name for n in graph.nodes] == ["first", "_generated_sub_0", "first#1"]


def test_subclass_of_an_operator_takes_the_modules_name_even_if_it_computes_its_weight():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return F.conv2d(x, weight, self.bias, self.stride, self.padding)

    class Renamed(nn.BatchNorm2d):
        pass

    model = nn.Sequential(Standardised(3, 4, 3), Renamed(4)).eval()
    graph = capture(model, IMAGE)
    assert [(n.name, n.op) for n in graph.nodes] == [("0", "Conv"), ("1", "BatchNormalization")]
    assert difference_on(graph, model, torch.randn(2, 3, 8, 8)) == 0


def test_float_functional_methods_take_the_modules_path():
    class FloatFunctional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.activation_post_process = nn.Identity()

        def add(self, x, y):
            return self.activation_post_process(torch.add(x, y))

        def add_relu(self, x, y):
            return self.activation_post_process(F.relu(torch.add(x, y)))

    model = module_of(
        lambda s, x: s.plus.add_relu(s.short_add.add(x, x * 2), x), short_add=FloatFunctional(), plus=FloatFunctional()
    )
    graph = capture(model, IMAGE)
    assert [(n.name, n.op) for n in graph.nodes] == [
        ("_generated_mul_0", "Mul"),
        ("short_add", "Add"),
        ("plus", "Add"),
        ("plus.relu", "Relu"),
    ]
    assert "add" not in vars(model.short_add)


def test_stub_classes_of_any_package_are_recognised_by_name():
    class QuantStub(nn.Module):
        def forward(self, x):
            return x

    first = next(iter(capture(module_of(lambda s, x: s.q(x) * 2, q=QuantStub()), IMAGE).nodes))
    assert (first.name, first.op) == (
        "q",
        "QuantizeLinear",
    )


def test_fx_graph_module_keeps_the_paths_of_its_modules():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

        def forward(self, x):
            return self.body(x) + 1

    traced = torch.fx.symbolic_trace(Net())
    assert [n.name for n in capture(traced, IMAGE).nodes] == ["body.0", "body.1", "_generated_add_0"]
