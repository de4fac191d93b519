"""A convolution that ran before runs again without asking anything twice.

Beside a weight lies the call that was last prepared for it. Where the next one has the very same parameters and reads a
feature map that lies as the last one did, only the addresses are new. Knows no kernel: what runs is a function of
surfaces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.isa import chosen
from qworkbench.emulator.kernels.surface import Surface, new_surface
from qworkbench.numerics.arithmetic import ConvGeometry, Requantize, Residual

Forms = dict[Any, Any]
KEY = "ready"
CODES = (np.dtype(np.int8), np.dtype(np.int16))
Run = Callable[[Surface, Surface, Surface | None], object]


class Ready:
    """A prepared call: what it was prepared for, by identity, and what it makes."""

    __slots__ = ("dtype", "isa", "kind", "margin", "parameters", "room", "run", "shape", "x_shape")

    def __init__(self, x: Surface, parameters: tuple[Any, ...], out: Surface, run: Run) -> None:
        self.x_shape, self.margin, self.dtype = x.inside, x.margin, x.dtype
        self.parameters, self.isa, self.run = parameters, chosen(), run
        self.shape, self.kind, self.room = out.inside, out.dtype, out.margin


def remember(
    forms: Forms | None,
    x: Surface,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None,
    out: Surface,
    run: Run,
) -> None:
    """Keep a call in `forms` beside its weight."""
    if forms is not None:
        ratio = None if residual is None else residual.ratio
        forms[KEY] = Ready(x, (w, bias, geometry, rq, ratio), out, run)


def run_again(
    forms: Forms,
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: ConvGeometry,
    rq: Requantize | None,
    residual: Residual | None,
) -> np.ndarray | None:
    """Return what the kept call makes of `x`; None where this is another call."""
    ready: Ready | None = forms.get(KEY)
    surface = x.base
    if ready is None or type(surface) is not Surface:
        return None
    parameters, shape = ready.parameters, x.shape
    if (
        parameters[0] is not w
        or parameters[1] is not bias
        or parameters[2] is not geometry
        or parameters[3] is not rq
        or shape != ready.x_shape
        or shape != surface.inside
        or surface.margin != ready.margin
        or x.strides != surface.seen
        or x.dtype is not ready.dtype
        or ready.isa != chosen()
    ):
        return None
    entering = None
    if residual is None:
        if parameters[4] is not None:
            return None
    else:
        codes = residual.codes
        entering = codes.base
        if (
            parameters[4] is not residual.ratio
            or type(entering) is not Surface
            or codes.shape != ready.shape
            or codes.shape != entering.inside
            or codes.strides != entering.seen
            or entering.margin != ready.room
            or codes.dtype not in CODES
        ):
            return None
    out = new_surface(ready.shape, ready.kind, ready.room)
    ready.run(surface, out.base, entering)  # type: ignore[arg-type]
    return out
