from __future__ import annotations

from collections import Counter

import pytest
import torch

from qworkbench.graph.fusion import find_fusions
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym
from qworkbench.graph.torch_frontend import capture
from qworkbench.graph.vocabulary import OPS
from tests.graph.replay import difference_on
from tests.models.zoo import ZOO

GROUPS = {
    "resnet18": {
        "Conv+BatchNormalization+Relu": 9,
        "Conv+BatchNormalization+Add+Relu": 8,
        "Conv+BatchNormalization": 3,
    },
    "mobilenet_v2": {
        "Conv+BatchNormalization+Clip": 11,
        "Conv+BatchNormalization": 3,
        "Conv+BatchNormalization+Add": 2,
    },
    "unet": {"Conv+BatchNormalization+Relu": 7},
    "detector": {"Conv+BatchNormalization": 17},
    "vit": {"Gemm+Add": 4},
    "lstm": {},
    "gru": {},
    "inception": {"Conv+BatchNormalization+Relu": 11, "Conv+Relu": 4},
    "densenet": {"Conv+BatchNormalization+Relu": 3},
    "segmentation": {"Conv+BatchNormalization+Relu": 2, "ConvTranspose+BatchNormalization+Relu": 1},
}
CARRIED = {"detector": {"ScatterND"}, "lstm": {"LSTM"}, "gru": {"GRU"}}


@pytest.fixture(scope="module", params=sorted(ZOO))
def captured(request: pytest.FixtureRequest) -> tuple[str, torch.nn.Module, torch.Tensor, Graph]:
    model, example = ZOO[request.param]()
    return request.param, model, example, capture(model, example)


def _other(example: torch.Tensor, batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    if example.is_floating_point():
        return torch.randn(batch, *example.shape[1:], generator=generator)
    return torch.randint(0, 20, (batch, *example.shape[1:]), generator=generator)


@pytest.mark.parametrize("batch", [1, 5])
def test_batch_1_capture_agrees_with_eager_on_another_input_at_any_batch(captured, batch):
    _, model, example, graph = captured
    assert difference_on(graph, model, _other(example, batch)) < 2e-6


def test_batch_is_symbolic_in_inputs_and_outputs(captured):
    _, _, _, graph = captured
    assert graph.values[graph.inputs[0]].shape[0] == Sym(1)
    assert all(graph.values[name].shape[0] == Sym(1) for name in graph.outputs)


def test_node_names_are_unique_and_every_activation_has_shape_and_dtype(captured):
    _, _, _, graph = captured
    assert len(set(graph.nodes.names())) == len(graph.nodes)
    from qworkbench.graph.execute import run_float
    from qworkbench.graph.feeds import feeds_of

    env = run_float(graph, feeds_of(graph, captured[2]))
    for node in graph.nodes:
        for value in node.outputs:
            assert tuple(env[value].shape) == graph.shape(value)
            assert str(env[value].dtype) == f"torch.{graph.values[value].dtype}"


def test_every_node_carries_module_or_scope_and_the_users_line(captured):
    _, _, _, graph = captured
    for node in graph.nodes:
        assert node.location is not None
        assert node.location[0].endswith("zoo.py")
        assert node.module_path is not None or "_generated_" in node.name


def test_operators_outside_the_vocabulary_are_only_the_known_ones(captured):
    name, _, _, graph = captured
    assert {n.op for n in graph.nodes if n.op not in OPS} == CARRIED.get(name, set())
    assert all(n.call is not None for n in graph.nodes if n.op not in OPS)


def test_attributes_and_inputs_are_those_of_the_vocabulary(captured):
    _, _, _, graph = captured
    for node in graph.nodes:
        if node.op in OPS:
            spec = OPS[node.op]
            assert set(node.attrs) == set(spec.attrs), node.name
            if not any(i.endswith("*") for i in spec.inputs):
                assert len(node.inputs) == len(spec.inputs), node.name


def test_fusion_groups_are_those_of_the_architecture(captured):
    name, _, _, graph = captured
    found = Counter("+".join(graph.nodes[m].op for m in g.members) for g in find_fusions(graph))
    assert found == GROUPS[name]


def test_module_calls_are_counted(captured):
    name, _, _, graph = captured
    if name == "resnet18":
        assert graph.call_counts["layer1.0.relu"] == 2
    if name == "detector":
        assert graph.call_counts["stage2.2.pool"] == 3
        assert [n.name for n in graph.nodes if n.module_path == "stage2.2.pool"] == [
            "stage2.2.pool",
            "stage2.2.pool#1",
            "stage2.2.pool#2",
        ]


def test_resnet_has_one_node_per_call_and_the_seeds_name_for_its_adds():
    model, example = ZOO["resnet18"]()
    graph = capture(model, example)
    assert len(graph.nodes) == 69
    assert [n.name for n in graph.nodes if n.op == "Add"] == [
        f"layer{i}.{j}._generated_add_0" for i in range(1, 5) for j in range(2)
    ]
