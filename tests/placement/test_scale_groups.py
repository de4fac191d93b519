"""Rule 6: tensors that share a scale, whose threshold it is, and the edges that need a Requantize."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.errors import EditError
from qworkbench.march import get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides
from tests.models.zoo import Sppf


def placed(graph, march="bayes-e", **wishes):
    return place(graph, get_march(march), Overrides(**wishes))


def thresholds(placement, *values):
    return [placement.group(value).threshold_from for value in values]


def test_pooling_pyramid_shares_one_threshold_without_requantize(captured):
    graph = captured(
        lambda m, x: m.end(m.sppf(m.start(x))),
        (1, 3, 8, 8),
        start=nn.Conv2d(3, 8, 1),
        sppf=Sppf(8),
        end=nn.Conv2d(8, 4, 1),
    )
    placement = placed(graph)
    pools = [node.name for node in graph.nodes if node.op == "MaxPool"]
    concat = next(node for node in graph.nodes if node.op == "Concat")
    before = graph.nodes[pools[0]].inputs[0]
    assert len(pools) == 3
    assert len({placement.group_of[value] for value in (before, *pools)}) == 1
    assert thresholds(placement, before, *pools, concat.output) == [(concat.output,)] * 5
    assert not placement.requantized


def test_both_halves_of_a_split_are_requantized_into_the_concat(captured):
    def forward(m, x):
        a, b = m.cv1(x).chunk(2, 1)
        return m.cv2(torch.cat([a, b, m.m(b)], 1))

    graph = captured(
        forward, (1, 3, 8, 8), cv1=nn.Conv2d(3, 8, 1), m=nn.Conv2d(4, 4, 3, padding=1), cv2=nn.Conv2d(12, 4, 1)
    )
    placement = placed(graph)
    split = next(node for node in graph.nodes if node.op == "Split")
    concat = next(node for node in graph.nodes if node.op == "Concat").name
    assert set(placement.requantized) == {(value, concat) for value in split.outputs}
    # the bottleneck's convolution reads the second half, the Concat both: the larger threshold is the group's; its own
    # output is written at the Concat's scale
    assert thresholds(placement, "cv1", *split.outputs) == [(split.outputs[1], split.outputs[0])] * 3
    assert thresholds(placement, "m") == [(concat,)]
    assert {b.value for b in placement.boundaries if b.kind == "requantize"} == set(split.outputs)


def test_resize_into_two_concats_is_requantized_on_the_farther_one_only(captured):
    def forward(m, x):
        a, b = m.a(x), m.b(m.down(x))
        up = m.up(b)
        return m.far(torch.cat([m.pool(up), b], 1)), m.near(torch.cat([up, a], 1))

    graph = captured(
        forward,
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        down=nn.Conv2d(3, 4, 2, 2),
        b=nn.Conv2d(4, 4, 1),
        up=nn.Upsample(scale_factor=2),
        pool=nn.MaxPool2d(2),
        far=nn.Conv2d(8, 2, 1),
        near=nn.Conv2d(8, 2, 1),
    )
    placement = placed(graph)
    nearest = graph.nodes["near"].inputs[0]
    farther = graph.nodes["far"].inputs[0]
    # b reaches the farther Concat directly (0 hops) and through pool; the group follows the nearest edge
    assert placement.group("b") == placement.group("up") == placement.group("pool")
    taken = placement.group("up").threshold_from
    other = {(nearest,): farther, (farther,): nearest}[taken]
    assert {unit for _, unit in placement.requantized} == {other}


def test_resize_that_feeds_two_concats_takes_the_one_reached_first(captured):
    def forward(m, x):
        a, b = m.a(x), m.b(x)
        up = m.up(m.c(x))
        first = torch.cat([up, a.repeat_interleave(1, 0)], 1)
        return m.one(first), m.two(torch.cat([m.pool(up), b], 1))

    graph = captured(
        forward,
        (1, 3, 8, 8),
        a=nn.ConvTranspose2d(3, 4, 2, 2),
        b=nn.Conv2d(3, 4, 1),
        c=nn.Conv2d(3, 4, 1),
        up=nn.Upsample(scale_factor=2),
        pool=nn.MaxPool2d(2),
        one=nn.Conv2d(8, 2, 1),
        two=nn.Conv2d(8, 2, 1),
    )
    placement = placed(graph)
    one, two = (graph.nodes[name].inputs[0] for name in ("one", "two"))
    assert placement.group("up").threshold_from == (one,)
    assert [unit for _, unit in placement.requantized] == [two]


def test_concat_input_that_a_conv_also_reads_is_requantized_on_that_edge_only(captured):
    def forward(m, x):
        a, b = m.a(x), m.b(x)
        return m.c(torch.cat([a, b], 1)), m.d(a)

    graph = captured(
        forward, (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1), c=nn.Conv2d(8, 2, 1), d=nn.Conv2d(4, 2, 1)
    )
    placement = placed(graph)
    assert list(placement.requantized) == [("a", "_generated_cat_0")]
    assert thresholds(placement, "a", "b") == [("a",), ("_generated_cat_0",)]


def test_group_takes_every_active_reader(captured):
    def forward(m, x):
        pooled = m.pool(m.a(x))
        return m.b(pooled), m.c(m.up(pooled))

    graph = captured(
        forward,
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        pool=nn.MaxPool2d(2),
        up=nn.Upsample(scale_factor=2),
        b=nn.Conv2d(4, 2, 1),
        c=nn.Conv2d(4, 2, 1),
    )
    assert set(placed(graph).group("a").threshold_from) == {"pool", "up"}


# -- fixed scales ----
@pytest.fixture(scope="module")
def chain(captured):
    return captured(
        lambda m, x: m.b(m.up(m.pool(m.a(x)))),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        pool=nn.MaxPool2d(2),
        up=nn.Upsample(scale_factor=2),
        b=nn.Conv2d(4, 2, 1),
    )


@pytest.mark.parametrize("fixed", ["a", "pool", "up"])
def test_a_fixed_scale_holds_for_its_whole_group(chain, fixed):
    placement = placed(chain, scales={fixed: 0.25})
    assert placement.group_of["a"] == placement.group_of["pool"] == placement.group_of["up"]
    for value in ("a", "pool", "up"):
        assert (placement.group(value).fixed_scale, placement.group(value).fixed_by) == (0.25, fixed)
    assert placement.group("arg0").fixed_scale is None


def test_a_scale_can_be_fixed_on_a_model_input(chain):
    assert placed(chain, scales={"arg0": 1 / 128}).group("arg0").fixed_scale == 1 / 128


def test_two_fixed_scales_in_one_group_contradict(chain):
    with pytest.raises(EditError, match=r"'a' \(0.25\) and 'up' \(0.5\) contradict"):
        placed(chain, scales={"a": 0.25, "up": 0.5})


def test_two_equal_fixed_scales_in_one_group_agree(chain):
    assert placed(chain, scales={"a": 0.25, "up": 0.25}).group("pool").fixed_scale == 0.25


def test_a_fixed_concat_input_is_requantized_and_a_fixed_concat_is_not(captured):
    graph = captured(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(3, 4, 1),
        c=nn.Conv2d(8, 2, 1),
    )
    assert list(placed(graph, scales={"a": 0.25}).requantized) == [("a", "_generated_cat_0")]
    everywhere = placed(graph, scales={"_generated_cat_0": 0.25})
    assert not everywhere.requantized
    assert [everywhere.group(v).fixed_scale for v in "ab"] == [0.25, 0.25]


# -- dtypes ----
def test_int16_is_followed_through_passive_ops_and_tables(captured):
    graph = captured(
        lambda m, x: m.b(torch.sigmoid(m.pool(m.a(x)))),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        pool=nn.MaxPool2d(2),
        b=nn.Conv2d(4, 2, 1),
    )
    placement = placed(graph, dtypes={"pool": DtypeRequest(output="int16")})
    assert [placement[n].dtype for n in ("a", "pool", "_generated_sigmoid_0")] == ["int16"] * 3
    assert placement["b"].input_dtype == "int16"
    assert not any(node.notes for node in placement.values())


def test_int16_through_a_resize_is_refused_with_a_note_that_names_it(chain):
    placement = placed(chain, dtypes={"a": DtypeRequest(output="int16")})
    assert placement["a"].dtype == "int8"
    assert placement["a"].notes == (
        "int16 asked for the output of 'a', but 'up' (Resize) gives int8 only on bayes-e; it stays int8",
    )


def test_int16_on_a_march_without_it_is_refused_with_a_note(chain):
    placement = placed(chain, "bernoulli2", dtypes={"b": DtypeRequest(input="int16")})
    assert placement["b"].input_dtype == "int8"
    assert "bernoulli2" in placement["b"].notes[0]


def test_int16_weights_are_refused_where_the_row_has_none(chain):
    placement = placed(chain, dtypes={"a": DtypeRequest(weight="int16")})
    assert placement["a"].weight_dtype == "int8"
    assert "int16 weights asked for 'a'" in placement["a"].notes[0]


def test_int16_asked_of_a_concat_brings_every_input_to_int16(captured):
    graph = captured(
        lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)),
        (1, 3, 8, 8),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(3, 4, 1),
        c=nn.Conv2d(8, 2, 1),
    )
    placement = placed(graph, dtypes={"_generated_cat_0": DtypeRequest(input="int16")})
    assert [placement[n].dtype for n in ("a", "b", "_generated_cat_0")] == ["int16"] * 3


# -- subgraphs and boundaries ----
def test_a_cpu_op_in_the_middle_makes_two_subgraphs_with_counted_boundaries(captured):
    graph = captured(lambda m, x: m.b(m.a(x).softmax(1)), (2, 3, 8, 4), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 5, 1))
    found = {(b.value, b.kind): b for b in placed(graph).boundaries}
    assert {key: b.elements for key, b in found.items()} == {
        ("arg0", "quantize"): 2 * 3 * 8 * 4,
        ("a", "dequantize"): 2 * 4 * 8 * 4,
        ("_generated_softmax_0", "quantize"): 2 * 4 * 8 * 4,
        ("b", "dequantize"): 2 * 5 * 8 * 4,
    }
    assert (found["a", "dequantize"].source, found["a", "dequantize"].target) == ("a", "_generated_softmax_0")


def test_a_branch_around_a_cpu_op_does_not_close_a_cycle_of_subgraphs(captured):
    graph = captured(
        lambda m, x: m.b(m.a(x).softmax(1) + m.a(x)), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 4, 1)
    )
    placement = placed(graph)
    assert placement["_generated_add_0"].subgraph == placement["b"].subgraph != placement["a"].subgraph


def test_argmax_leaves_the_bpu_as_indices_without_dequantize(captured):
    graph = captured(lambda m, x: m.a(x).argmax(1, keepdim=True), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1))
    placement = placed(graph)
    assert placement["_generated_argmax_0"].on == "BPU"
    assert placement["_generated_argmax_0"].dtype == "int64"
    assert [b.kind for b in placement.boundaries] == ["quantize"]


class Uneven(nn.Module):
    """Only the small half of a Split meets a convolution at once; the large one passes by."""

    def __init__(self):
        super().__init__()
        self.stem, self.inner, self.last = (nn.Conv2d(a, b, 1) for a, b in ((3, 8), (4, 4), (8, 4)))
        with torch.no_grad():
            self.stem.weight[:4] *= 20

    def forward(self, x):
        large, small = self.stem(x).chunk(2, 1)
        return self.last(torch.cat([large, self.inner(small)], 1))


def test_a_split_cuts_no_part_off_because_an_active_op_reads_another():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    wb = q.Workbench(Uneven().eval(), x[:1], calibration=x)
    split = next(n for n in wb.graph.nodes if n.op == "Split")
    group = wb.placement.group(split.outputs[0])
    assert set(group.threshold_from) == set(split.outputs)
    assert wb.run().table["cosine"].min() > 0.999


def test_a_part_that_only_the_cpu_reads_counts_too():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    wb = q.Workbench(Uneven().eval(), x[:1], calibration=x)
    concat = next(n.name for n in wb.graph.nodes if n.op == "Concat")
    wb.edit(q.SetPlacement(concat, "cpu"))
    split = next(n for n in wb.graph.nodes if n.op == "Split")
    assert set(wb.placement.group(split.outputs[1]).threshold_from) == set(split.outputs)
