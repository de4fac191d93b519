"""One edit, one row: what is kept between calls, and that keeping it changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import qworkbench as q
from qworkbench.analysis import program
from qworkbench.analysis.packets import PACKET_BYTES
from qworkbench.analysis.references import References


def test_float_values_are_kept_within_half_the_budget_and_later_calls_start_in_the_middle(wb, samples, monkeypatch):
    wb.sensitivity(samples, budget=2**20)
    kept = wb._effects.references
    assert 0 < kept.nbytes <= 2**19
    ran = []
    run = program.FloatProgram.run

    def noted(self, unit, *args, **options):
        ran.append(unit.name)
        return run(self, unit, *args, **options)

    monkeypatch.setattr(program.FloatProgram, "run", noted)
    wb.edit(q.FixScale("mix", 0.05))
    after = wb.sensitivity(samples, budget=2**20)
    order = [unit.name for unit in wb.placement.units]
    assert ran
    assert min(order.index(name) for name in ran) > order.index("stem")
    wb.forget()
    fresh = wb.sensitivity(samples)
    assert list(after.op_name) == list(fresh.op_name)
    np.testing.assert_allclose(after.L1, fresh.L1, rtol=1e-5, atol=1e-8)


def test_samples_of_several_chunks_go_through_together_late_in_the_network(make_workbench, monkeypatch):
    """The first value fills a packet by itself, so each sample is a chunk; the last ones are small."""
    from torch import nn

    torch.manual_seed(0)
    side = 2 * int((PACKET_BYTES / 4 / 8) ** 0.5)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.Conv2d(8, 4, 9, 8), nn.Conv2d(4, 4, 9, 8), nn.Conv2d(4, 2, 1)
    ).eval()
    x = torch.randn(3, 1, side, side)
    wb = make_workbench(model, x)
    wb.sensitivity(x, budget=2**30)
    batches = []
    run = program.FloatProgram.run

    def noted(self, unit, operands, batch, **options):
        batches.append(batch)
        return run(self, unit, operands, batch, **options)

    monkeypatch.setattr(program.FloatProgram, "run", noted)
    wb.edit(q.FixScale("2", 0.01))
    after = wb.sensitivity(x, budget=2**30)
    assert set(batches) == {3}
    wb.forget()
    fresh = wb.sensitivity(x, budget=2**30)
    np.testing.assert_allclose(after.L1, fresh.L1, rtol=1e-5, atol=1e-8)


def test_training_the_model_drops_what_is_kept(wb, samples):
    references = References()
    first = references.program(wb.graph, wb.placement)
    assert references.program(wb.graph, wb.placement) is first
    references.put(b"k", {"a": torch.zeros(10)}, 100)
    references.put(b"l", {"a": torch.zeros(100)}, 100)
    assert references.nbytes == 40
    weight = wb.graph.tensor(wb.graph.nodes["stem"].inputs[1])
    with torch.no_grad():
        weight.mul_(1.0)
    assert references.program(wb.graph, wb.placement) is not first
    assert references.nbytes == 0


def test_a_pointwise_convolution_with_its_clamp_equals_the_plain_one(captured):
    from torch import nn

    from qworkbench.march import get_march
    from qworkbench.placement.place import place

    graph = captured(
        lambda m, x: m.act(m.b(torch.relu(m.a(x)))),
        (2, 3, 5, 5),
        a=nn.Conv2d(3, 6, 1),
        b=nn.Conv2d(6, 4, 1, 2),
        act=nn.ReLU6(),
    )
    x = torch.randn(2, 3, 5, 5)
    made = program.FloatProgram(graph, place(graph, get_march("bayes-e"))).reference({graph.inputs[0]: x}, 2)
    from qworkbench.graph.execute import run_float

    plain = run_float(graph, {graph.inputs[0]: x})
    torch.testing.assert_close(made[graph.outputs[0]], plain[graph.outputs[0]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("budget", [60_000, 2**30])
def test_a_small_budget_keeps_nothing_it_cannot_afford(wb, samples, budget):
    wb.sensitivity(samples, budget=budget)
    assert wb._effects.references.nbytes <= budget // 2
