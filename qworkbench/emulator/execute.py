"""Run a plan: compute only what no earlier run has computed, free what nobody needs any more.

Results are looked up by fingerprint first, so after an edit only the steps that it reaches run. Correctness rests on
fingerprints alone; there is no notion of "dirty".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as once
from operator import itemgetter
from types import ModuleType

import numpy as np

from qworkbench.emulator.cache import ResultCache, StepResult
from qworkbench.emulator.fingerprint import Chain, digest
from qworkbench.emulator.kernels.values import Value, value_of
from qworkbench.emulator.plan import Plan, Step
from qworkbench.emulator.prints import link_steps
from qworkbench.emulator.running import Runner
from qworkbench.emulator.segment import Played, Segment
from qworkbench.emulator.tape import tape_of
from qworkbench.errors import Cancelled

AMPLE = 256 * 1024**2  # a cache that holds less keeps results one by one, not with all that ran together


@dataclass
class Execution:
    """What a run gave.

    Attributes
    ----------
    arrays : dict of str to numpy.ndarray
        The wanted keys.
    computed : tuple of str
        Names of the steps that ran, in order; all others came from the cache.
    overflow : dict of str to int
        Units whose int32 accumulator overflowed, now or when it was computed, with the number of elements.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    computed: tuple[str, ...] = ()
    overflow: dict[str, int] = field(default_factory=dict)


