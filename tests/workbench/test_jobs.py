"""Long work on another thread: progress, cancel, the newest wins, and nothing is torn."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import qworkbench as q
from qworkbench.errors import Cancelled, EditError

LIMIT = 30


class Gate:
    """A listener that stops the worker at its first progress event until it is opened."""

    def __init__(self, wb):
        self.reached, self.opened, self.events = threading.Event(), threading.Event(), []
        wb.subscribe(self)

    def __call__(self, event, data):
        self.events.append(event)
        if event == "progress" and threading.current_thread().name == "qworkbench-worker" and not self.opened.is_set():
            self.reached.set()
            assert self.opened.wait(LIMIT)


def test_run_async_reports_progress_and_gives_the_run(wb):
    seen = []
    wb.subscribe(lambda event, data: seen.append((event, data)))
    job = wb.run_async()
    run = job.wait(LIMIT)
    assert run is wb.last_run
    assert (job.error, job.running, job.done) == (None, False, job.total)
    events = [event for event, _ in seen]
    assert events[0] == "running"
    assert events[-1] == "ran"
    progress = [data for event, data in seen if event == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == job.total > 5
    assert {data["node"] for data in progress} <= set(wb.graph.nodes.names())


def test_an_edit_is_answered_on_the_inputs_of_the_newest_run(wb):
    first = wb.run_again_async().wait(LIMIT)
    assert first.sample == wb.run().sample
    other = wb.run(-1 * wb.sample)
    wb.edit(q.FixScale("x", 0.05))
    again = wb.run_again_async().wait(LIMIT)
    assert again.sample == other.sample != first.sample
    assert again.inputs == other.inputs != first.inputs
    assert again.tables.metrics_before == other.metrics


def test_cancel_in_the_middle_leaves_the_last_run(wb):
    before = wb.run()
    wb.edit(q.FixScale("x", 0.05))
    gate = Gate(wb)
    job = wb.run_async()
    assert gate.reached.wait(LIMIT)
    assert wb.cancel()
    gate.opened.set()
    with pytest.raises(Cancelled, match="last finished run"):
        job.wait(LIMIT)
    assert wb.last_run is before
    assert gate.events[-1] == "cancelled"
    assert not wb.cancel()
    # what was computed before the cancel is not lost
    assert len(wb.run().computed) < before.steps


def test_a_newer_job_cancels_the_one_before(wb):
    gate = Gate(wb)
    first = wb.run_async()
    assert gate.reached.wait(LIMIT)
    wb.edit(q.FixScale("mix", 0.05))
    second = wb.run_async()
    gate.opened.set()
    assert second.wait(LIMIT).config == wb.config
    with pytest.raises(Cancelled):
        first.wait(LIMIT)
    assert wb.last_run is second.result


def test_a_job_that_was_overtaken_before_it_began_never_runs(wb):
    gate = Gate(wb)
    first = wb.run_async()
    assert gate.reached.wait(LIMIT)
    second, third = wb.run_async(), wb.run_async()
    gate.opened.set()
    third.wait(LIMIT)
    for job in (first, second):
        with pytest.raises(Cancelled):
            job.wait(LIMIT)
    assert gate.events.count("ran") == 1


def test_an_older_run_that_ends_later_does_not_replace_the_newer(wb):
    gate = Gate(wb)
    job = wb.run_async()
    assert gate.reached.wait(LIMIT)
    wb.edit(q.FixScale("mix", 0.05))
    newer = wb.run()
    gate.opened.set()
    older = job.wait(LIMIT)
    assert older.config != newer.config
    assert wb.last_run is newer
    assert not wb.stale


def test_a_failed_job_tells_the_listener_and_whoever_waits(wb):
    heard = []
    wb.subscribe(lambda event, data: heard.append((event, data)))
    job = wb.run_async("no image")
    with pytest.raises(q.QWorkbenchError, match="str"):
        job.wait(LIMIT)
    assert heard[-1][0] == "error"
    assert "str" in heard[-1][1]
    assert wb.last_run is None


def test_an_unexpected_error_reaches_the_listener_too(wb, monkeypatch):
    from qworkbench.workbench import running

    def broken(*_, **__):
        raise ZeroDivisionError("a fault of ours")

    heard = []
    wb.subscribe(lambda event, data: heard.append((event, data)))
    monkeypatch.setattr(running, "run_config", broken)
    with pytest.raises(ZeroDivisionError):
        wb.run_async().wait(LIMIT)
    assert heard[-1] == ("error", "a fault of ours")


def test_waiting_no_longer_than_asked(wb):
    gate = Gate(wb)
    job = wb.run_async()
    assert gate.reached.wait(LIMIT)
    with pytest.raises(TimeoutError):
        job.wait(0.01)
    gate.opened.set()
    job.wait(LIMIT)


def test_two_threads_that_edit_and_run_do_not_disturb_each_other(make_workbench):
    wb = make_workbench()
    expected = {}
    for scale in (0.05, 0.06, 0.07):
        lone = make_workbench()
        lone.edit(q.FixScale("mix", scale))
        expected[float(np.float32(scale))] = lone.run().outputs
    expected[None] = make_workbench().run().outputs
    start = threading.Barrier(3)

    def work(seed):
        rng = np.random.default_rng(seed)
        start.wait(LIMIT)
        for _ in range(12):
            if rng.random() < 0.3:
                # another thread may have taken the last step back already
                with contextlib.suppress(EditError):
                    wb.undo()
            else:
                wb.edit(q.FixScale("mix", float(rng.choice([0.05, 0.06, 0.07]))))
            run = wb.run()
            for name, array in expected[run.config.scales.get("mix")].items():
                np.testing.assert_array_equal(run.outputs[name], array)
            wb.node_details("mix")

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(work, seed) for seed in range(3)]:
            future.result(LIMIT)
    history = wb.history
    assert 0 <= history.cursor <= len(history.entries)
    assert wb.run().config == wb.config == history.config
