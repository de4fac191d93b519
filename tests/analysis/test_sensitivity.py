from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.analysis.distances import Metric
from qworkbench.analysis.metrics import compare
from qworkbench.analysis.quantizers import quantizers_of
from qworkbench.graph.execute import run_float, run_node
from qworkbench.graph.feeds import feeds_of


def plain_effect(wb, quantizer, x, output=0):
    """Run the captured model in float, node by node, with one quantizer on."""
    graph, placement = wb.graph, wb.placement
    feeds = feeds_of(wb.base_graph, x)
    values = dict(feeds)
    if quantizer.kind == "activation" and quantizer.value in values:
        values[quantizer.value] = quantizer.apply(values[quantizer.value])
    for node in graph.nodes:
        tensors = [None if v is None else values[v] if v in values else graph.tensor(v) for v in node.inputs]
        if quantizer.kind == "weight" and node.name == quantizer.name:
            unit = placement.unit_of(node.name)
            bn = graph.nodes[unit.bn] if unit.bn else None
            gain = 1.0
            if bn is not None:
                gamma, _, _, var = (graph.tensor(v) for v in bn.inputs[1:5])
                gain = (gamma / torch.sqrt(var + bn.attrs["epsilon"])).reshape(-1, 1, 1, 1)
            tensors[1] = torch.from_numpy(quantizer.weight()) / gain
        made = run_node(graph, node, tensors, len(x))
        for name, tensor in zip(node.outputs, made, strict=True):
            values[name] = (
                quantizer.apply(tensor) if (quantizer.kind, quantizer.value) == ("activation", name) else tensor
            )
    return values[graph.outputs[output]]


@pytest.mark.parametrize("method", ["max", "max-percentile"])
def test_each_row_equals_a_plain_float_run_with_that_one_quantizer_on(wb, samples, method):
    wb.calibrate(method=method, percentile=0.99)
    table = wb.sensitivity(samples[:5], metric=["L1", "COSINE", "ATOL"])
    graph, x = wb.graph, samples[:5]
    reference = run_float(graph, feeds_of(wb.base_graph, x))
    quantizers = quantizers_of(graph, wb.placement, wb._stages.plan(wb.config), "half_even")
    assert len(table) == 2 * len(quantizers)
    for quantizer in quantizers:
        for index, output in enumerate(graph.output_names):
            expected = compare(reference[graph.outputs[index]].numpy(), plain_effect(wb, quantizer, x, index).numpy())
            row = table[
                (table.op_name == quantizer.name) & (table.sensitive_type == quantizer.kind) & (table.output == output)
            ].iloc[0]
            assert pytest.approx(expected.l1, rel=1e-3, abs=2e-6) == row.L1
            assert pytest.approx(expected.atol, rel=1e-2, abs=2e-5) == row.ATOL
            assert pytest.approx(expected.cosine, abs=1e-5) == row.COSINE


def test_the_table_has_the_columns_of_the_guide_and_is_sorted_worst_first(wb):
    table = wb.sensitivity(metric="COSINE")
    assert list(table.columns) == [
        "op_name", "sensitive_type", "op_type", "output", "COSINE", "quant_dtype", "flops", "flops_share"
    ]  # fmt: skip
    assert table.COSINE.is_monotonic_increasing
    assert set(table.sensitive_type) == {"activation", "weight"}
    stem = table[(table.op_name == "stem") & (table.sensitive_type == "weight")].iloc[0]
    assert stem.op_type == "Conv+BatchNormalization+Relu"
    assert stem.flops == 2 * 8 * 3 * 9 * 8 * 8
    assert wb.sensitivity(metric="l1").L1.is_monotonic_decreasing


def test_memory_budget_changes_nothing_but_the_number_of_groups(wb, samples):
    whole = wb.sensitivity(samples, metric="ATOL")
    wb.forget()
    tight = wb.sensitivity(samples, metric="ATOL", budget=30_000)
    assert (whole.sort_index().op_name == tight.sort_index().op_name).all()
    np.testing.assert_allclose(whole.ATOL, tight.ATOL, rtol=1e-3, atol=1e-6)
    wb.forget()
    with pytest.raises(q.QWorkbenchError, match="budget"):
        wb.sensitivity(samples, budget=1000)


