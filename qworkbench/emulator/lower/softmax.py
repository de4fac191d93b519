"""Softmax on the BPU: its public chain ReduceMax, Sub, Exp, ReduceSum, Reciprocal, Mul.

The exponential has threshold 1.0; the difference, the sum and its reciprocal have calibrated thresholds of their own
(``<name>.sub``, ``<name>.sum``, ``<name>.reciprocal``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qworkbench.emulator.lower.elementwise import product, reciprocal
from qworkbench.emulator.plan import Quantity
from qworkbench.numerics.dtypes import scale_from_threshold
from qworkbench.numerics.tables import build_table8, build_table16

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit


def softmax(builder: PlanBuilder, unit: Unit) -> None:
    """Lower a Softmax that run_on_bpu put on the BPU."""
    axes = (builder.graph.nodes[unit.anchor].attrs["axis"],)
    x, source = builder.codes_for(unit.inputs[0], unit)
    dtype = builder.quantity(unit.outputs[0]).dtype
    name = unit.name

    top = f"{name}.max@{source.dtype}"
    builder.add(f"{name}.max", name, "reduce_max", (x,), (top,), axes=axes, keepdims=True, requantize=None)

    shifted = builder.part_quantity(f"{name}.sub", dtype)
    ratio = float(builder.ratio(source, shifted)[0])
    below = f"{name}.sub@{dtype}"
    rescale = builder.requantize_to(1.0, shifted)
    builder.add(f"{name}.sub", name, "sub", (x, top), (below,), ratios=(ratio, ratio), requantize=rescale)

    unit_scale = scale_from_threshold(1.0, dtype, builder.arithmetic.scale_denominator)
    powers = Quantity(dtype, np.asarray([unit_scale], np.float32))
    raised = f"{name}.exp@{dtype}"
    rounding = builder.arithmetic.rounding
    if dtype == "int8":
        table = build_table8(np.exp, float(shifted.single), float(powers.single), dtype, rounding)
        builder.add(f"{name}.exp", name, "lut", (below,), (raised,), table=table, bits=8)
    else:
        wide = build_table16(np.exp, float(shifted.single), float(powers.single), rounding)
        builder.add(f"{name}.exp", name, "lut", (below,), (raised,), table=wide, bits=16)

    total = builder.part_quantity(f"{name}.sum", dtype)
    added = f"{name}.sum@{dtype}"
    into_sum = builder.requantize_to(builder.ratio(powers, total), total)
    builder.add(f"{name}.sum", name, "reduce_sum", (raised,), (added,), axes=axes, keepdims=True, requantize=into_sum)

    inverse = reciprocal(builder, unit, added, total, builder.part_quantity(f"{name}.reciprocal", dtype))
    product(builder, unit, f"{name}.mul", (raised, powers), inverse)
