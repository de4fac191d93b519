"""One unit of a plan alone, on float inputs: what it adds to the error by itself.

Its inputs are the float values as its own codes hold them, so the result shows this op's arithmetic and the rounding of
what it reads, and nothing that came before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

import qworkbench.emulator.kernels as ops
from qworkbench.emulator.steps import run_step

if TYPE_CHECKING:
    from qworkbench.emulator.plan import Plan, Step
    from qworkbench.numerics.arithmetic import Rounding


def value_of(key: str) -> str:
    """Return the canonical value that a key of a plan stands for."""
    return key.split(">", maxsplit=1)[0].rsplit("@", 1)[0]


def run_alone(
    plan: Plan, steps: Sequence[Step], reference: Mapping[str, np.ndarray], batch: int, rounding: Rounding
) -> dict[str, np.ndarray] | None:
    """Return every key that `steps` (of one unit) make from float inputs; None where an input has no float value.

    Parameters
    ----------
    plan : Plan
    steps : sequence of Step
        In order.
    reference : Mapping of str to numpy.ndarray
        Float values by canonical name.
    batch : int
    rounding : str
        Of the inputs' codes.
    """
    made: dict[str, np.ndarray] = {}
    for step in steps:
        inputs = []
        for key in step.inputs:
            if key in made:
                inputs.append(made[key])
                continue
            value = reference.get(value_of(key))
            if value is None:
                return None
            quantity = plan.quantities.get(key)
            if quantity is None:
                inputs.append(np.ascontiguousarray(value))
                continue
            if quantity.dtype == "int32":
                return None
            scale = quantity.scale if quantity.per_channel else quantity.scale[0]
            inputs.append(ops.quantize(np.ascontiguousarray(value, np.float32), scale, quantity.dtype, rounding))
        outcome = run_step(step, inputs, batch, ops)
        made.update(zip(step.outputs, outcome.outputs, strict=True))
    return made
