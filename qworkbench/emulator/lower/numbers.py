"""Codes beside a single number: int8 has 256 results then, which are a table.

The results come from the very function that computes two operands, so the codes are the same. Knows no operator.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qworkbench.emulator.plan import Quantity
from qworkbench.numerics.weights import constant_codes

if TYPE_CHECKING:
    from qworkbench.emulator.builder import PlanBuilder
    from qworkbench.placement.types import Unit

CODES = np.arange(-128, 128).astype(np.int8)


class Beside(NamedTuple):
    """Int8 codes beside a number.

    Attributes
    ----------
    key : str
        Of the codes.
    left, right : tuple of (numpy.ndarray, Quantity)
        Every int8 code there is, and the code of the number; in the order of the operands.
    number : 0 | 1
        Which of them the number is.
    """

    key: str
    left: tuple[np.ndarray, Quantity]
    right: tuple[np.ndarray, Quantity]
    number: int


def beside_a_number(builder: PlanBuilder, unit: Unit) -> Beside | None:
    """Return the operands of `unit`, where one is a constant of a single number and the other int8 codes."""
    graph = builder.graph
    values = graph.nodes[unit.anchor].inputs
    slot = next((slot for slot, value in enumerate(values) if not graph.is_activation(value)), None)
    if slot is None:
        return None
    number, other = values[slot], values[1 - slot]
    assert number is not None
    if not graph.is_activation(other) or prod(graph.shape(number)) != 1:
        return None
    assert other is not None
    if len(graph.shape(number)) > len(graph.shape(other)):
        return None  # the result has more axes than the codes
    key, quantity = builder.codes_for(builder.placement.canonical[other], unit)
    if quantity.dtype != "int8" or quantity.per_channel:
        return None
    dtype = builder.quantity(unit.outputs[0]).dtype
    code, scale = constant_codes(graph.tensor(number).detach().numpy().astype(np.float32).reshape(1), dtype)
    sides = [(CODES, quantity), (code, Quantity(dtype, np.asarray([scale], np.float32)))]
    left, right = sides if slot == 1 else sides[::-1]
    return Beside(key, left, right, slot)


def tabled(builder: PlanBuilder, unit: Unit, key: str, table: np.ndarray) -> None:
    """Append the step of `unit` as a lookup of the codes `key`; `table` holds the results of the codes from -128 up."""
    value = unit.outputs[0]
    target = builder.quantity(value)
    out = builder.add(unit.name, unit.name, "lut", (key,), (f"{value}@{target.dtype}",), table=table, bits=8)
    builder.set_codes(value, out, target)
