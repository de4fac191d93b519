"""The estimate counts what is there, searches monotonically, and calls itself an estimate."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import qworkbench as q
from qworkbench.errors import Cancelled, UnknownNameError
from qworkbench.estimate.estimate import estimate
from qworkbench.estimate.orders import orders
from qworkbench.estimate.rates import Rates
from qworkbench.estimate.schedule import LEVELS, Planner, total
from qworkbench.estimate.work import Tensor, Work, multiply_accumulates, works
from qworkbench.march import MARCHES, get_march
from qworkbench.placement.place import place


def chain(draw) -> list[Work]:
    """A random subgraph: convolutions, element-wise ops and ops that cannot be tiled, with branches that join."""
    count = draw(st.integers(1, 9))
    made: list[Tensor] = [Tensor("x", draw(st.integers(1, 4_000_000)), 32)]
    found = []
    for i in range(count):
        reads = tuple({t.value: t for t in draw(st.lists(st.sampled_from(made), min_size=1, max_size=3))}.values())
        kernel = draw(st.sampled_from((1, 3, 7)))
        out = Tensor(f"v{i}", draw(st.integers(1, 4_000_000)), draw(st.sampled_from((1, 8, 16, 32))))
        macs = draw(st.integers(0, 10**9))
        found.append(
            Work(
                name=f"u{i}",
                op="Conv" if macs else "Add",
                on="BPU",
                subgraph=0,
                macs=macs,
                padded_macs=macs,
                elements=out.size,
                form=draw(st.sampled_from(("int8", "int16", "float16"))),
                weight_bytes=draw(st.integers(0, 3_000_000)),
                reads=reads,
                writes=(out,),
                tileable=draw(st.booleans()),
                kernel=kernel,
                stride=draw(st.integers(1, kernel)),
            )
        )
        made.append(out)
    return found


subgraphs = st.composite(chain)()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subgraphs, st.sampled_from(MARCHES), st.sampled_from(("latency", "bandwidth")), st.integers(1, 8_000_000))
def test_o2_is_never_worse_than_o1_nor_o1_than_o0(units, march, objective, on_chip):
    rates = Rates.of(get_march(march).with_parameters({"on_chip_bytes": on_chip}))
    planner = Planner(units, frozenset({units[-1].writes[0].value}), rates)
    costs = [total(planner.best(level, objective), objective) for level in LEVELS]
    # the same sums in another order of groups may differ in the last bit
    assert costs[1][0] <= costs[0][0] * (1 + 1e-12)
    assert costs[2][0] <= costs[1][0] * (1 + 1e-12)
    for level in LEVELS:
        groups = planner.best(level, objective)
        assert sorted(name for group in groups for name in group.units) == sorted(unit.name for unit in units)
        assert all(group.on_chip <= on_chip for group in groups)


@settings(max_examples=60, deadline=None)
@given(subgraphs)
def test_every_order_is_topological(units):
    for order in orders(units, frozenset(), 3):
        assert sorted(w.name for w in order) == sorted(w.name for w in units)
        ready = {t.value for w in units for t in w.reads} - {t.value for w in units for t in w.writes}
        for work in order:
            assert {t.value for t in work.reads} <= ready
            ready |= {t.value for t in work.writes}


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 16, 3, padding=1)
        self.b = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.c = nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.b(self.a(x)))
        return self.c(x.mean((2, 3)))


@pytest.fixture(scope="module")
def two():
    return q.capture(Two().eval(), torch.randn(2, 3, 8, 8))


def test_macs_are_those_of_the_formula(two):
    counts = {node.name: multiply_accumulates(two, node, 1, 16) for node in two.nodes}
    assert counts["a"] == (8 * 8 * 16 * 3 * 9, 8 * 8 * 16 * 16 * 9)
    assert counts["b"][0] == 8 * 8 * 16 * 9
    assert counts["c"] == (160, 256)


def test_work_follows_the_batch(two):
    placement = place(two, get_march("bayes-e"))
    one, four = (works(two, placement, batch, 16) for batch in (1, 4))
    for a, b in zip(one, four, strict=True):
        assert b.macs == 4 * a.macs
        assert b.weight_bytes == a.weight_bytes
        assert sum(t.size for t in b.writes) == 4 * sum(t.size for t in a.writes)


@pytest.mark.parametrize("march", MARCHES)
def test_totals_are_the_sums_of_the_table(two, march):
    found = estimate(two, place(two, get_march(march)), get_march(march))
    assert found.nodes["microseconds"].sum() == pytest.approx(found.microseconds)
    assert found.nodes["share"].sum() == pytest.approx(1.0)
    assert found.nodes["ddr_bytes"].sum() == pytest.approx(found.ddr_bytes, abs=len(found.nodes))
    assert found.frames_per_second == pytest.approx(1e6 / found.microseconds)
    assert math.isfinite(found.microseconds)
    assert found.microseconds > 0


def test_o0_runs_every_unit_alone_and_waits_for_each_transfer(two):
    march = get_march("bayes-e")
    found = estimate(two, place(two, march), march, level="O0")
    assert all(len(group.units) == 1 and group.tiles == 1 for group in found.groups)
    for group in found.groups:
        overhead = march.figures["group_overhead_us"].value
        assert group.microseconds == pytest.approx(group.compute + group.transfer + overhead)


def test_weights_cross_the_bus_once_where_everything_fits(two):
    march = get_march("bayes-e")
    found = estimate(two, place(two, march), march, level="O2")
    weights = sum(work.weight_bytes for work in works(two, place(two, march), 1, 16))
    assert sum(group.weight_bytes for group in found.groups) == weights
    assert found.ddr_bytes >= weights


def test_a_cpu_op_costs_time_and_takes_its_switches_along(wb):
    before = wb.estimate()
    wb.edit(q.SetPlacement("mix", "cpu"))
    after = wb.estimate()
    assert after.microseconds > before.microseconds
    assert after.nodes.loc["mix", "on"] == "CPU"
    assert after.nodes.loc["hand-over", "op"] == f"{wb.placement.subgraphs} subgraphs"
    assert wb.placement.subgraphs == 2


def test_int16_is_slower_and_moves_more(wb):
    before = wb.estimate("O0")
    wb.edit(q.SetDtype("block", input="int16", output="int16"))
    after = wb.estimate("O0")
    assert after.microseconds > before.microseconds
    assert after.ddr_bytes > before.ddr_bytes


def test_the_batch_of_the_board_model_is_what_is_estimated(wb):
    one = wb.estimate("O0")
    wb.edit(q.SetBatch(8))
    eight = wb.estimate("O0")
    assert (eight.batch, eight.nodes["macs"].sum()) == (8, 8 * one.nodes["macs"].sum())
    assert eight.frames_per_second > one.frames_per_second


def test_a_figure_that_is_set_changes_the_estimate(wb):
    before = wb.estimate("O0").microseconds
    wb.edit(q.SetAssumption("ddr_gb_per_s", "0.1"))
    assert wb.estimate("O0").microseconds > before
    assert ("ddr_gb_per_s", "0.1") in [row[:2] for row in wb.estimate().figures]


def test_it_calls_itself_an_estimate(wb):
    found = wb.estimate("O1")
    assert found.sentence.startswith("estimate at O1")
    assert "not measured" in found._repr_html_()


def test_bad_words_and_cancel(wb):
    with pytest.raises(UnknownNameError, match="no optimize_level 'O3'"):
        wb.estimate("O3")
    with pytest.raises(UnknownNameError, match="did you mean 'latency'"):
        wb.estimate(objective="latncy")
    with pytest.raises(Cancelled):
        wb.estimate(cancelled=lambda: True)
    seen = []
    wb.estimate(progress=lambda text, done, total: seen.append((text, done, total)))
    assert seen == [("subgraph 0", 0, 1)]
