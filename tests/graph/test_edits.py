from __future__ import annotations

import pytest
import torch
from torch import nn

from qworkbench.errors import EditError
from qworkbench.graph.edits import insert_unit_conv
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import module_of
from tests.models.zoo import ZOO


@pytest.fixture(scope="module")
def detector():
    model, example = ZOO["detector"]()
    graph = capture(model, example)
    feeds = feeds_of(graph, example)
    return graph, feeds, run_float(graph, feeds)


def images(graph):
    return [
        n.name
        for n in graph.nodes
        if len(graph.values[n.output].shape) == 4 and graph.values[n.output].dtype == "float32" and len(n.outputs) == 1
    ]


def test_after_any_image_node_every_activation_stays_bit_equal(detector):
    graph, feeds, before = detector
    for i, name in enumerate(images(graph)):
        edited = insert_unit_conv(graph, name, "after", i)
        after = run_float(edited, feeds)
        assert all(torch.equal(after[v], before[v]) for v in before)
        assert torch.equal(after[f"_unitconv_{i}"], before[graph.nodes[name].output])
        assert set(edited.nodes.names()) == {*graph.nodes.names(), f"_unitconv_{i}"}


def test_after_reroutes_all_users_and_the_model_output(detector):
    graph, _, _ = detector
    edited = insert_unit_conv(graph, "heads.0", "after", 0)
    assert [u.name for u, _ in edited.users("heads.0")] == ["_unitconv_0"]
    assert edited.outputs[1] == "_unitconv_0"
    assert edited.output_names == graph.output_names


def test_before_touches_only_that_input(detector):
    graph, feeds, before = detector
    name = "_generated_cat_0"
    slot = next(n for n in graph.nodes if n.op == "Concat" and n.name == name)
    edited = insert_unit_conv(graph, name, "before", 3, input_slot=1)
    changed = edited.nodes[name]
    assert changed.inputs == (slot.inputs[0], "_unitconv_3")
    assert edited.nodes["_unitconv_3"].inputs[0] == slot.inputs[1]
    others = [u.name for u, _ in graph.users(slot.inputs[1]) if u.name != name]
    assert [u.name for u, _ in edited.users(slot.inputs[1]) if u.name != "_unitconv_3"] == others
    after = run_float(edited, feeds)
    assert all(torch.equal(after[v], before[v]) for v in before)


def test_inserted_node_is_a_depthwise_convolution_of_ones(detector):
    graph, _, _ = detector
    node = insert_unit_conv(graph, "up", "before", 7).nodes["_unitconv_7"]
    assert (node.op, node.module_class, node.source_op) == ("Conv", "Conv2d", "inserted")
    assert dict(node.attrs) == {
        "kernel_shape": (1, 1),
        "strides": (1, 1),
        "pads": (0, 0, 0, 0),
        "dilations": (1, 1),
        "group": 32,
    }
    assert node.inputs[1:] == ("_unitconv_7.weight", None)


def test_edits_share_what_they_do_not_touch_and_leave_the_old_graph_alone(detector):
    graph, _, _ = detector
    edited = insert_unit_conv(graph, "stem.2", "after", 0)
    assert "_unitconv_0" not in graph.nodes
    same = [n.name for n in graph.nodes if edited.nodes[n.name] is n]
    assert len(same) == len(graph.nodes) - len(graph.users("stem.2"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("stm.0", "after", 0), "no node 'stm.0'; did you mean 'stem.0'"),
        (("_generated_cat_0", "before", 0), r"has 2 data inputs \(0: 'up', 1: .*\); name one by its slot"),
        (("_generated_cat_0", "before", 0, 5), "has no data input 5; data inputs are 0, 1"),
        (("stem.0", "before", 0, 1), "has no data input 1"),
        (("_generated_sigmoid_0", "after", 0), "has rank 3, a unit convolution needs rank 4"),
        (("stem.0", "beside", 0), "must be 'before' or 'after'"),
    ],
)
def test_impossible_edits_say_why_and_what_to_do(detector, args, message):
    with pytest.raises(EditError, match=message):
        insert_unit_conv(detector[0], *args)


def test_index_in_use_is_refused(detector):
    edited = insert_unit_conv(detector[0], "stem.0", "after", 0)
    with pytest.raises(EditError, match="already in the graph"):
        insert_unit_conv(edited, "stem.1", "after", 0)


def test_integer_activations_are_refused():
    graph = capture(
        module_of(lambda s, x: s.c(x).argmax(1, keepdim=True) * 2, c=nn.Conv2d(3, 3, 1)), torch.randn(1, 3, 4, 4)
    )
    with pytest.raises(EditError, match="holds int64"):
        insert_unit_conv(graph, "_generated_argmax_0", "after", 0)
