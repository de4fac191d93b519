"""The preprocess node in integers: colour conversion, mean and scale as one 1 x 1 convolution of ``pixel - 128``.

Its input has scale 1 (the vendor's tables print a threshold of 127 for it), weights are int8 per output channel as for
any convolution, and the output has the scale of the model's input. Arithmetic as everywhere in the emulator.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qworkbench.calibration.preprocess import Preprocess
from qworkbench.emulator import kernels
from qworkbench.numerics.arithmetic import Arithmetic, ConvGeometry, Requantize
from qworkbench.numerics.dtypes import QMAX, QMIN
from qworkbench.numerics.weights import quantize_weight


def preprocess_codes(
    declared: Preprocess,
    intermediate: np.ndarray,
    scale: float,
    dtype: str = "int8",
    arithmetic: Arithmetic | None = None,
    operators: Any = kernels,
) -> np.ndarray:
    """Return the codes of the model's input that the node writes.

    Parameters
    ----------
    declared : Preprocess
    intermediate : numpy.ndarray
        int8, (N, C, H, W), as :meth:`Preprocess.intermediate` gives it.
    scale : float
        Of the model's input.
    dtype : "int8" | "int16"
    arithmetic : Arithmetic, optional
    operators : module, optional
        :mod:`qworkbench.numerics.reference` gives the slow twin.

    Returns
    -------
    numpy.ndarray
        `dtype`, in the layout of the model's input.
    """
    arithmetic = arithmetic or Arithmetic()
    weight, bias = declared.affine()
    codes, steps = quantize_weight(weight.astype(np.float32)[:, :, None, None], 0)
    limits = np.iinfo(np.int32)
    offset = np.clip(np.rint(bias / steps.astype(np.float64)), limits.min, limits.max).astype(np.int32)
    rescale = Requantize(
        multiplier=np.asarray(steps / np.float32(scale), np.float64),
        dtype=dtype,
        low=QMIN[dtype],
        high=QMAX[dtype],
        rounding=arithmetic.rounding,
        kind=arithmetic.multiplier(dtype),
    )
    made, _ = operators.conv2d(intermediate, codes, offset, ConvGeometry((1, 1)), rescale)
    return declared.laid_out(made)
