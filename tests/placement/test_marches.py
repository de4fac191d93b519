"""The same model on three marches, and the promise that no op is dropped in silence."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.march import MARCHES, get_march
from qworkbench.placement.compare import placement_changes
from qworkbench.placement.place import place
from qworkbench.placement.types import Overrides
from tests.models.zoo import ZOO


@pytest.fixture(scope="module")
def zoo_graph():
    held = {}

    def get(name):
        if name not in held:
            held[name] = q.capture(*ZOO[name]())
        return held[name]

    return get


@pytest.mark.parametrize("march", MARCHES)
@pytest.mark.parametrize("name", ZOO)
def test_every_node_of_every_model_is_placed_with_a_reason(zoo_graph, name, march):
    graph = zoo_graph(name)
    placement = place(graph, get_march(march))
    assert tuple(placement) == graph.nodes.names()
    for node in placement.values():
        assert node.on in ("BPU", "CPU", "NONE")
        assert node.reason.code
        assert node.reason.rule
        assert repr(node.name) in node.reason.sentence
        assert (node.subgraph is not None) == (node.on == "BPU")
        assert (node.dtype == "float32") == (node.on != "BPU" or node.reason.code == "tail_float32")
    members = [member for unit in placement.units for member in unit.members]
    assert sorted(members) == sorted(n.name for n in placement.values() if n.on != "NONE")
    assert placement.count("BPU") + placement.count("CPU") + placement.count("NONE") == len(graph.nodes)
    assert sorted({n.subgraph for n in placement.values() if n.subgraph is not None}) == list(
        range(placement.subgraphs)
    )


@pytest.mark.parametrize("name", ZOO)
def test_every_wish_is_followed_or_answered(zoo_graph, name):
    graph = zoo_graph(name)
    march = get_march("bayes-e")
    for wish in ("bpu", "cpu"):
        placement = place(graph, march, Overrides(on=dict.fromkeys(graph.nodes.names(), wish)))
        for node in placement.values():
            if node.on in (wish.upper(), "NONE"):
                continue
            assert wish == "bpu", "run_on_cpu always works"
            answered = "refused" in node.reason.sentence
            assert answered or node.reason.code in ("not_in_list", "no_kernel", "not_a_feature", "dynamic_weight"), node


def only(captured, march, op, forward, shape, **layers):
    graph = captured(forward, shape, **layers)
    placement = place(graph, get_march(march))
    return next(placement[node.name] for node in graph.nodes if node.op == op)


CASES = {
    "Reshape": (
        "Reshape",
        lambda m, x: m.b(m.a(x).reshape(1, 4, 4, 16)),
        {"bernoulli2": "CPU", "bayes": "BPU", "bayes-e": "BPU"},
    ),
    "Sub": ("Sub", lambda m, x: m.b(m.a(x) - m.c(x)), {"bernoulli2": "CPU", "bayes": "BPU", "bayes-e": "BPU"}),
    "Sign": ("Sign", lambda m, x: m.b(torch.sign(m.a(x))), {"bernoulli2": "CPU", "bayes": "CPU", "bayes-e": "BPU"}),
    "PRelu": ("PRelu", lambda m, x: m.b(m.prelu(m.a(x))), {"bernoulli2": "BPU", "bayes": "CPU", "bayes-e": "BPU"}),
    "kernel 9": ("Conv", lambda m, x: m.b(m.nine(x)), {"bernoulli2": "CPU", "bayes": "BPU", "bayes-e": "BPU"}),
}


@pytest.mark.parametrize("march", MARCHES)
@pytest.mark.parametrize("case", CASES)
def test_documented_differences_between_marches_reach_the_placement(captured, case, march):
    op, forward, expected = CASES[case]
    layers = {
        "a": nn.Conv2d(3, 4, 1),
        "b": nn.Conv2d(4, 2, 1),
        "c": nn.Conv2d(3, 4, 1),
        "prelu": nn.PReLU(4),
        "nine": nn.Conv2d(3, 4, 9, padding=4),
    }
    found = only(captured, march, op, forward, (1, 3, 8, 8), **layers)
    assert found.on == expected.get(march, "BPU"), found.reason.sentence


def test_a_constraint_is_named_with_its_value(captured):
    found = only(captured, "bernoulli2", "Conv", lambda m, x: m.a(x), (1, 3, 16, 16), a=nn.Conv2d(3, 4, 9))
    assert found.reason.code == "constraint"
    assert "9" in found.reason.sentence
    assert "7" in found.reason.facts[0].text
    assert any("7" in way.text for way in found.reason.ways)


def test_what_changed_between_two_placements_is_said_in_lines(captured):
    graph = captured(lambda m, x: m.b(m.a(x).softmax(1)), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1))
    march = get_march("bayes-e")
    before, after = place(graph, march), place(graph, march, Overrides(on={"_generated_softmax_0": "bpu"}))
    lines = placement_changes(before, after)
    assert "_generated_softmax_0: CPU float32 -> BPU int8" in lines
    assert "BPU subgraphs: 2 -> 1" in lines
    assert placement_changes(before, before) == []


def test_assumptions_are_listed_with_their_basis(captured):
    graph = captured(lambda m, x: m.a(x), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1))
    for march in MARCHES:
        listed = place(graph, get_march(march)).assumptions
        assert listed
        assert all(basis != "documented" and name and text for name, _, basis, text in listed)


@pytest.mark.parametrize("wish", [None, "bpu", "cpu"])
@pytest.mark.parametrize("name", ["resnet18", "detector", "vit", "segmentation"])
def test_every_offered_way_changes_the_node_that_it_is_offered_for(zoo_graph, name, wish):
    graph, march = zoo_graph(name), get_march("bayes-e")
    everything = graph.nodes.names()
    chosen = everything[:: 1 + len(everything) // 12]
    for node in chosen:
        wishes = {} if wish is None else {node: wish}
        before = place(graph, march, Overrides(on=wishes))[node]
        for way in before.reason.ways:
            edits = [edit for edit in way.edits if edit["kind"] == "SetPlacement"]
            if not edits:
                continue
            changed = dict(wishes)
            for edit in edits:
                changed.pop(edit["node"], None)
                if edit["on"] != "auto":
                    changed[edit["node"]] = edit["on"]
            assert changed != wishes
            after = place(graph, march, Overrides(on=changed))[node]
            assert (after.on, after.reason.sentence) != (before.on, before.reason.sentence), (node, way)
            if edits[0]["on"] != "auto":
                assert after.on == edits[0]["on"].upper()
