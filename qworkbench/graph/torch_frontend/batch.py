"""Finding what follows the batch: two traces at batch 2 and 3, compared number by number.

A number that is ``2 k`` in one and ``3 k`` in the other is ``Sym(k)``; any other difference means that the program
itself depends on the batch, which one graph cannot hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from qworkbench.graph.node import Sym
from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.ledger import View
from qworkbench.graph.torch_frontend.trace import Call, Trace, TracedValue

FIRST, SECOND = 2, 3


class BatchMismatchError(Exception):
    """The two traces differ in more than sizes that grow with the batch."""


def _merge(a: Any, b: Any, where: str) -> Any:
    if isinstance(a, Slot) or isinstance(b, Slot) or isinstance(a, torch.Tensor):
        if isinstance(a, Slot) and a != b:
            raise BatchMismatchError(f"{where}: {a} and {b}")
        return a
    if isinstance(a, bool) or not isinstance(a, int):
        return _merge_tree(a, b, where)
    if not isinstance(b, int) or isinstance(b, bool):
        raise BatchMismatchError(f"{where}: {a} and {b}")
    if a == b:
        return a
    if a % FIRST == 0 and b % SECOND == 0 and a // FIRST == b // SECOND:
        return Sym(a // FIRST)
    raise BatchMismatchError(f"{where}: {a} at batch {FIRST}, {b} at batch {SECOND}")


def _merge_tree(a: Any, b: Any, where: str) -> Any:
    if type(a) is not type(b):
        raise BatchMismatchError(f"{where}: {type(a).__name__} and {type(b).__name__}")
    if isinstance(a, (tuple, list)):
        if len(a) != len(b):
            raise BatchMismatchError(f"{where}: {len(a)} and {len(b)} items")
        merged = [_merge(x, y, where) for x, y in zip(a, b, strict=True)]
        return type(a)(*merged) if hasattr(a, "_fields") else list(merged) if isinstance(a, list) else tuple(merged)
    if isinstance(a, dict):
        if list(a) != list(b):
            raise BatchMismatchError(f"{where}: keys {list(a)} and {list(b)}")
        pairs = {key: _merge(a[key], b[key], where) for key in a}
        return pairs if type(a) is dict else type(a)(pairs)
    if isinstance(a, slice):
        return slice(*(_merge(getattr(a, k), getattr(b, k), where) for k in ("start", "stop", "step")))
    if isinstance(a, View):
        return a
    if isinstance(a, (float, str, bool)) and a != b:
        raise BatchMismatchError(f"{where}: {a} and {b}")
    return a


def _merge_value(a: TracedValue, b: TracedValue) -> TracedValue:
    where = f"shape of {a.name or 'a tensor'}"
    if a.kind != b.kind or a.dtype != b.dtype or len(a.shape) != len(b.shape):
        raise BatchMismatchError(where)
    if a.tensor is not None and a.shape != b.shape:
        raise BatchMismatchError(f"a stored tensor has shape {a.shape} at batch {FIRST}, {b.shape} at batch {SECOND}")
    return replace(a, shape=tuple(_merge(x, y, where) for x, y in zip(a.shape, b.shape, strict=True)))


def _merge_call(a: Call, b: Call) -> Call:
    if (a.name, a.fn) != (b.name, b.fn):
        raise BatchMismatchError(f"{a.name} ({a.fn}) and {b.name} ({b.fn})")
    return replace(
        a,
        args=_merge(a.args, b.args, a.name),
        kwargs=_merge(a.kwargs, b.kwargs, a.name),
        result=_merge(a.result, b.result, a.name),
    )


def merged(a: Trace, b: Trace) -> Trace:
    """Return one trace with symbolic batch out of `a` (batch 2) and `b` (batch 3).

    Raises
    ------
    BatchMismatchError
        Naming the first call or shape whose difference is not a multiple of the batch.
    """
    if len(a.calls) != len(b.calls) or len(a.values) != len(b.values):
        raise BatchMismatchError(f"{len(a.calls)} calls at batch {FIRST}, {len(b.calls)} at batch {SECOND}")
    return replace(
        a,
        values=[_merge_value(x, y) for x, y in zip(a.values, b.values, strict=True)],
        calls=[_merge_call(x, y) for x, y in zip(a.calls, b.calls, strict=True)],
        result=_merge(a.result, b.result, "the result"),
    )
