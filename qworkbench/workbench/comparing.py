"""Nodes of a run set against their float references as results come in, many at a time.

A result waits until enough numbers are there for one pass over all of them; Python between two tensors would cost more
than a small tensor itself. Knows neither plan nor cache: results come by key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

import numpy as np

from qworkbench.analysis.metrics import Metrics, compare_all
from qworkbench.emulator.kernels.distance_sums import Reference
from qworkbench.emulator.kernels.lines import descending, memory_order
from qworkbench.emulator.kernels.rescale import dequantize
from qworkbench.emulator.kernels.surface import channels_last, is_surface
from qworkbench.emulator.kernels.values import Value
from qworkbench.workbench.stages import Compared

WAITING = 1 << 22  # numbers that wait at most; what waits stays alive
PATIENCE = 0.1  # seconds that the first of them waits: progress is told so often


class Comparing:
    """Distances of the nodes of one run.

    Parameters
    ----------
    waiting : Mapping of str to collection of Compared
        Nodes by the key of their result.
    references : dict of str to numpy.ndarray
        Float activations; those compared lie in memory as their results do from then on.
    kept : dict of str to Reference
        Those compared, for the next run on the same inputs.
    found : callable
        Told of (node, key, distances) in the order in which the results came.
    """

    def __init__(
        self,
        waiting: Mapping[str, Collection[Compared]],
        references: dict[str, np.ndarray],
        kept: dict[str, Reference],
        found: Callable[[Compared, Metrics], None],
    ) -> None:
        self._waiting, self._references, self._kept, self._found = dict(waiting), references, kept, found
        self._ready: list[tuple[Compared, Value]] = []
        self._numbers = 0
        self._since = 0.0

    def take(self, key: str, value: Value) -> None:
        """Take in the result of `key`, once."""
        if not self._ready:
            self._since = time.monotonic()
        for one in self._waiting.pop(key, ()):
            self._ready.append((one, value))
            self._numbers += value.count
        if self._numbers >= WAITING or time.monotonic() - self._since >= PATIENCE:
            self.finish()

    def finish(self) -> None:
        """Compare what waits."""
        ready, self._ready, self._numbers = self._ready, [], 0
        metrics = compare_all([self._pair(one, value) for one, value in ready])
        for (one, _), distances in zip(ready, metrics, strict=True):
            self._found(one, distances)

    def _pair(self, one: Compared, value: Value) -> tuple[np.ndarray | Reference, np.ndarray | Value, float | None]:
        other: np.ndarray | Value = value
        if one.quantity is not None and one.factor is None:
            other = _dequantized(value.array, one.quantity.scale, one.quantity.axis)
        kept = self._kept.get(one.twin)
        if kept is not None and kept.met(other):
            return kept, other, one.factor
        return self._beside(one.twin, other if isinstance(other, np.ndarray) else other.array), other, one.factor

    def _beside(self, value: str, array: np.ndarray) -> np.ndarray | Reference:
        """Return the reference of `value`, from now on with its axes in memory in the order of `array`."""
        found = self._references[value]
        if found.dtype != np.float32:
            return found
        if not _runs_alike(found.shape, found.strides, array.strides):
            if is_surface(array):
                found = channels_last(found)
            else:
                order = memory_order(array)
                found = np.ascontiguousarray(found.transpose(order)).transpose(np.argsort(order))
            self._references[value] = found
        self._kept[value] = Reference(found)
        return self._kept[value]


@lru_cache(4096)
def _runs_alike(shape: tuple[int, ...], strides: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Tell whether float32 numbers lie without gaps in the order in which axes of steps `others` lie."""
    step = 4
    for axis in descending(others)[::-1]:
        if shape[axis] != 1 and strides[axis] != step:
            return False
        step *= shape[axis]
    return True


def _dequantized(codes: np.ndarray, scale: np.ndarray, axis: int) -> np.ndarray:
    if scale.size == 1 or axis == 1:
        return dequantize(codes, scale)
    shape = [1] * codes.ndim
    shape[axis] = -1
    return np.asarray(codes.astype(np.float32) * scale.reshape(shape).astype(np.float32))
