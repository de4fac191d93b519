"""float16 where a march has it: the precision and the range of half floats, computed in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from qworkbench.qat.dtype import FLOAT_NAMES, dtype_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization.observer import with_args
from qworkbench.qat.utils.quant_switch import recorded


class FakeCast(nn.Module):
    """Simulates float16: values are rounded to it and clamped to its range.

    Parameters
    ----------
    dtype : torch.dtype or str
        ``torch.float16``; ``float32`` leaves values alone.
    """

    _enabled = [True]  # noqa: RUF012 (one switch for all, as the API has it)
    with_args = with_args()

    def __init__(self, dtype: Any = torch.float16, **_: Any) -> None:
        super().__init__()
        self.dtype = dtype_name(dtype)
        if self.dtype not in FLOAT_NAMES:
            raise QATError(f"a FakeCast is to float16 or float32, got {self.dtype}; use FakeQuantize for integers")

    @classmethod
    def disable(cls) -> None:
        """Switch every fake cast off."""
        if not recorded(fake_cast_off):
            cls._enabled[0] = False

    @classmethod
    def enable(cls) -> None:
        """Switch every fake cast on."""
        if not recorded(fake_cast_on):
            cls._enabled[0] = True

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with the precision of the dtype."""
        if self.dtype == "float32" or not self._enabled[0]:
            return x
        top = torch.finfo(torch.float16).max
        rounded = x.detach().clamp(-top, top).half().to(x.dtype)
        return x + (rounded - x.detach())


@fx.node.has_side_effect
def fake_cast_off() -> None:
    """Switch every fake cast off; what a traced model calls."""
    FakeCast.disable()


@fx.node.has_side_effect
def fake_cast_on() -> None:
    """Switch every fake cast on; what a traced model calls."""
    FakeCast.enable()
