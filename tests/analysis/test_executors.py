"""Beyond one machine: any executor gives what the serial run gives, and a worker that dies loses nothing."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import qworkbench as q
from qworkbench.analysis.spread import spread


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as local,
        Client(local) as client,
    ):
        yield client


@pytest.fixture(params=["threads", "dask"])
def executor(request):
    if request.param == "threads":
        with ThreadPoolExecutor(2) as pool:
            yield pool
    else:
        yield request.getfixturevalue("cluster").get_executor()


def test_bad_cases_sensitivity_and_mixed_precision_equal_the_serial_run(wb, samples, executor):
    batches = [samples[k : k + 3] for k in range(0, 12, 3)]
    serial, spread_out = wb.bad_cases(batches), wb.bad_cases(batches, executor=executor)
    pd.testing.assert_frame_equal(serial.indices, spread_out.indices)
    pd.testing.assert_frame_equal(serial.values, spread_out.values)
    table = wb.sensitivity(samples, budget=200_000)
    wb.forget()
    there = wb.sensitivity(samples, budget=200_000, executor=executor)
    pd.testing.assert_frame_equal(table, there)
    target = (wb.run(samples).table.cosine.min() + 1) / 2
    here = wb.mixed_precision(target, samples, tables=table)
    away = wb.mixed_precision(target, samples, tables=table, executor=executor)
    pd.testing.assert_frame_equal(here.trials, away.trials)
    assert here.edits == away.edits


def test_rows_stream_and_bad_cases_go_on_from_where_they_stopped(wb, samples, executor):
    tables = []
    wb.sensitivity(samples, budget=200_000, on_rows=tables.append, executor=executor)
    assert len(tables) > 1
    whole = wb.bad_cases(samples)
    part = wb.bad_cases(samples, limit=5, executor=executor)
    assert part.seen == 5
    assert wb.bad_cases(samples, resume=part, executor=executor).indices.equals(whole.indices)


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(wb, samples, cluster):
    serial = wb.bad_cases(samples).values
    killed = threading.Event()
    first = next(iter(cluster.run(os.getpid).values()))

    def stream():
        for number, sample in enumerate(samples):
            if number == 4:
                os.kill(first, signal.SIGKILL)
                killed.set()
            yield sample[None]

    found = wb.bad_cases(stream(), executor=cluster.get_executor())
    assert killed.is_set()
    assert found.finished
    pd.testing.assert_frame_equal(found.values, serial)


def die_once(part):
    path, number = part
    if number == 2 and not Path(path).exists():
        Path(path).touch()
        os._exit(1)
    return number * number


def test_a_process_pool_that_breaks_is_finished_here(tmp_path):
    import multiprocessing

    parts = [(str(tmp_path / "died"), number) for number in range(6)]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = dict(spread(die_once, parts, pool))
    assert found == {number: number * number for number in range(6)}


def test_a_users_evaluation_travels(wb, mixed_model, samples, executor, tmp_path):
    expected = mixed_model(samples[:4])[0].detach().numpy()
    images = samples[:4].clone()

    def agreement(run):
        import os as operating

        (tmp_path / str(operating.getpid())).touch()
        return -float(abs(run(images)[0].numpy() - expected).mean())

    tables = wb.sensitivity(samples)
    target = agreement(wb.emulate) * 0.8
    here = wb.mixed_precision(target, samples, tables=tables, evaluate=agreement)
    away = wb.mixed_precision(target, samples, tables=tables, evaluate=agreement, executor=executor)
    pd.testing.assert_frame_equal(here.trials, away.trials)
    assert here.edits == away.edits
    there = {int(path.name) for path in tmp_path.iterdir()} - {os.getpid()}
    assert bool(there) == (not isinstance(executor, ThreadPoolExecutor))


def test_an_evaluation_that_cannot_be_pickled_runs_here(wb, samples):
    import multiprocessing

    def constant(run):
        return float(run(samples[:1])[0].abs().mean())

    tables = wb.sensitivity(samples[:2])
    here = wb.mixed_precision(1e9, samples[:2], tables=tables, evaluate=constant)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        away = wb.mixed_precision(1e9, samples[:2], tables=tables, evaluate=constant, executor=pool)
    pd.testing.assert_frame_equal(here.trials, away.trials)


def test_what_is_no_executor_and_errors_of_the_analysis_are_told(wb, samples):
    with pytest.raises(q.QWorkbenchError, match=r"concurrent\.futures\.Executor"):
        wb.sensitivity(samples, executor="dask")

    def broken(a, b):
        raise ZeroDivisionError("no")

    with ThreadPoolExecutor(1) as pool, pytest.raises(q.QWorkbenchError, match="broken"):
        wb.sensitivity(samples[:2], metric=broken, executor=pool)
    with ThreadPoolExecutor(1) as pool:
        assert not wb.bad_cases(samples, executor=pool, cancelled=lambda: True).finished
