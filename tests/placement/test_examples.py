"""The examples of the published articles, each with the code and the neighbour that decide."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qworkbench.errors import UnknownNameError
from qworkbench.graph.edits import insert_unit_conv
from qworkbench.march import MARCHES, get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import Overrides

INTEGER_MARCHES = [name for name in MARCHES if get_march(name).parameter("tail_dtype") == "int32"]
ON_ALL = pytest.mark.parametrize("march", INTEGER_MARCHES)


def placed(graph, march="bayes-e", **wishes):
    return place(graph, get_march(march), Overrides(**wishes))


@pytest.fixture(scope="module")
def joined(captured):
    """conv + concat, the concat is the model's output."""
    return captured(
        lambda m, x: torch.cat([m.a(x), m.b(x)], 1),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 3, padding=1),
        b=nn.Conv2d(3, 4, 3, padding=1),
    )


@pytest.fixture(scope="module")
def joined_then_conv(captured):
    return captured(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 3, padding=1),
        b=nn.Conv2d(3, 4, 3, padding=1),
        c=nn.Conv2d(8, 2, 1),
    )


def ending_in(captured, end):
    """Conv + BatchNormalization, then `end`."""
    return captured(end, (1, 3, 8, 8), conv=nn.Conv2d(3, 8, 3, padding=1), bn=nn.BatchNorm2d(8), relu=nn.ReLU())


@ON_ALL
def test_concat_behind_convolutions_without_active_consumer_stays_on_cpu(joined, march):
    concat = placed(joined, march)["_generated_cat_0"]
    assert (concat.on, concat.reason.code) == ("CPU", "passive_without_active_consumer")
    assert "'_generated_cat_0'" in concat.reason.sentence
    assert [fact.text for fact in concat.reason.facts] == ["its output is an output of the model"]
    ways = [edit for way in concat.reason.ways for edit in way.edits]
    assert {"kind": "InsertUnitConv", "node": "_generated_cat_0", "where": "after"} in ways


@ON_ALL
def test_convolutions_in_front_of_a_cpu_concat_leave_as_int32(joined, march):
    placement = placed(joined, march)
    assert [(placement[n].dtype, placement[n].reason.code) for n in "ab"] == [("int32", "tail_int32")] * 2


@ON_ALL
def test_concat_between_convolutions_follows_the_one_behind_it(joined_then_conv, march):
    placement = placed(joined_then_conv, march)
    concat = placement["_generated_cat_0"]
    assert (concat.on, concat.reason.code, concat.subgraph) == ("BPU", "passive", 0)
    assert "'c'" in concat.reason.sentence
    assert concat.reason.facts[0].node == "c"
    assert placement.subgraphs == 1


@ON_ALL
def test_unit_conv_behind_a_concat_brings_it_to_the_bpu(joined, march):
    placement = placed(insert_unit_conv(joined, "_generated_cat_0", "after", 0), march)
    assert placement["_generated_cat_0"].on == "BPU"
    assert placement["_unitconv_0"].reason.code == "tail_int32"


def test_unit_conv_before_a_concat_does_not_help(joined):
    placement = placed(insert_unit_conv(joined, "_generated_cat_0", "before", 0, 0))
    assert placement["_generated_cat_0"].reason.code == "passive_without_active_consumer"


# -- manual ops ----
@pytest.fixture(scope="module")
def softmax_in_the_middle(captured):
    return captured(lambda m, x: m.b(m.a(x).softmax(1)), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1))


@ON_ALL
def test_softmax_is_manual_or_refused_and_splits_the_model(softmax_in_the_middle, march):
    placement = placed(softmax_in_the_middle, march)
    softmax = placement["_generated_softmax_0"]
    # on bernoulli2 the row allows a Softmax at the model's output only
    assert softmax.on == "CPU"
    assert softmax.reason.code == ("constraint" if march == "bernoulli2" else "manual")
    assert placement.subgraphs == 2
    assert (placement["a"].subgraph, softmax.subgraph, placement["b"].subgraph) == (0, None, 1)


def test_run_on_bpu_moves_a_softmax_and_joins_the_subgraphs(softmax_in_the_middle):
    placement = placed(softmax_in_the_middle, on={"_generated_softmax_0": "bpu"})
    assert placement["_generated_softmax_0"].reason.code == "requested"
    assert placement.subgraphs == 1
    assert placement["a"].dtype == "int8"


@pytest.mark.parametrize(
    ("shape", "axis", "failing"), [((1, 6), 1, "rank"), ((2, 3, 4, 5), 0, "axis")], ids=["rank 2", "axis 0"]
)
def test_run_on_bpu_for_softmax_is_refused_with_the_failing_constraint(captured, shape, axis, failing):
    graph = captured(lambda m, x: torch.softmax(x * x, axis), shape)
    softmax = placed(graph, on={"_generated_softmax_0": "bpu"})["_generated_softmax_0"]
    assert (softmax.on, softmax.reason.code) == ("CPU", "constraint")
    assert softmax.reason.sentence.startswith("run_on_bpu is refused: ")
    assert failing in softmax.reason.sentence
    assert any(failing in fact.text and "allowed" in fact.text for fact in softmax.reason.facts)


