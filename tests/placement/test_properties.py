"""What holds for every graph, march and wish: no op is moved to the BPU by run_on_cpu, unit convs change no number."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import qworkbench as q
from qworkbench.errors import QWorkbenchError
from qworkbench.graph.edits import insert_unit_conv
from qworkbench.graph.execute import run_float
from qworkbench.graph.ir import Graph
from qworkbench.march import MARCHES, get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides
from tests.conftest import Mixed, seeded
from tests.models.zoo import ZOO


class Tails(nn.Module):
    """Ends of every kind: conv + add + relu, relu6, concat, softmax, reshape, a lookup, a float-only op."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = torch.relu(self.bn(self.a(x)) + x)
        z = nn.functional.relu6(self.b(y))
        joined = torch.cat([y, z], 1)
        return (
            torch.relu(self.c(y) + z),
            joined,
            z.softmax(1),
            torch.sigmoid(y).flatten(1),
            -nn.functional.max_pool2d(z, 2),
        )


@cache
def graph_of(name: str) -> Graph:
    if name == "mixed":
        return q.capture(seeded(Mixed()), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    if name == "tails":
        return q.capture(seeded(Tails()), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)))
    return q.capture(*ZOO[name]())


graphs = st.sampled_from(["mixed", "tails", "resnet18", "unet", "vit", "segmentation", "inception"])
marches = st.sampled_from(MARCHES)
relaxed = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Graph, str, dict[str, str], dict[str, DtypeRequest]]:
    """A graph, a march, and random wishes for up to five nodes each."""
    graph, march = graph_of(draw(graphs)), draw(marches)
    names = st.sampled_from(graph.nodes.names())
    on = draw(st.dictionaries(names, st.sampled_from(["bpu", "cpu"]), max_size=5))
    legal = st.sampled_from((None, *get_march(march).dtypes))
    dtypes = draw(st.dictionaries(names, st.builds(DtypeRequest, legal, legal, legal), max_size=5))
    return graph, march, on, dtypes


@relaxed
@given(cases(), st.data())
def test_adding_run_on_cpu_never_moves_another_op_to_the_bpu(case, data):
    graph, march, on, dtypes = case
    before = place(graph, get_march(march), Overrides(on=on, dtypes=dtypes))
    more = data.draw(st.sampled_from(graph.nodes.names()))
    after = place(graph, get_march(march), Overrides(on={**on, more: "cpu"}, dtypes=dtypes))
    moved = [name for name in graph.nodes.names() if before[name].on == "CPU" and after[name].on == "BPU"]
    assert moved == []
    assert after[more].on in ("CPU", "NONE")


@pytest.mark.parametrize("march", ["bernoulli2", "bayes-e", "nash-m", "nash-p", "nash-b"])
def test_run_on_cpu_of_a_tail_convolution_leaves_what_was_behind_it_on_the_cpu(march):
    """Every pair of nodes of the model with every kind of end, since random wishes rarely meet its corners."""
    graph = graph_of("tails")
    names = graph.nodes.names()
    held = {}

    def placed(*cpu):
        key = frozenset(cpu)
        if key not in held:
            held[key] = place(graph, get_march(march), Overrides(on=dict.fromkeys(key, "cpu")))
        return held[key]

    for first in (None, *names):
        wishes = () if first is None else (first,)
        before = placed(*wishes)
        for more in names:
            after = placed(*wishes, more)
            assert [n for n in names if before[n].on == "CPU" and after[n].on == "BPU"] == [], (first, more)


@relaxed
@given(cases())
def test_placing_twice_is_identical(case):
    graph, march, on, dtypes = case
    first, second = (place(graph, get_march(march), Overrides(on=on, dtypes=dtypes)) for _ in range(2))
    assert first == second


@relaxed
@given(cases())
def test_every_wish_is_followed_or_answered(case):
    graph, march, on, dtypes = case
    placement = place(graph, get_march(march), Overrides(on=on, dtypes=dtypes))
    for name, wish in on.items():
        placed = placement[name]
        if placed.on in (wish.upper(), "NONE"):
            continue
        answered = "refused" in placed.reason.sentence or placed.reason.code in (
            "not_in_list",
            "no_kernel",
            "not_a_feature",
            "dynamic_weight",
            "user_cpu",
            "fused",
        )
        assert answered, placed
    for name, wish in dtypes.items():
        placed = placement[name]
        if placed.on == "CPU" and any(wish.parts().values()):
            assert any(placed.name in note or placed.unit in note for note in placed.notes), placed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs, st.data())
def test_a_unit_conv_never_changes_the_float_output(name, data):
    graph = graph_of(name)
    edited, placed = graph, 0
    for index in range(data.draw(st.integers(1, 3))):
        node = data.draw(st.sampled_from(graph.nodes.names()))
        where = data.draw(st.sampled_from(["before", "after"]))
        slot = data.draw(st.sampled_from([None, 0, 1])) if where == "before" else None
        try:
            edited = insert_unit_conv(edited, node, where, index, slot)
        except QWorkbenchError:
            continue
        placed += 1
    x = {value: torch.randn(*graph.shape(value), generator=torch.Generator().manual_seed(5)) for value in graph.inputs}
    expected, found = (run_float(g, x, keep=g.outputs) for g in (graph, edited))
    for old, new in zip(graph.outputs, edited.outputs, strict=True):
        torch.testing.assert_close(found[new], expected[old], rtol=0, atol=0)
    assert len(edited.nodes) == len(graph.nodes) + placed


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_export_and_import_give_the_same_placement(tmp_path_factory, data):
    model, x = seeded(Mixed()), torch.randn(1, 3, 8, 8)
    first, second = q.Workbench(model, x), q.Workbench(model, x)
    names = st.sampled_from(first.graph.nodes.names())
    edits = [q.SetMarch(data.draw(marches))]
    for name, on in data.draw(st.dictionaries(names, st.sampled_from(["bpu", "cpu"]), max_size=3)).items():
        edits.append(q.SetPlacement(name, on))
    first.edit(*edits)
    wide = "int16" if "int16" in first.config.machine.dtypes else "int8"
    for name in data.draw(st.lists(names, max_size=3, unique=True)):
        first.edit(q.SetDtype(name, output=wide))
    path = tmp_path_factory.mktemp("yaml") / "config.yaml"
    first.export_yaml(path)
    second.apply_yaml(path)
    assert second.placement == first.placement
