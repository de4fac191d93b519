"""Where the time of an emulation goes: the steps of a plan by kind, timed while the whole network runs."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.emulator.plan import Plan, Step

LEAST_SHARE = 0.005  # of the whole; kinds below it are left out


def kind_of(step: Step) -> str:
    """Return what a step does, in a few words."""
    if step.kind == "torch":
        return f"torch {step.params['call'].value.node.op}"
    if step.kind != "conv":
        return step.kind
    geometry = step.params["geometry"]
    if step.params["transposed"]:
        return "conv transposed"
    return "conv grouped" if geometry.group > 1 else f"conv {geometry.kernel[0]}x{geometry.kernel[1]}"


def by_kind(
    name: str, plan: Plan, feeds: Mapping[str, np.ndarray], prints: Mapping[str, bytes], rounds: int, threads: int
) -> list[dict[str, Any]]:
    """Return one row per kind of step: how many there are, milliseconds (sum of medians), share of the whole."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = defaultdict(list)
    began = 0.0

    def on_step(step: Step, *_: int) -> None:
        nonlocal began
        times[step.name].append(clock() - began)
        began = clock()

    for _ in range(rounds):
        began = clock()
        execute(plan, feeds, set(plan.outputs), ResultCache(), prints=prints, on_step=on_step, together=False)
    kinds: dict[str, list[float]] = defaultdict(list)
    for step in plan.steps:
        if step.name in times:
            kinds[kind_of(step)].append(statistics.median(times[step.name]) * 1e3)
    whole = sum(sum(found) for found in kinds.values())
    return [
        {
            "network": name,
            "kind of step": kind,
            "steps": len(found),
            "ms": round(sum(found), 3),
            "us each": round(1e3 * sum(found) / len(found), 1),
            "share": f"{100 * sum(found) / whole:.1f} %",
        }
        for kind, found in sorted(kinds.items(), key=lambda item: -sum(item[1]))
        if sum(found) >= LEAST_SHARE * whole
    ]
