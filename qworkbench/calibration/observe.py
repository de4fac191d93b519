"""Run a calibration set through the float graph and keep a sketch of every activation.

Memory does not grow with the number of samples: activations are freed as soon as no later op reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.calibration.internals import internals_of
from qworkbench.calibration.method import Statistics
from qworkbench.calibration.preprocess import Preprocess
from qworkbench.calibration.rectified import Rectified
from qworkbench.calibration.sketch import Sketch
from qworkbench.errors import CalibrationError, Cancelled
from qworkbench.graph.batching import is_dynamic
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.fusion import find_fusions
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, Sym

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int | None], None]
LARGEST_BATCH, BATCH_BYTES = 32, 2 << 20
INNER_STEP = 8
"""Of the values in front of a folded batch normalisation each eighth one is counted: they have no threshold until an
edit parts the two."""


def collect(
    graph: Graph,
    batches: Iterable[Any],
    *,
    per_channel: bool = False,
    apart: Collection[str] = (),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Statistics:
    """Observe every float activation of `graph` over `batches`.

    Parameters
    ----------
    graph : Graph
    batches : iterable
        Each item is what the model takes: a tensor or array, a tuple, or a dict by input name.
    per_channel : bool
        Keep histograms per channel of every rank-4 value. Without it they are kept only where a convolution reads,
        which is where thresholds per channel can take effect; a unit conv inserted later adds such places.
    apart : collection of str
        Operators that run as pieces by the choice of a parameter, whose inner tensors are watched then.
    progress : callable, optional
        Called with (batches done, None or total).
    cancelled : callable
        Asked between nodes.

    Raises
    ------
    CalibrationError
        Empty set, wrong shape, NaN or infinite values (with the batch's number), an activation that becomes NaN. One
        that becomes infinite (a mask in front of a Softmax) only has no threshold.
    Cancelled
    """
    import torch

    sketches: dict[str, Sketch] = {}
    inner = internals_of(graph, apart)
    fine = {n.inputs[0] for n in graph.nodes if n.op == "Conv"}
    first: dict[str, np.ndarray] = {}
    samples = 0
    total = len(batches) if isinstance(batches, Sized) else None

    follow = {
        name: (made, Rectified(ceiling, channels=len(graph.values[name].shape) == 4 and (per_channel or made in fine)))
        for name, (made, ceiling) in rectified_values(graph).items()
    }
    inside = _before_normalisation(graph)
    skipped = {made for made, _ in follow.values()}

    def observe(name: str, tensor: torch.Tensor) -> None:
        if not tensor.is_floating_point():
            return
        if name not in skipped:
            array = tensor.detach().to(torch.float32).numpy()
            channels = array.ndim == 4 and (per_channel or name in fine)
            rectified = follow[name][1] if name in follow else None
            step = INNER_STEP if name in inside else 1
            sketches.setdefault(name, Sketch()).update(array, channels=channels, rectified=rectified, step=step)
        for part, function in inner.get(name, ()):
            sketches.setdefault(part, Sketch()).update(function(tensor.detach()).to(torch.float32).numpy())

    def on_node(node: Node, outputs: tuple[torch.Tensor, ...]) -> None:
        if cancelled():
            raise Cancelled("calibration was cancelled; the thresholds are as before")
        for name, tensor in zip(node.outputs, outputs, strict=True):
            observe(name, tensor)

    # the weights do not change while the data passes, and to look them up costs as much as a small operator
    read = {v for n in graph.nodes for v in n.inputs if v is not None and not graph.is_activation(v)}
    weights = {name: graph.tensor(name) for name in read}
    count = 0
    for count, item in enumerate(batches, start=1):
        feeds = feeds_of(graph, item)
        for name, tensor in feeds.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise CalibrationError(
                    f"calibration batch {count} holds NaN or infinite values in input {name!r}; remove or repair them"
                )
            observe(name, tensor)
        first = first or _first_sample(graph, feeds)
        samples += int(next(iter(feeds.values())).shape[0]) if graph.inputs else 0
        run_float(graph, feeds, keep=(), env=weights, on_node=on_node)
        if progress is not None:
            progress(count, total)
    for name, parts in inner.items():
        if not graph.is_activation(name):
            for part, function in parts:
                sketches.setdefault(part, Sketch()).update(function(graph.tensor(name).detach().float()).numpy())
    for sketch in sketches.values():
        sketch.settle()
    for name, (made, rectified) in follow.items():
        if name in sketches:
            sketches[made] = rectified.sketch(sketches[name])
    if count == 0 or samples == 0:
        raise CalibrationError("the calibration set is empty; give at least one sample (10 to 100 are usual)")
    for name, sketch in sketches.items():
        if sketch.has_nan:
            raise CalibrationError(f"{name!r} becomes NaN on the calibration data; repair the model or the data first")
    return Statistics(sketches, samples, first=first)


def rectified_values(graph: Graph) -> dict[str, tuple[str, float]]:
    """Map each float value to (the Relu or Clip from 0 that reads it, its ceiling), one for each value at most."""
    found: dict[str, tuple[str, float]] = {}
    for node in graph.nodes:
        source = node.inputs[0]
        if node.op not in ("Relu", "Clip") or source is None or not graph.is_activation(source):
            continue
        if graph.values[source].dtype != "float32" or graph.values[node.output].dtype != "float32":
            continue
        low, high = (0.0, float("inf")) if node.op == "Relu" else (node.attrs.get("min"), node.attrs.get("max"))
        if low == 0 and len(node.inputs) == 1 and (high is None or high > 0):
            found.setdefault(source, (node.output, float("inf") if high is None else float(high)))
    return found


def _before_normalisation(graph: Graph) -> set[str]:
    """Return the values between a convolution and the batch normalisation that is folded into it."""
    found: set[str] = set()
    for group in find_fusions(graph):
        for name in group.members[: group.members.index(group.bn)] if group.bn is not None else ():
            found.update(graph.nodes[name].outputs)
    return found


def _first_sample(graph: Graph, feeds: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in feeds.items():
        cut = tuple(slice(d.factor) if isinstance(d, Sym) else slice(None) for d in graph.values[name].shape)
        found[name] = np.array(tensor[cut].numpy())
    return found


def batches_of(
    data: Any,
    graph: Graph | None = None,
    *,
    batch_size: int | None = None,
    inputs: Mapping[str, Preprocess] | None = None,
) -> Iterable[Any]:
    """Turn what users call calibration data into an iterable of batches.

    One tensor or array of shape (samples, ...) is cut into batches of `batch_size`: by default as many samples as
    `graph` takes where its batch is fixed, else up to 32 and 2 MB, since the activations of large batches leave the
    processor's cache. A list, tuple, DataLoader or
    generator is taken item by item, and an item that is a (data, label) pair of a labelled data set must be unpacked
    by the caller. A str or Path is a folder, read sample by sample for the inputs of `graph`, through the preprocessing
    of `inputs` (:func:`qworkbench.calibration.data.folder`).
    """
    import torch

    if data is None:
        raise CalibrationError("no calibration data; pass an array of samples or an iterable of batches")
    if isinstance(data, (np.ndarray, torch.Tensor)):
        if data.ndim == 0:
            raise CalibrationError("calibration data must have a batch axis, got a single number")
        return _Chunks(data, batch_size or _own_batch(graph) or _fitting(data))
    if graph is not None and isinstance(data, (str, Path)):
        from qworkbench.calibration.data import folder

        return folder(data, graph, inputs)
    if isinstance(data, (str, bytes, int, float)) or not hasattr(data, "__iter__"):
        raise CalibrationError(
            f"calibration data must be an array or an iterable of batches, got {type(data).__name__}"
        )
    if isinstance(data, dict):
        return [data]
    found: Iterable[Any] = data
    return found


def _own_batch(graph: Graph | None) -> int | None:
    """Return the samples that a model of fixed batch takes at once; None where it takes any number."""
    if graph is None or is_dynamic(graph):
        return None
    return next((graph.shape(name)[0] for name in graph.inputs if graph.shape(name)), None)


def _fitting(data: Any) -> int:
    sample = int(np.prod(data.shape[1:])) * int(data.itemsize)
    return max(1, min(LARGEST_BATCH, BATCH_BYTES // max(sample, 1)))


class _Chunks:
    """An array of samples, batch by batch, with a known length."""

    def __init__(self, data: Any, size: int) -> None:
        self._data, self._size = data, size

    def __len__(self) -> int:
        return (len(self._data) + self._size - 1) // self._size

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self._data), self._size):
            yield self._data[start : start + self._size]
