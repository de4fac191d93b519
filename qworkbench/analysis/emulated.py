"""What the integer plan gives for any value of the graph, as real numbers.

The bridge between names of the graph and keys of a plan, for analyses that compare both sides. Results are not kept:
a stream of samples must not fill a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import Execution, execute

if TYPE_CHECKING:
    from qworkbench.emulator.plan import Plan, Quantity
    from qworkbench.placement.types import Placement


def real(codes: np.ndarray, quantity: Quantity | None) -> np.ndarray:
    """Return ``code * scale`` as float32; an array without quantity is real already."""
    if quantity is None:
        return codes
    shape = [1] * codes.ndim
    if quantity.per_channel:
        shape[quantity.axis] = -1
    scale = quantity.scale.astype(np.float32).reshape(shape if codes.ndim else ())
    return np.asarray(codes.astype(np.float32) * scale)


def key_of(plan: Plan, placement: Placement, value: str) -> str | None:
    """Return the key that holds `value` in `plan`: its float form where there is one, else its codes."""
    name = placement.canonical.get(value, value)
    made = {key for step in plan.steps for key in step.outputs}
    wanted = (name, *(f"{name}@{dtype}" for dtype in ("int8", "int16", "int32")))
    return next((key for key in wanted if key in made), None)


def emulate(
    plan: Plan,
    feeds: Mapping[str, np.ndarray],
    keys: Sequence[str],
    *,
    on_result: Callable[[str, np.ndarray], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Execution:
    """Run `plan` for `keys` without keeping anything beyond the call."""
    take = None if on_result is None else lambda key, value: on_result(key, value.array)
    return execute(plan, feeds, set(keys), ResultCache(0), on_result=take, cancelled=cancelled)
