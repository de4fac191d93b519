"""A prepared sum of products: packed weights, bias, multipliers and the places of pixels, as one row of parameters.

``acc = sum(x * w) + bias``, residual, one requantize; exact, since it is only prepared where a bound proves that no
int32 sum overflows. What is a convolution and what a linear layer is decided by the tables it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.calls import RESULT, Call, perform
from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.threads import thread_count
from qworkbench.emulator.kernels.values import Surface
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.emulator.kernels.vector.residual import split_ratio
from qworkbench.numerics.arithmetic import Requantize

INT32_LIMIT = 2**31
CHUNK_PIXELS = 96  # they stay in the first-level cache while the panels pass; whole tiles of every shape
WORD = 4  # bytes of a group
MOST_PIXELS = 2 * 12  # of any tile, and of the tile whose lines are fetched ahead
WORTH_A_THREAD = 1 << 25  # multiply-accumulates; below, waking a helper costs more than it saves


Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
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
            row[at.CHUNKS], row[at.PANEL_PARTS] = _chunks(int(row[at.COUNT]), int(row[at.PANELS]), threads)
        return Call(self.path.sweep, row, tuple(slots), threads > 1)

    def on(self, x: Surface, out: Surface, residual: Surface | None) -> tuple[Call, int]:
        """Compute from and to surfaces; returns the call, and how many sums left int32."""
        call = self.call(0 if residual is None else residual.itemsize)
        origins = (x.origin,) if residual is None else (x.origin, residual.origin)
        return call, int(perform(call, origins, out.origin)[at.OVERFLOW])


def _chunks(pixels: int, panels: int, threads: int) -> tuple[int, int]:
    """Return how many chunks, and into how many parts the panels are split."""
    slices = -(-pixels // CHUNK_PIXELS)
    if threads == 1:
        return (1 if slices <= 2 else slices), 1
    if slices >= 4 * threads:
        return slices, 1
    slices = min(slices, 2 * threads)
    parts = min(panels, max(1, 4 * threads // slices))
    return slices * parts, parts


def packed_weights(path: Path, dense: np.ndarray) -> np.ndarray:
    """Return (outputs, taps, length) codes as [panel][tap][group][channel][codes of a word], zero-padded."""
    outputs, taps, length = dense.shape
    groups = -(-length // path.per_word)
    wide, tail = path.panels(outputs)
    out = aligned((wide * path.channels + tail) * taps * groups * path.per_word, path.codes)
    done = 0
    for first, panels, channels in ((0, wide, path.channels), (wide * path.channels, 1, tail)):
        if not panels * channels:
            continue
        part = dense[first : first + panels * channels]
        room = np.zeros((panels * channels, taps, groups * path.per_word), path.codes)
        room[: len(part), :, :length] = part
        order = room.reshape(panels, channels, taps, groups, path.per_word).transpose(0, 2, 3, 1, 4)
        out[done : done + room.size].reshape(order.shape)[...] = order
        done += room.size
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
) -> Product:
    """Return the product of packed `weights`.

    Parameters
    ----------
    path : Path
    weights : numpy.ndarray
        From :func:`packed_weights`, of dense codes of this `shape`.
    start : numpy.ndarray
        int64 (outputs,): bias, less ``128 * sum(w)`` where the path shifts its pixels.
    reach : int
        Bound of ``|acc|``, residual included; < 2**31 where there is one part.
    rq, ratio
        Requantize, and the residual's ratio as float64 (1,) or (outputs,).
    tables
        Byte offset of each pixel's window; element offset of each output pixel; byte offset of each tap; byte offset
        of each panel's first input channel.
    parts
        In how many a sum is formed, from :func:`.parts.parts_that_fit`.
    """
    outputs, _, length = shape
    pixels, places, tap_offsets, shifts = tables
    mode = leaving_mode(rq, min(reach, INT32_LIMIT))
    wide, tail = path.panels(outputs)
    panels = wide + bool(tail)
    room = panels * path.channels
    bias = _line(room, np.int32)
    bias[:outputs] = start.astype(np.int32)  # modulo 2**32, as the sums are
    scale = _line(room, np.float64 if mode == at.INT16 else np.float32)
    if rq is not None and mode != at.INT32:
        scale[:outputs] = rq.multiplier
    ratios = np.zeros(room, np.float64)
    if ratio is not None:
        ratios[:outputs] = ratio
    split = split_ratio(ratios) if ratio is not None and mode == at.INT8 else None
    count = pixels.size  # the last tile computes its last pixel more than once
    pixels, places = (np.concatenate([t, np.repeat(t[-1:], MOST_PIXELS)]).astype(np.int64) for t in (pixels, places))
    reaches = (tap_offsets[:, None] + np.arange(-(-length // path.per_word)) * WORD).reshape(-1).astype(np.int64)
    shifts = shifts.astype(np.int64)
    row = np.zeros(at.WORDS, np.int64)
    addresses = {
        at.PIXELS: pixels,
        at.PLACES: places,
        at.REACHES: reaches,
        at.SHIFTS: shifts,
        at.WEIGHTS: weights,
        at.BIAS: bias,
        at.SCALE: scale,
        at.SIGN: sign(),
    }
    if ratio is not None:
        addresses[at.RATIO] = ratios
    if split is not None:
        addresses[at.WHOLE], addresses[at.PART] = split
    for slot, array in addresses.items():
        row[slot] = array.ctypes.data
    row[at.PARTS] = parts
    row[at.TURNS], row[at.REST] = divmod(reaches.size // parts, at.UNROLLED)
    row[at.PANELS], row[at.WIDE], row[at.TAIL] = panels, wide, tail
    row[at.PANEL_BYTES] = path.channels * reaches.size * path.per_word * weights.itemsize
    row[at.COUNT], row[at.CHANNELS], row[at.MODE] = count, outputs, mode
    row[at.PIXELS_OF_TILE] = path.pixels_for(count)
    row[at.CHUNKS], row[at.PANEL_PARTS] = _chunks(count, panels, 1)
    if rq is not None:
        row[at.LOW], row[at.HIGH] = rq.low, rq.high
    work = count * room * reaches.size * path.per_word
    return Product(path, row, mode, work, tuple(addresses.values()))


def _line(count: int, dtype: Any) -> np.ndarray:
    """Return zeros that no vector load meets across two cache lines."""
    made = aligned(count, dtype)
    made[:] = 0
    return made


@cache
def sign() -> np.ndarray:
    """Return a vector of the bits that turn an int8 code into ``code + 128``."""
    bits = aligned(LINE, np.uint8)
    bits[:] = 0x80
    return bits


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
