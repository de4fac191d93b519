"""The training side: the names of the training plugin's public API on this package's own numerics and kernels.

``import qworkbench.qat as horizon`` is the line that a reader of the plugin's documents changes.
"""

from __future__ import annotations

from qworkbench.qat import functional, march, nn, profiler, qat_mode, quantization, utils
from qworkbench.qat.dtype import qint8, qint16
from qworkbench.qat.errors import QATError
from qworkbench.qat.march import March, get_march, set_march
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization import qconfig

__all__ = [
    "March",
    "QATError",
    "QTensor",
    "functional",
    "get_march",
    "march",
    "nn",
    "profiler",
    "qat_mode",
    "qconfig",
    "qint8",
    "qint16",
    "quantization",
    "set_march",
    "utils",
]
