"""A prepared sum of products: packed weights, bias, multipliers and the places of pixels, as one row of parameters.

``acc = sum(x * w) + bias``, residual, one requantize; exact, since it is prepared only where a bound proves that no
int32 sum overflows, or where sums in parts are counted that may. What is a convolution and what a linear layer is
decided by the tables it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, perform
from qworkbench.emulator.kernels.slabs import lasting
from qworkbench.emulator.kernels.threads import thread_count
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.amx_layers import in_steps, tiles_frame
from qworkbench.emulator.kernels.vector.frames import Start, Tables, chunks_of, frame_of, line_of, started
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.numerics.arithmetic import Requantize

INT32_LIMIT = 2**31
WORTH_A_THREAD = 1 << 25  # multiply-accumulates; below, waking a helper costs more than it saves

Forms = dict[Any, Any]
KEPT = 6  # of a kind, beside a weight


@dataclass(frozen=True, eq=False)
class Product:
    """A row of parameters that lacks only the addresses of one call; `kept` holds the memory that it points into."""

    path: Path
    row: np.ndarray
    mode: int
    work: int
    kept: tuple[Any, ...] = field(repr=False)

    @property
    def fits(self) -> bool:
        """Tell whether no sum can leave int32."""
        return int(self.row[at.PARTS]) == 1

    def call(self, residual_bytes: int = 0) -> Call:
        """Return the call that lacks addresses: of x, the result and, where it has bytes, a residual's codes."""
        row, slots = self.row.copy(), [(at.X, 0, 0), (at.OUT, RESULT, 0)]
        if residual_bytes:
            row[at.CODE_BYTES] = residual_bytes
            slots.append((at.CODES, 1, 0))
        threads = thread_count() if self.work >= WORTH_A_THREAD else 1
        if threads > 1:
            row[at.CHUNKS], row[at.PANEL_PARTS] = self._chunks(threads)
        return Call(self.path.sweep, row, tuple(slots), threads > 1)

    def _chunks(self, threads: int) -> tuple[int, int]:
        """Return how many chunks there are for several threads, and into how many parts the panels are split."""
        panels, blocks = int(self.row[at.PANELS]), int(self.row[at.CHUNKS])
        if not self.path.transforms:
            return chunks_of(int(self.row[at.COUNT]), panels, threads, self.path.chunk)
        parts = min(panels, -(-4 * threads // blocks))
        return blocks * parts, parts

    def on(self, x: Surface, out: Surface, residual: Surface | None) -> tuple[Call, int]:
        """Compute from and to surfaces; returns the call, and how many sums left int32 or may with the residual."""
        call = self.call(0 if residual is None else residual.itemsize)
        origins = (x.origin,) if residual is None else (x.origin, residual.origin)
        return call, int(perform(call, origins, out.origin)[at.OVERFLOW])


def packed_weights(path: Path, dense: np.ndarray) -> np.ndarray:
    """Return (outputs, taps, length) codes as [panel][tap][group][channel][codes of a word], zero-padded.

    Or as the path's layout says.
    """
    if path.tiles:
        dense = in_steps(dense)
    outputs, taps, length = dense.shape
    groups = path.groups(taps, length)
    wide, tail = path.panels(outputs)
    if length < groups * path.per_word:
        room = np.zeros((outputs, taps, groups * path.per_word), path.codes)
        room[:, :, :length] = dense
        dense = room
    words = (
        np.ascontiguousarray(dense, path.codes).reshape(outputs, -1).view(np.uint32)
    )  # whole words are what changes places
    out = lasting((wide * path.channels + tail) * taps * groups * path.per_word, path.codes)
    into, done, row = out.view(np.uint32), 0, 0
    for channels in (*[path.channels] * wide, *[tail] * bool(tail)):
        part = words[row : row + channels]
        panel = into[done : done + channels * taps * groups].reshape(taps * groups, channels)
        panel[:, : len(part)] = part.T
        panel[:, len(part) :] = 0
        if path.layout == "codes":
            lines = panel.view(path.codes).reshape(taps * groups, channels, path.per_word)
            lines.reshape(taps * groups, path.per_word, channels)[...] = lines.swapaxes(1, 2).copy()
        elif path.layout == "steps":
            steps = panel.reshape(taps * groups // 2, 2, channels)
            steps.reshape(taps * groups // 2, channels, 2)[...] = steps.swapaxes(1, 2).copy()
        row, done = row + channels, done + panel.size
    return out


def leaving_mode(rq: Requantize | None, reach: int) -> int:
    """Return how results leave the tile; INT32 also where another kernel has to requantize them."""
    if rq is None or rq.rounding != "half_even" or reach * float(np.max(rq.multiplier)) >= 2.0**30:
        return at.INT32
    if rq.kind == "float64" and rq.dtype == "int16":
        return at.INT16
    if rq.kind == "float32" and rq.dtype == "int8":
        return at.INT8
    return at.INT32


def leaving(start: Start, reach: int, rq: Requantize | None) -> Product:
    """Return the product whose sums leave by `rq`; `reach` bounds ``|acc|``, < 2**31 where there is one part."""
    frame, row = start.frame, start.row.copy()
    mode = row[at.MODE] = leaving_mode(rq, min(reach, INT32_LIMIT))
    scale = line_of(frame.room, np.float64 if mode == at.INT16 else np.float32)
    if rq is not None:
        row[at.LOW], row[at.HIGH] = rq.low, rq.high
        if mode != at.INT32:
            scale[: frame.outputs] = rq.multiplier
    row[at.SCALE] = scale.ctypes.data
    split = start.split if mode == at.INT8 else None
    if split is not None:
        row[at.WHOLE], row[at.PART] = (part.ctypes.data for part in split)
    return Product(frame.path, row, mode, frame.work, (frame.kept, start.kept, scale, split))


def prepared(
    path: Path,
    weights: np.ndarray,
    shape: tuple[int, int, int],
    start: np.ndarray,
    reach: int,
    rq: Requantize | None,
    ratio: np.ndarray | None,
    tables: Tables,
    parts: int = 1,
    margin: int = 0,
) -> Product | None:
    """Return the whole product at once, where nothing of it will be met again; None where it does not fit tiles."""
    frame = (tiles_frame if path.tiles else frame_of)(path, weights, shape, tables, parts)
    return None if frame is None else leaving(started(frame, start, ratio, margin), reach, rq)


def remembered(forms: Forms | None, kind: str, key: Any, make: Callable[[], Any], anchors: tuple[Any, ...]) -> Any:
    """Return ``make()``, kept in `forms`; the last few of a `kind`, with the `anchors` whose ids are in `key`."""
    if forms is None:
        return make()
    held: dict[Any, Any] = forms.setdefault(kind, {})
    found = held.get(key)
    if found is None:
        found = held[key] = (make(), anchors)
        while len(held) > KEPT:
            held.pop(next(iter(held)), None)
    return found[0]
