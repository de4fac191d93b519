"""int16 by int16 after conversion: the emulator's wide sum, which no accumulator of 32 bits could hold.

How the hardware holds that sum is not public; as in the emulator it is taken to be exact. Knows codes and scales only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.emulator import kernels
from qworkbench.emulator.fingerprint import Packed
from qworkbench.emulator.steps import STEPS
from qworkbench.numerics.arithmetic import Requantize


def is_dual(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether both operands are int16 codes."""
    return bool(a.dtype == np.int16 and b.dtype == np.int16)


def wide_sum(
    how: str,
    operands: list[np.ndarray],
    *,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    **geometry: Any,
) -> np.ndarray:
    """Return ``sum(q_x * q_w) + q_b`` in int64.

    Parameters
    ----------
    how : "conv" | "conv3d" | "gemm" | "matmul"
    operands : list of numpy.ndarray
        int16 codes: one, or two of a matmul.
    weight : numpy.ndarray, optional
        int16 codes.
    bias : numpy.ndarray, optional
        float64, (outputs,), in steps of the sum.
    """
    packed = None if weight is None else Packed(weight, b"")
    params = {"how": how, "weight": packed, "bias": None if bias is None else np.rint(bias), **geometry}
    return STEPS["wide"](kernels, params, operands, len(operands[0])).outputs[0]


def rescaled(sums: np.ndarray, requantize: Requantize, axis: int) -> np.ndarray:
    """Return the codes that wide sums become, by one multiplier or one per entry of `axis`."""
    params = {"requantize": requantize, "axis": axis}
    return STEPS["rescale_sum"](kernels, params, [sums], len(sums)).outputs[0]