def feed_prints(feeds: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Return the fingerprint of every model input by name; the only one that reads a whole tensor."""
    return {name: digest("feed", array) for name, array in feeds.items()}


def fingerprints(
    plan: Plan,
    feeds: Mapping[str, np.ndarray],
    known: Mapping[str, bytes] | None = None,
    chain: Chain | None = None,
) -> dict[str, bytes]:
    """Return the fingerprint of every key of `plan` on these `feeds`.

    `known` is what :func:`feed_prints` returned; `chain` remembers links between one plan and the next.
    """
    found = dict(feed_prints(feeds) if known is None else known)
    link_steps(found, plan.steps, plan.batch_of(feeds), (chain or Chain()).link)
    return found


def execute(
    plan: Plan,
    feeds: Mapping[str, np.ndarray],
    wanted: Collection[str],
    cache: ResultCache,
    *,
    prints: Mapping[str, bytes] | None = None,
    on_result: Callable[[str, Value], None] | None = None,
    on_step: Callable[[Step, int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    backend: ModuleType | None = None,
    together: bool = True,
) -> Execution:
    """Compute the `wanted` keys of `plan`.

    Parameters
    ----------
    plan : Plan
    feeds : Mapping of str to numpy.ndarray
        Model inputs by name.
    wanted : collection of str
    cache : ResultCache
        Read and filled.
    prints : Mapping, optional
        As :func:`fingerprints` returns them, where the caller has them already.
    on_result : callable, optional
        Receives (key, :class:`~qworkbench.emulator.kernels.values.Value`) for each wanted key as soon as it is there;
        arrays are then not collected in ``Execution.arrays``, so that memory stays flat.
    on_step : callable, optional
        Called for each computed step, in order, with (step, done, total); several may be done by then.
    cancelled : callable
        Asked between steps.
    backend : module, optional
        Who computes: :mod:`qworkbench.emulator.kernels` (default) or :mod:`qworkbench.numerics.reference`.
    together : bool
        Whether steps that ran before may run together, without Python in between; one by one, `on_step` sees the time
        of each.

    Raises
    ------
    Cancelled
    """
    prints = fingerprints(plan, feeds) if prints is None else prints
    ops = backend or _kernels()
    result = Execution()
    left = set(wanted)
    todo, held = _schedule(plan, left, prints, cache)
    computed: list[str] = []

    def deliver(key: str, value: Value) -> None:
        if on_result is not None:
            on_result(key, value)
        else:
            result.arrays[key] = value.array

    def deliver_all(step: Step, outcome: StepResult) -> None:
        if not left.isdisjoint(step.outputs):
            for key, value in zip(step.outputs, outcome.values, strict=True):
                if key in left:
                    deliver(key, value)

    def finished(step: Step, outcome: StepResult) -> None:
        cache.put(prints[step.outputs[0]], outcome)
        deliver_all(step, outcome)
        told((step,), (step.name,))

    def played(segment: Segment, results: Played) -> None:
        cache.put_together(prints, segment.firsts, results)
        for number, key in sorted((segment.keys[key], key) for key in left & segment.keys.keys()):
            deliver(key, results.value(number))
        told(segment.steps, segment.names)

    def told(steps: Sequence[Step], names: Sequence[str]) -> None:
        before = len(computed)
        computed.extend(names)
        if on_step is not None:
            for count, step in enumerate(steps, before + 1):
                on_step(step, count, len(todo))

    for key in sorted(left & set(feeds)):
        deliver(key, value_of(feeds[key]))
    for step, outcome in held:
        deliver_all(step, outcome)
    prepares = getattr(ops, "PACKS", False)
    with Runner(feeds, plan.batch_of(feeds), ops, finished, prepares, together, plan.margins) as runner:
        for step, outcome in held:
            runner.live.update(zip(step.outputs, outcome.values, strict=True))
        if together and prepares and len(todo) > 1 and not 0 < cache.max_bytes < AMPLE:
            _run_taped(plan, todo, runner, played, cancelled)
        else:
            _run(plan, todo, runner, cancelled)
    result.computed = tuple(computed)
    if cache.overflows:
        for step in plan.steps:
            overflow = cache.overflow(prints[step.outputs[0]])
            if overflow:
                result.overflow[step.unit] = overflow
    return result


@once
def _kernels() -> ModuleType:
    from qworkbench.emulator import kernels

    return kernels


def _run(plan: Plan, steps: Iterable[Step], runner: Runner, cancelled: Callable[[], bool]) -> None:
    """Run the steps in order."""
    for step in steps:
        _stop_if(cancelled)
        runner.run(step)
        for name in plan.unneeded[step]:
            runner.live.pop(name, None)
    runner.flush()


def _run_taped(
    plan: Plan,
    todo: Sequence[Step],
    runner: Runner,
    played: Callable[[Segment, Played], None],
    cancelled: Callable[[], bool],
) -> None:
    """Run the steps in order; from a tape where just these ran before, with inputs that lay alike."""
    layouts = (value.layout for _, value in sorted(runner.live.items(), key=itemgetter(0)))
    key = (runner.setting, *layouts, *map(id, todo))
    tape, new = tape_of(plan.tapes, key)
    if new is not None:
        runner.record(new, plan.outputs)
    for part in () if tape is None else tape.parts:
        _stop_if(cancelled)
        if isinstance(part, Segment):
            results = part.play(runner.live)
            if results is not None:
                played(part, results)
                continue
            plan.tapes.pop(key, None)  # it does not hold any more, or says that something is wrong
        _run(plan, part.steps if isinstance(part, Segment) else (part,), runner, cancelled)
    if tape is None:
        _run(plan, todo, runner, cancelled)
    if new is not None:
        plan.tapes[key] = new


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("the run was cancelled; results are those of the last finished run")


def _schedule(
    plan: Plan, wanted: set[str], prints: Mapping[str, bytes], cache: ResultCache
) -> tuple[Sequence[Step], list[tuple[Step, StepResult]]]:
    """Walk backwards from the wanted keys: which steps must run, and which results come from the cache."""
    if cache.lacks(prints.values()):
        return plan.way_to(wanted), []
    needed = set(wanted)
    todo: list[Step] = []
    held: list[tuple[Step, StepResult]] = []
    for step in reversed(plan.steps):
        if needed.isdisjoint(step.outputs):
            continue
        found = cache.get(prints[step.outputs[0]])
        if found is not None:
            held.append((step, found))
        else:
            todo.append(step)
            needed.update(step.inputs)
    return todo[::-1], held[::-1]
