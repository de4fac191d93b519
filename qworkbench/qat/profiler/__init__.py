"""Finding what loses accuracy in a prepared model: bad cases, layer by layer, sensitivity, the model check."""

from __future__ import annotations

from typing import Any

__all__ = ["QuantAnalysis", "check_qat_model"]


def __getattr__(name: str) -> Any:
    """Import on first use: preparing needs the check, and the check what preparing makes."""
    if name == "QuantAnalysis":
        from qworkbench.qat.profiler.model_profilerv2 import QuantAnalysis

        return QuantAnalysis
    if name == "check_qat_model":
        from qworkbench.qat.profiler.model_check import check_qat_model

        return check_qat_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