def test_unasked_softmax_that_breaks_a_constraint_is_not_called_refused(captured):
    graph = captured(lambda m, x: torch.softmax(x * x, 1), (1, 6))
    assert not placed(graph)["_generated_softmax_0"].reason.sentence.startswith("run_on_bpu is refused")


# -- the tail ----
@ON_ALL
def test_tail_conv_relu_is_an_int32_conv_and_a_relu_on_cpu(captured, march):
    placement = placed(ending_in(captured, lambda m, x: m.relu(m.conv(x))), march)
    assert (placement["conv"].on, placement["conv"].dtype) == ("BPU", "int32")
    assert (placement["relu"].on, placement["relu"].reason.code) == ("CPU", "tail")
    assert placement["conv"].unit == "conv" != placement["relu"].unit


@ON_ALL
def test_tail_conv_bn_stays_one_int32_unit(captured, march):
    placement = placed(ending_in(captured, lambda m, x: m.bn(m.conv(x))), march)
    assert placement["bn"].unit == placement["conv"].unit == "conv"
    assert placement["bn"].dtype == "int32"


def test_tail_conv_bn_add_relu_keeps_only_the_convolution_on_the_bpu(captured):
    graph = captured(
        lambda m, x: m.relu(m.bn(m.conv(m.first(x))) + m.first(x)),
        (1, 3, 8, 8),
        first=nn.Conv2d(3, 8, 1),
        conv=nn.Conv2d(8, 8, 3, padding=1),
        bn=nn.BatchNorm2d(8),
        relu=nn.ReLU(),
    )
    placement = placed(graph)
    assert [placement[n].dtype for n in ("conv", "bn")] == ["int32", "int32"]
    assert [placement[n].on for n in ("_generated_add_0", "relu")] == ["CPU", "CPU"]
    assert placement["relu"].reason.code == "tail"


@ON_ALL
def test_run_on_bpu_on_the_tail_relu_fuses_it_back_as_int8(captured, march):
    placement = placed(ending_in(captured, lambda m, x: m.relu(m.bn(m.conv(x)))), march, on={"relu": "bpu"})
    assert {placement[n].unit for n in ("conv", "bn", "relu")} == {"conv"}
    assert {placement[n].dtype for n in ("conv", "bn", "relu")} == {"int8"}
    assert placement["conv"].reason.code == "requested_tail"


def test_run_on_bpu_on_a_tail_conv_that_is_there_already_does_not_cost_its_int32(captured):
    placement = placed(ending_in(captured, lambda m, x: m.relu(m.conv(x))), on={"conv": "bpu"})
    assert placement["conv"].dtype == "int32"
    assert placement["relu"].on == "CPU"


def test_run_on_bpu_inside_the_model_is_not_called_a_tail(captured):
    graph = captured(
        lambda m, x: m.last(torch.relu(m.conv(x))), (1, 3, 8, 8), conv=nn.Conv2d(3, 8, 1), last=nn.Conv2d(8, 2, 1)
    )
    reason = placed(graph, on={"_generated_relu_0": "bpu"})["conv"].reason
    assert "int32" not in reason.sentence
    assert reason.code != "requested_tail"


def test_output_dtype_asked_of_the_tail_conv_gives_up_int32(captured):
    from qworkbench.placement.types import DtypeRequest

    graph = ending_in(captured, lambda m, x: m.conv(x))
    assert placed(graph)["conv"].dtype == "int32"
    assert placed(graph, dtypes={"conv": DtypeRequest(output="int8")})["conv"].dtype == "int8"
    assert placed(graph, scales={"conv": 0.5})["conv"].dtype == "int8"


def test_a_sigmoid_at_the_end_stays_on_the_bpu_as_int16(captured):
    placement = placed(ending_in(captured, lambda m, x: torch.sigmoid(m.conv(x))))
    assert (placement["_generated_sigmoid_0"].on, placement["_generated_sigmoid_0"].dtype) == ("BPU", "int16")
    assert placement["conv"].dtype == "int16"


# -- chains ----
def test_passive_chain_takes_the_threshold_of_the_active_op_behind_it(captured):
    graph = captured(
        lambda m, x: m.b(m.up(m.pool(m.a(x)))),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        pool=nn.MaxPool2d(2),
        up=nn.Upsample(scale_factor=2),
        b=nn.Conv2d(4, 2, 1),
    )
    placement = placed(graph)
    assert "'b'" in placement["pool"].reason.sentence
    assert "through 'up'" in placement["pool"].reason.sentence
    assert placement["pool"].reason.facts[0].node == "b"
    assert "through" not in placement["up"].reason.sentence


def test_an_unsupported_op_breaks_the_chain(captured):
    graph = captured(
        lambda m, x: m.b(torch.cumsum(m.pool(m.a(x)), 2)),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        pool=nn.MaxPool2d(2),
        b=nn.Conv2d(4, 2, 1),
    )
    placement = placed(graph)
    broken = next(node for node in placement.values() if node.reason.code == "not_in_list")
    assert broken.on == "CPU"
    assert placement["pool"].reason.code == "passive_without_active_consumer"
    assert [fact.node for fact in placement["pool"].reason.facts] == [broken.name]
    assert (placement["a"].subgraph, placement["b"].subgraph) == (0, 1)


