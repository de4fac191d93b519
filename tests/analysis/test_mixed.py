from __future__ import annotations

import pandas as pd
import pytest
import torch

import qworkbench as q
from qworkbench.analysis.mixed import ranked_ops, search, top_ops
from qworkbench.analysis.mixed_result import Outcome


@pytest.fixture
def table():
    rows = [("a", "activation", "0"), ("b", "weight", "0"), ("c", "activation", "0"), ("c", "activation", "1")]
    rows += [("d", "activation", "1"), ("a", "activation", "1")]
    return pd.DataFrame(rows, columns=["op_name", "sensitive_type", "output"])


def test_the_top_of_several_tables_is_their_union(table):
    ranked = ranked_ops(table, ("activation",))
    assert top_ops(ranked, 1) == (("a", "activation"), ("c", "activation"))
    assert {name for name, _ in top_ops(ranked, 2)} == {"a", "c", "d"}
    assert top_ops(ranked, 0.5) == top_ops(ranked_ops([table[table.output == o] for o in "01"], ("activation",)), 0.5)
    assert ("b", "weight") in top_ops(ranked_ops(table, ("activation", "weight")), 2)
    for bad in (1.5, -1):
        with pytest.raises(q.QWorkbenchError):
            top_ops(ranked, bad)
    with pytest.raises(q.QWorkbenchError, match="op_name"):
        ranked_ops(pd.DataFrame({"x": [1]}), ("activation",))


@pytest.mark.parametrize("needed", range(18))
def test_bisection_finds_the_smallest_k_in_few_trials(needed):
    ranked = [[(f"op{i}", "activation") for i in range(17)]]
    found = search(
        ranked,
        lambda many: [Outcome(float(len(ops)), 1.0, ops, len(ops)) for ops in many],
        needed,
        metric="M",
        larger_is_worse=False,
    )
    assert found.chosen is not None
    assert len(found.edits) == needed
    assert len(found.trials) <= 7


def test_the_search_reaches_its_target_and_applies_as_one_step(wb, samples):
    x = samples[:4]
    low = wb.run(x).table.cosine.min()
    wb_table = wb.sensitivity(x)
    high = wb.mixed_precision(1.0, x, tables=wb_table).trials.COSINE.max()
    target = float(low + 0.5 * (high - low))
    found = wb.mixed_precision(target, x, tables=wb_table)
    assert not found.trials.meets.iloc[0]
    before = wb.config
    wb.edit(*found.edits)
    assert wb.run(x).table.cosine.min() == pytest.approx(found.chosen.value, abs=1e-6)
    assert found.chosen.value >= target
    assert found.chosen.cost >= 1.0
    fewer = found.trials[found.trials.top_k < found.trials[found.trials.meets].top_k.min()]
    assert not fewer.meets.any()
    wb.undo()
    assert wb.config == before
    assert len(found.figure().axes[0].lines) == 3


def test_a_target_that_holds_already_needs_nothing_and_one_out_of_reach_says_so(wb, samples):
    assert wb.mixed_precision(0.5, samples[:2]).edits == ()
    found = wb.mixed_precision(1.0, samples[:2])
    assert found.chosen is None
    with pytest.raises(q.QWorkbenchError, match=r"no share reaches COSINE 1,"):
        _ = found.edits


def test_a_user_function_decides(wb, mixed_model, samples):
    with torch.no_grad():
        expected = mixed_model(samples)[0]

    def agreement(run):
        return -float((run(samples)[0] - expected).abs().mean())

    base = agreement(wb.emulate)
    found = wb.mixed_precision(base * 0.8, samples[:2], evaluate=agreement)
    assert "agreement" in found.trials.columns
    assert found.trials.agreement.iloc[0] == pytest.approx(base)


def test_it_runs_in_the_background_and_is_cancelled(wb, samples):
    job = wb.in_background("mixed_precision", 0.999, samples[:2])
    assert len(job.wait(30).trials) >= 1
    with pytest.raises(q.QWorkbenchError, match="cancelled"):
        wb.mixed_precision(0.99999, samples[:2], cancelled=lambda: True)


def test_a_budget_takes_the_most_that_it_can_pay(wb, samples):
    x = samples[:4]
    tables = wb.sensitivity(x)
    whole = wb.mixed_precision(1.0, x, tables=tables).trials
    low, high = whole.cost.min(), whole.cost.max()
    found = wb.mixed_precision(None, x, tables=tables, budget=(low + high) / 2)
    assert found.chosen is not None
    assert low <= found.chosen.cost <= (low + high) / 2
    more = found.trials[found.trials.top_k > found.trials[found.trials.meets].top_k.max()]
    assert not more.meets.any()
    with pytest.raises(q.QWorkbenchError, match="target for the metric, or a budget"):
        wb.mixed_precision(None, x, tables=tables)
    assert wb.mixed_precision(1.0, x, tables=tables, budget=low).chosen is None


def test_a_budget_in_estimated_latency_is_that_of_the_estimate(wb, samples):
    x = samples[:2]
    now = wb.estimate("O1").microseconds
    found = wb.mixed_precision(None, x, budget=now * 1.2, cost="latency")
    if found.edits:
        wb.edit(*found.edits)
    assert wb.estimate("O1").microseconds == pytest.approx(found.chosen.cost)
    assert found.chosen.cost <= now * 1.2
    assert "us, estimated" in found.figure().axes[0].get_xlabel()
    with pytest.raises(q.QWorkbenchError, match="did you mean 'latency'"):
        wb.mixed_precision(None, x, budget=1, cost="latencies")


def test_float16_is_raised_where_the_march_has_it(wb, samples):
    with pytest.raises(q.QWorkbenchError, match="bayes-e has no float16"):
        wb.mixed_precision(0.99, samples, dtype="float16")
    wb.edit(q.SetMarch("nash-m"))
    found = wb.mixed_precision(1.0, samples[:2], dtype="float16")
    assert found.trials.float16.iloc[-1] > found.trials.float16.iloc[0] == 0
