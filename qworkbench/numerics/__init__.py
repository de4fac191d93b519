"""The formulas of quantization: dtypes, scales, rounding, tables, and the slow reference operators.

Everything may import it; it imports numpy and nothing else of weight. The reference operators live in
:mod:`qworkbench.numerics.reference`, their fast twins in :mod:`qworkbench.emulator.kernels`.
"""

from __future__ import annotations

from qworkbench.numerics.arithmetic import Arithmetic, ConvGeometry, Multiplier, Requantize, Residual, Rounding
from qworkbench.numerics.dtypes import QMAX, QMIN, check_scale, scale_from_threshold
from qworkbench.numerics.resize import linear_index, nearest_index
from qworkbench.numerics.tables import SegmentTable, build_table8, build_table16
from qworkbench.numerics.weights import conv_multiplier, quantize_bias, quantize_weight

__all__ = [
    "QMAX",
    "QMIN",
    "Arithmetic",
    "ConvGeometry",
    "Multiplier",
    "Requantize",
    "Residual",
    "Rounding",
    "SegmentTable",
    "build_table8",
    "build_table16",
    "check_scale",
    "conv_multiplier",
    "linear_index",
    "nearest_index",
    "quantize_bias",
    "quantize_weight",
    "scale_from_threshold",
]
