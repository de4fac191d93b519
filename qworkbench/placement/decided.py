"""What was decided about a value before placement is asked: by training, or by the whole of which this is a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Decided:
    """What the output of one op carries.

    Attributes
    ----------
    dtype : str
        ``"int8"``, ``"int16"``; ``"int32"`` for a high-precision output; ``"float16"``, ``"float32"``.
    scale : float or None
        Of the output; None where it has none.
    integer : bool
        Whether the op itself computes on integers.
    weight_scale : Tensor or None
        float32, (output channels,).
    weight_dtype : str or None
    """

    dtype: str
    scale: float | None = None
    integer: bool = True
    weight_scale: Tensor | None = None
    weight_dtype: str | None = None


FLOAT = Decided("float32", None, False)
