"""The commands around requests, batch, input order, assumptions, segments and the estimate, as a user types them."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError


def test_marches_are_listed_and_nash_is_one_word_away(loaded):
    text = repr(loaded("march"))
    assert "* bayes-e: RDK X5" in text
    assert "nash-m: J6M, RDK S100P" in text
    assert "march nash-m" in repr(loaded("march nash-m"))
    loaded("run")
    loaded("bpu softmax")
    assert "Softmax is unknown on this march, assumed on the BPU, as on bayes-e" in repr(loaded("why softmax"))


def test_node_info_in_both_forms_and_from_a_variable(loaded, shell):
    assert "int16" in repr(loaded("nodeinfo stem:int16"))
    loaded("undo")
    step = repr(loaded("nodeinfo \"{'softmax': {'ON': 'BPU', 'OutputType': 'int16'}}\""))
    assert "softmax: CPU float32 -> BPU int16" in step
    loaded("undo")
    shell.user_ns["info"] = {"softmax": {"ON": "BPU"}}
    assert "softmax: CPU float32 -> BPU int8" in repr(loaded("nodeinfo info"))


def test_requests_tell_asked_and_effective(loaded):
    step = repr(loaded("dtype softmax int16"))
    assert "runs on the CPU in float32" in step
    table = loaded("requests")
    assert table.loc["softmax", ["output", "effective_output", "followed"]].tolist() == ["int16", "float32", False]


def test_info_names_the_instructions_and_threads_of_the_kernels(loaded, monkeypatch):
    monkeypatch.setenv("QWORKBENCH_ISA", "portable")
    monkeypatch.setenv("QWORKBENCH_NUM_THREADS", "3")
    assert "kernels: portable instructions, threads: 3" in repr(loaded("info"))
    monkeypatch.setenv("QWORKBENCH_ISA", "amy")
    with pytest.raises(UsageError, match="did you mean 'amx'"):
        loaded("info")


def test_batch_and_order_are_set_told_and_refused(loaded):
    assert "input_batch: 1" in repr(loaded("batch"))
    assert "input_batch 8" in repr(loaded("batch 8"))
    text = repr(loaded("info"))
    assert "input_batch: 8" in text
    assert "order of inputs, compiled: image  (assumed; the tool may change it, feed by name)" in text
    loaded("order compiled image")
    assert "order of inputs, compiled: image\n" in repr(loaded("info"))
    with pytest.raises(UsageError, match="from 1 to 128"):
        loaded("batch 500")
    with pytest.raises(UsageError, match="must have the shape of input_shape, 1x1x6x6"):
        loaded("batch --data images")


def test_assumptions_are_listed_and_set(loaded):
    assert "dual_int16 = off (documented)" in repr(loaded("assume"))
    loaded("march nash-m")
    assert "dual_int16 = off (inferred)" in repr(loaded("assume"))
    loaded("assume dual_int16 on")
    assert "dual_int16 = on (set by you)" in repr(loaded("assume"))
    loaded("assume dual_int16 auto")
    assert "dual_int16 = off (inferred)" in repr(loaded("assume"))
    with pytest.raises(UsageError, match="did you mean 'peak_tops'"):
        loaded("assume peak_top 5")


def test_float16_for_one_node(loaded):
    loaded("march nash-m")
    assert "float16" in repr(loaded("dtype softmax float16"))
    assert loaded("use").placement["softmax"].on == "BPU"


def test_latency_is_an_estimate_at_three_levels(loaded):
    found = loaded("latency --level O1")
    assert found.sentence.startswith("estimate at O1")
    table = loaded("latency --compare")
    assert list(table.index) == ["O0", "O1", "O2"]
    assert table["microseconds"].is_monotonic_decreasing
    assert loaded("segments").loc[0, "units"] > 0


def test_the_report_holds_the_estimate(loaded, tmp_path):
    loaded(f"report {tmp_path / 'report.html'}")
    text = (tmp_path / "report.html").read_text()
    assert "Estimated latency and DDR traffic" in text
    assert "Nothing here was measured" in text
