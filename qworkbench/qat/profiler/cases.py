"""The items of a data set on which two models differ most: searched, written and read."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qworkbench.analysis.distances import Distance, Metric, metrics_given
from qworkbench.analysis.worst import BadCases
from qworkbench.qat.errors import QATError
from qworkbench.qat.profiler.sensitivity import Progress

CASE_FILE = "all_badcase_info.pt"
Both = Callable[[Any], tuple[dict[str, Tensor], dict[str, Tensor]]]


def find_cases(
    items: Iterable[Any],
    both: Both,
    metrics: Sequence[Metric],
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[BadCases, dict[int, Any]]:
    """Return the worst items per output and metric, and these items by index.

    Parameters
    ----------
    items : iterable
    both : callable
        From an item to the float and the quantized outputs by name.
    metrics : sequence of Metric
    limit : int, optional
        Look at this many items.
    progress, cancelled : callable, optional

    Raises
    ------
    QATError
        If there is no item, no float output, or the two models' outputs differ in shape.
    """
    found: BadCases | None = None
    samples: dict[int, Any] = {}
    stopped = False
    for index, data in enumerate(items):
        stopped = cancelled()
        if stopped or (limit is not None and index >= limit):
            break
        ours, theirs = both(data)
        if found is None:
            found = BadCases(tuple(ours), tuple(metrics))
        for name in found.outputs:
            if ours[name].shape != theirs[name].shape:
                raise QATError(
                    f"output {name!r} has shape {tuple(ours[name].shape)} in float and {tuple(theirs[name].shape)} "
                    "quantized; remove post-processing such as non-maximum suppression"
                )
            distance = Distance()
            distance.add(ours[name].cpu().numpy(), theirs[name].cpu().numpy(), metrics)
            found.take(index, name, distance, {})
        found.seen = index + 1
        found.forget_others()
        samples[index] = data
        kept = {held for held, _ in found.found.values()}
        samples = {held: sample for held, sample in samples.items() if held in kept}
        if progress is not None:
            progress("bad cases", index + 1, limit or 0)
    if found is None:
        raise QATError("there is no item to compare; give a data loader or a list of inputs")
    if not found.outputs:
        raise QATError("the model has no float output to compare; return the scores before the post-processing")
    found.finished = not stopped
    return found, samples


def save_cases(path: Path, cases: BadCases | None, samples: dict[int, Any]) -> Path:
    """Write the bad cases and their samples; figures of user functions are left out."""
    info: dict[str, Any] = {"samples": samples}
    if cases is not None:
        named = [metric.name for metric in cases.metrics if metric.function is None]
        info |= {
            "outputs": list(cases.outputs),
            "metrics": named,
            "found": [[o, m, i, v] for (o, m), (i, v) in cases.found.items() if m in named],
            "seen": cases.seen,
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(info, path)
    return path


def load_cases(path: Path) -> tuple[BadCases | None, dict[int, Any]]:
    """Read what :func:`save_cases` wrote.

    Raises
    ------
    QATError
        If the file is missing or is none of ours.
    """
    try:
        info = torch.load(path, weights_only=True)
        samples = dict(info["samples"])
        if not info.get("metrics"):
            return None, samples
        found = {(str(o), str(m)): (int(i), float(v)) for o, m, i, v in info["found"]}
        cases = BadCases(tuple(info["outputs"]), metrics_given(info["metrics"]), found, int(info["seen"]), True)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise QATError(f"cannot read bad cases from {str(path)!r}: {error}; run auto_find_bad_case") from None
    return cases, samples
