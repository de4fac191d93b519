"""What to do about a layer, from its figures: one sentence per finding, the gravest first.

Rules of the quantization accuracy tuning guide: a truncated range wants a fixed scale or more data, a range above 10
does not suit int8, a coarse grid wants int16, a shared module with different output ranges wants a copy. Knows figures
only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qworkbench.analysis.quantization_error import QuantizationError
from qworkbench.numerics.dtypes import QMAX

INT8_RANGE = 10.0  # the guide: above this maximum int8 is not recommended
COARSE_DB = 20.0  # noise above 1 % of the power
CHANNEL_DB = 10.0
SHARED_RATIO = 4.0


@dataclass(frozen=True, slots=True)
class SharedCalls:
    """Calls of one module whose float outputs have different ranges: node -> largest magnitude."""

    module: str
    largest: dict[str, float]

    @property
    def ratio(self) -> float:
        """Largest range over the smallest."""
        low = min(self.largest.values())
        return max(self.largest.values()) / low if low > 0 else math.inf


def advice_for(
    dtype: str,
    error: QuantizationError | None,
    *,
    shared: SharedCalls | None = None,
    overflow: int = 0,
    notes: Sequence[str] = (),
    pipeline: str = "",
) -> list[str]:
    """Return the findings about one tensor; empty for a healthy one.

    Parameters
    ----------
    dtype : str
        Of the emulated tensor.
    error : QuantizationError, optional
        Of its format on the float values; None for a float or int32 tensor.
    shared : SharedCalls, optional
        Where the module is called several times.
    overflow : int
        Accumulators that left the int32 range.
    notes : sequence of str
        Where a wish of the user was not followed, such as an int16 that fell back to int8.
    pipeline : str
        What :func:`qworkbench.analysis.inputs.audit_inputs` says of a model input.
    """
    found = [pipeline] if pipeline else []
    found += [f"wish not followed: {note}" for note in notes]
    if overflow:
        found.append(
            f"saturating accumulator: {overflow} sums left the int32 range; use int8 instead of int16 for input or "
            "weight, or split the channels"
        )
    if error is not None:
        found += _about_range(dtype, error)
    if shared is not None and shared.ratio > SHARED_RATIO:
        found.append(
            f"shared module: {shared.module!r} is called {len(shared.largest)} times and its output ranges differ by "
            f"{shared.ratio:.3g}; where one scale serves all calls (training plugin), give each call its own copy"
        )
    return found


def _about_range(dtype: str, error: QuantizationError) -> list[str]:
    found = []
    cut = error.truncation > error.rounding
    if cut:
        found.append(
            f"truncated: codes reach {error.limit:.4g}, the values {error.largest:.4g}, {error.truncated:.2%} are cut; "
            f"fix the scale at {error.largest / QMAX[dtype]:.6g} or calibrate with more data"
        )
    coarse_channels = error.channel_sqnr < CHANNEL_DB <= error.sqnr
    if coarse_channels:
        found.append(
            f"channel {error.loudest} is {error.spread:.3g} times the median channel, so the others get few codes "
            f"({error.channel_sqnr:.1f} dB); use int16, per-channel calibration, or rescale that channel"
        )
    if not cut and not coarse_channels and error.sqnr < COARSE_DB:
        found.append(
            f"resolution: rounding alone leaves {error.sqnr:.1f} dB; use int16"
            + (" or look for outliers that widen the range" if error.spread > SHARED_RATIO else "")
            if dtype == "int8"
            else f"resolution: rounding alone leaves {error.sqnr:.1f} dB although it is {dtype}; look for outliers"
        )
    if dtype == "int8" and max(error.limit, error.largest) > INT8_RANGE:
        found.append(f"range {max(error.limit, error.largest):.4g} is large for int8 (guide: at most 10); use int16")
    return found