def test_the_shortest_way_to_an_active_op_is_named(captured):
    def forward(m, x):
        y = m.pool(m.a(x))
        return m.far(m.up(y)), m.near(y)

    graph = captured(
        forward,
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        pool=nn.MaxPool2d(2),
        up=nn.Upsample(scale_factor=2),
        far=nn.Conv2d(4, 2, 1),
        near=nn.Conv2d(4, 2, 1),
    )
    assert placed(graph)["pool"].reason.facts[0].node == "near"


def test_run_on_bpu_gives_a_passive_op_the_threshold_of_its_input(captured):
    graph = captured(lambda m, x: m.pool(m.a(x)), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1), pool=nn.MaxPool2d(2))
    assert placed(graph)["pool"].on == "CPU"
    asked = placed(graph, on={"pool": "bpu"})
    assert (asked["pool"].on, asked["pool"].reason.code, asked["a"].dtype) == ("BPU", "requested_passive", "int8")


def test_run_on_bpu_for_a_joining_passive_op_is_refused_with_the_way_out(joined):
    concat = placed(joined, on={"_generated_cat_0": "bpu"})["_generated_cat_0"]
    assert concat.on == "CPU"
    assert concat.reason.sentence.startswith("run_on_bpu is refused: ")
    assert any("unit conv" in way.text for way in concat.reason.ways)


def test_run_on_bpu_behind_a_cpu_op_is_refused_naming_it(captured):
    graph = captured(lambda m, x: m.pool(m.a(x).cumsum(2)), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1), pool=nn.MaxPool2d(2))
    pool = placed(graph, on={"pool": "bpu"})["pool"]
    before = graph.predecessors(graph.nodes["pool"])[0].name
    assert pool.on == "CPU"
    assert repr(before) in pool.reason.sentence


# -- the user sends fused members away ----
@pytest.mark.parametrize(
    ("member", "together"),
    [
        ("conv", set()),
        ("bn", set()),
        ("_generated_add_0", {"conv", "bn"}),
        ("relu", {"conv", "bn", "_generated_add_0"}),
    ],
)
def test_run_on_cpu_on_a_fused_member_takes_the_group_apart(captured, member, together):
    graph = captured(
        lambda m, x: m.last(m.relu(m.bn(m.conv(m.first(x))) + m.first(x))),
        (1, 3, 8, 8),
        first=nn.Conv2d(3, 8, 1),
        conv=nn.Conv2d(8, 8, 3, padding=1),
        bn=nn.BatchNorm2d(8),
        relu=nn.ReLU(),
        last=nn.Conv2d(8, 2, 1),
    )
    whole = {"conv", "bn", "_generated_add_0", "relu"}
    before = placed(graph)
    assert {before[n].unit for n in whole} == {"_generated_add_0"}
    after = placed(graph, on={member: "cpu"})
    assert (after[member].on, after[member].reason.code) == ("CPU", "user_cpu")
    assert len({after[n].unit for n in together}) == (1 if together else 0)
    assert all(after[n].unit == n or n in together for n in whole)
    assert all(after[n].reason.code != "user_cpu" for n in whole - {member})


@pytest.mark.parametrize("kind", ["on", "dtypes", "scales"])
def test_a_wish_for_an_unknown_node_names_the_nearest(joined, kind):
    value = {"on": "bpu", "dtypes": None, "scales": 1.0}[kind]
    with pytest.raises(UnknownNameError, match="_generated_cat_0"):
        placed(joined, **{kind: {"generated_cat_0": value}})


def test_an_op_that_the_converter_cannot_place_at_all_says_so(captured):
    graph = captured(
        lambda m, x: m.b(torch.einsum("nchw,ndhw->nchw", m.a(x), m.a(x))),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(4, 2, 1),
    )
    reason = next(node.reason for node in placed(graph).values() if node.reason.code == "no_kernel")
    assert "the converter cannot place it" in reason.sentence
    assert "matmul" in reason.ways[0].text


def test_an_op_of_the_list_that_only_the_cpu_has_tells_what_its_kernel_takes(captured):
    graph = captured(lambda m, x: m.gru(x)[0], (1, 5, 3), gru=nn.GRU(3, 4, batch_first=True))
    reason = placed(graph)["gru"].reason
    assert "does not run on the BPU" in reason.sentence
    assert "forward direction only" in reason.facts[0].text


def test_an_op_on_a_feature_map_with_indices_from_the_model_is_not_called_an_index_op(captured):
    graph = captured(
        lambda m, x: torch.gather(m.a(x), 3, m.a(x).argmax(3, keepdim=True)), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1)
    )
    placement = placed(graph)
    gather = next(placement[node.name].reason for node in graph.nodes if node.op == "GatherElements")
    assert "beside its feature map" in gather.sentence
    assert "nothing to quantize" not in gather.sentence
