"""Distances of every node of a run: ours in one pass, and torch's with as few temporaries as its operators allow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from qworkbench.analysis.metrics import Reference, compare_all
from qworkbench.emulator.kernels.values import value_of

Pair = tuple[np.ndarray, np.ndarray, float]
"""A float reference, int8 or int16 codes, their scale."""


def ours(pairs: list[Pair]) -> Callable[[], object]:
    """Return the work of measuring `pairs` as a workbench does: references are kept, results are places in memory."""
    given = [(Reference(a), value_of(codes), scale) for a, codes, scale in pairs]
    return lambda: compare_all(given)


def by_torch(pairs: list[Pair]) -> Callable[[], object]:
    """Return the work of measuring `pairs` by torch: cosine, L1, MSE, largest difference, SQNR."""
    given = [
        (torch.from_numpy(np.array(a, order="C")), torch.from_numpy(np.array(b, order="C")), s) for a, b, s in pairs
    ]

    def one(a: torch.Tensor, codes: torch.Tensor, scale: float) -> list[torch.Tensor]:
        b = codes * scale
        d = a - b
        size = d.abs()
        squares = torch.dot(d.reshape(-1), d.reshape(-1))
        energy = torch.dot(a.reshape(-1), a.reshape(-1))
        other = torch.dot(b.reshape(-1), b.reshape(-1))
        cosine = torch.dot(a.reshape(-1), b.reshape(-1)) / (energy * other).sqrt()
        return [cosine, size.mean(), squares / d.numel(), size.max(), 10 * torch.log10(energy / squares)]

    return lambda: [one(*pair) for pair in given]
