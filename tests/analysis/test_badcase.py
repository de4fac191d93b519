from __future__ import annotations

import itertools
import re
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.analysis.metrics import compare


def test_the_worst_sample_of_each_output_and_metric_is_found(wb, mixed_model, samples):
    data = samples.clone()
    data[7] *= 6.0  # far outside of what calibration saw
    bad = wb.bad_cases(data)
    assert bad.finished
    assert bad.seen == len(data)
    with torch.no_grad():
        float_outputs = mixed_model(data)
    emulated = wb.emulate(data)
    for output, ours, theirs in zip(bad.outputs, float_outputs, emulated, strict=True):
        each = [compare(a.numpy(), b.numpy()) for a, b in zip(ours, theirs, strict=True)]
        for metric, worst in (("COSINE", np.argmin), ("L1", np.argmax), ("ATOL", np.argmax)):
            values = [getattr(m, metric.lower()) for m in each]
            assert bad.indices.loc[output, metric] == worst(values)
            assert bad.values.loc[output, metric] == pytest.approx(values[worst(values)], rel=1e-4, abs=1e-6)
    assert bad.worst.loc["L1", "index"] == 7
    torch.testing.assert_close(bad.sample("L1")["x"], data[7:8])


def test_the_text_has_the_three_tables_of_the_guide(wb, samples):
    bad = wb.bad_cases(samples)
    text = str(bad)
    heads = [
        "The bad case input index of each output:",
        "The metric results of each badcase:",
        "The bad case input index of the worst output:",
    ]
    assert [line for line in text.splitlines() if line in heads] == heads
    assert re.search(r"^Name/Index +COSINE +L1 +ATOL$", text, re.MULTILINE)
    assert re.search(r"^metric +dataloader index$", text, re.MULTILINE)
    assert "<table" in bad._repr_html_()


def test_batches_and_single_samples_give_the_same(wb, samples):
    whole = wb.bad_cases(samples)
    singles = wb.bad_cases([x[None] for x in samples])
    assert whole.indices.equals(singles.indices)
    np.testing.assert_allclose(whole.values, singles.values, rtol=1e-5)


def test_a_search_stops_early_and_resumes(wb, samples):
    whole = wb.bad_cases(samples, metrics=["MSE", "SQNR"])
    stream = [samples[i : i + 5] for i in range(0, 12, 5)]
    part = wb.bad_cases(stream, metrics=["MSE", "SQNR"], limit=3)
    assert part.seen == 3
    part = wb.bad_cases(stream, metrics=["MSE", "SQNR"], resume=part, stop=lambda found: found.seen >= 5)
    assert (part.seen, part.finished) == (5, False)
    assert "resume=" in str(part)
    part = wb.bad_cases(stream, metrics=["MSE", "SQNR"], resume=part)
    assert part.finished
    assert part.indices.equals(whole.indices)
    with pytest.raises(q.QWorkbenchError, match="other outputs or metrics"):
        wb.bad_cases(stream, resume=part)


def test_a_cancelled_background_search_hands_back_what_it_has(wb, samples):
    job = wb.in_background("bad_cases", itertools.repeat(samples[:1]))
    while job.done < 3:
        assert job.running
    job.cancel()
    bad = job.wait(20)
    assert not bad.finished
    assert bad.seen >= 3
    assert bad.worst.loc["L1", "index"] == 0


def test_only_the_worst_samples_are_kept_while_the_stream_passes(wb, samples):
    alive = weakref.WeakSet()
    most = []

    def stream():
        for i in range(30):
            batch = samples[:2] * (1 + i / 30)
            alive.add(batch)
            yield batch

    bad = wb.bad_cases(stream(), metrics="L1", progress=lambda *_: most.append(len(alive)))
    assert max(most) <= 2
    assert len(bad.samples) <= len(bad.outputs)
    for feeds in bad.samples.values():
        assert feeds["x"].untyped_storage().nbytes() == samples[:1].nbytes


def test_a_callable_ranks_and_rankings_are_replaced(make_workbench, samples):
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 1)

        def forward(self, x):
            y = self.conv(x)
            return torch.sigmoid(y), y.argmax(1)

    wb = make_workbench(Classifier().eval(), samples)

    def spread(a, b):
        return float(np.abs(a - b).sum())

    bad = wb.bad_cases(samples, metrics=spread)
    assert list(bad.values.columns) == ["spread"]
    assert len(bad.replaced) == 1
    assert "ranking" in str(bad)
    assert bad.values.max().max() < 20


def test_wrong_data_ends_in_one_sentence(wb, samples):
    for data, expected in (
        ([], "no sample"),
        (samples[:, :2], "shape"),
        ("images", "not a folder"),
        (None, "no calibration data|no data"),
    ):
        with pytest.raises(q.QWorkbenchError, match=expected):
            wb.bad_cases(data)
    bad = wb.bad_cases(samples[:2])
    with pytest.raises(q.QWorkbenchError, match="there are COSINE"):
        bad.sample("MSE")


def test_a_folder_gives_the_bad_cases_of_the_array_in_it(wb, samples, tmp_path):
    import numpy as np

    for index, sample in enumerate(samples[:3]):
        np.save(tmp_path / f"{index}.npy", sample.numpy())
    found, expected = wb.bad_cases(str(tmp_path)), wb.bad_cases(samples[:3])
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4)
