"""The CPU's mean over the last axes by a kernel of our own, where it gives torch's bits: torch takes longer to call.

In which order torch adds depends on its version and on the processor. So it is found by trying: numbers whose sums
differ with the order are averaged by torch and by ours, and ours is used for a length where all agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from math import prod
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.vector.means import LANES_OF, SUMS, means

VECTORS = 16 * SUMS  # from here on torch adds in levels
TRIALS = 256
FLOAT = np.dtype(np.float32)


@cache
def _lanes(length: int) -> int | None:
    """Return the lanes in which torch adds so many adjacent numbers; None where it does otherwise."""
    import torch

    random = np.random.default_rng(length)
    trials = random.normal(size=(TRIALS, length)) * np.exp2(random.integers(-12, 12, (TRIALS, length)))
    tried = trials.astype(FLOAT)
    with torch.no_grad():
        expected = torch.from_numpy(tried).mean(1).numpy().view(np.int32)
    for lanes in (n for n in LANES_OF if n <= length < VECTORS * n):
        if np.array_equal(means(tried, expected.shape, length, lanes).view(np.int32), expected):
            return lanes
    return None


def mean_of(attrs: Mapping[str, Any], shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray | None] | None:
    """Return what computes a ReduceMean of arrays of `shape`, None for those it does not; None where torch must.

    Parameters
    ----------
    attrs : Mapping
        Of the node: ``axes`` and ``keepdims``.
    shape : tuple of int
    """
    rank = len(shape)
    axes = sorted(axis + rank if axis < 0 else axis for axis in attrs.get("axes") or ())
    if not axes or axes != list(range(axes[0], rank)) or axes[0] < 0:
        return None
    outer, length = shape[: axes[0]], prod(shape[axes[0] :])
    if prod(outer) < 2 or not length:  # torch splits a single sum among its threads
        return None
    lanes = _lanes(length)
    if lanes is None:
        return None
    to = outer + (1,) * len(axes) if attrs.get("keepdims", True) else outer
    return lambda x: means(x, to, length, lanes) if x.dtype == FLOAT and x.flags.c_contiguous else None