def test_only_what_an_edit_changes_is_computed_again(wb, samples):
    steps: list[str] = []
    watch = {"progress": lambda name, done, total: steps.append(name)}
    first = wb.sensitivity(samples, **watch)
    whole = len(steps)
    steps.clear()
    assert wb.sensitivity(samples, **watch).equals(first)
    assert steps == []
    wb.edit(q.SetDtype("mix", "int16"))
    second = wb.sensitivity(samples, **watch)
    assert 0 < len(steps) <= whole
    changed = first.merge(second, on=["op_name", "sensitive_type", "output"])
    differ = set(changed[changed.L1_x != changed.L1_y].op_name)
    assert differ
    assert differ <= {"mix", "act"}
    steps.clear()
    wb.undo()
    assert wb.sensitivity(samples, **watch).equals(first)
    assert steps == []


def test_rows_stream_and_a_cancelled_sweep_resumes(wb, samples):
    tables = []
    wb.sensitivity(samples, budget=200_000, on_rows=tables.append)
    assert len(tables) > 1
    assert all(len(table) == len(tables[-1]) for table in tables)
    wb.forget()
    calls = []

    def cancelled():
        calls.append(None)
        return len(calls) > 40

    steps: list[str] = []
    with pytest.raises(q.QWorkbenchError, match="cancelled"):
        wb.sensitivity(samples, budget=200_000, cancelled=cancelled)
    wb.sensitivity(samples, budget=200_000, progress=lambda name, done, total: steps.append(total))
    full = len(wb.placement.units) * len(tables)
    assert steps[0] < full


def test_a_background_sweep_publishes_rows_and_can_be_cancelled(wb, samples):
    heard = []
    wb.subscribe(lambda event, data: heard.append(event))
    job = wb.in_background("sensitivity", samples, metric="L1")
    table = job.wait(30)
    assert job.done == job.total > 0
    assert {"running", "progress", "rows", "analysed"} <= set(heard)
    assert table.equals(wb.sensitivity(samples, metric="L1"))
    with pytest.raises(q.QWorkbenchError, match="did you mean 'sensitivity'"):
        wb.in_background("sensitivty")


def test_a_user_function_and_kl_are_means_over_samples(wb, samples):
    def worst(a, b):
        return float(np.abs(a - b).max())

    table = wb.sensitivity(samples[:3], metric=[worst, "KL", "ATOL"])
    assert (table["worst"] <= table["ATOL"] + 1e-6).all()
    assert (table["KL"] >= -1e-9).all()

    def broken(a, b):
        raise ZeroDivisionError("no")

    with pytest.raises(q.QWorkbenchError, match="broken"):
        wb.sensitivity(samples[:1], metric=broken)
    with pytest.raises(q.QWorkbenchError, match="did you mean 'COSINE'"):
        wb.sensitivity(metric="cosin")
    assert Metric("SQNR").badness(10) < Metric("SQNR").badness(5)


def test_only_chosen_nodes(wb):
    table = wb.sensitivity(nodes=["mix", "act"])
    assert set(table.op_name) == {"mix", "act"}
    with pytest.raises(q.QWorkbenchError, match="did you mean 'mix'"):
        wb.sensitivity(nodes=["mixx"])


class MixesItsBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        y = self.a(x)
        return self.b(y - y.mean(0, keepdim=True))


def test_a_model_that_mixes_its_batch_is_swept_one_variant_at_a_time(make_workbench):
    torch.manual_seed(0)
    x = torch.randn(3, 2, 4, 4)
    wb = make_workbench(MixesItsBatch().eval(), x)
    table = wb.sensitivity(x).set_index(["op_name", "sensitive_type"])
    quantizers = quantizers_of(wb.graph, wb.placement, wb._stages.plan(wb.config), "half_even")
    reference = run_float(wb.graph, feeds_of(wb.base_graph, x))[wb.graph.outputs[0]]
    for quantizer in quantizers:
        expected = (plain_effect(wb, quantizer, x) - reference).abs().mean()
        assert table.L1[quantizer.name, quantizer.kind] == pytest.approx(float(expected), rel=1e-3, abs=1e-6)


class Ranked(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def forward(self, x):
        y = self.conv(x)
        values, indices = y.flatten(1).topk(4)
        return y.argmax(1), values, indices


def test_ranked_outputs_are_replaced_by_what_was_ranked(make_workbench, samples):
    wb = make_workbench(Ranked().eval(), samples)
    table = wb.sensitivity(samples)
    assert table.L1.max() < 0.1
    assert 1 <= table.output.nunique() <= 2


def test_nothing_quantized_is_said(make_workbench, samples):
    wb = make_workbench()
    wb.edit(*(q.SetPlacement(name, "cpu") for name, node in wb.placement.nodes.items() if node.on == "BPU"))
    with pytest.raises(q.QWorkbenchError, match="nothing is quantized"):
        wb.sensitivity()
