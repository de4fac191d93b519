"""A prepared sum of products: packed weights, bias, multipliers and the places of pixels, as one row of parameters.

``acc = sum(x * w) + bias``, residual, one requantize; exact, since it is only prepared where a bound proves that no
int32 sum overflows. What is a convolution and what a linear layer is decided by the tables it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qworkbench.emulator.kernels.surface import aligned
from qworkbench.emulator.kernels.threads import share, thread_count
from qworkbench.emulator.kernels.vector import tiles
from qworkbench.emulator.kernels.vector.paths import Path
from qworkbench.numerics.arithmetic import Requantize

INT32_LIMIT = 2**31
CHUNK_TILES = 8  # their pixels stay in the first-level cache while the panels pass
WORTH_A_THREAD = 1 << 25  # multiply-accumulates; below, waking a helper costs more than it saves
SIGN_BITS = 0x80808080


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

    def run(self, x: int, out: int, residual: tuple[int, int] | None = None) -> None:
        """Compute from and to these addresses; `residual` is the address of its codes and their size in bytes."""
        row = self.row.copy()
        row[tiles.X], row[tiles.OUT] = x, out
        if residual is not None:
            row[tiles.CODES], row[tiles.CODE_BYTES] = residual
        threads = thread_count() if self.work >= WORTH_A_THREAD else 1
        row[tiles.CHUNKS], row[tiles.PANEL_PARTS] = _chunks(int(row[tiles.TILES]), int(row[tiles.PANELS]), threads)
        share(self.path.sweep, row, threads)


def _chunks(count: int, panels: int, threads: int) -> tuple[int, int]:
    """Return how many chunks, and into how many parts the panels are split."""
    slices = 1 if count <= 2 * CHUNK_TILES and threads == 1 else -(-count // CHUNK_TILES)
    if threads == 1 or slices >= 4 * threads:
        return slices, 1
    slices = min(count, 2 * threads)
    parts = min(panels, max(1, 4 * threads // slices))
    return slices * parts, parts


def packed_weights(path: Path, dense: np.ndarray) -> np.ndarray:
    """Return (outputs, taps, length) codes as [panel][tap][group][channel][codes of a word], zero-padded."""
    outputs, taps, length = dense.shape
    panels, groups = -(-outputs // path.channels), -(-length // path.per_word)
    room = np.zeros((panels * path.channels, taps, groups * path.per_word), path.codes)
    room[:outputs, :, :length] = dense
    order = room.reshape(panels, path.channels, taps, groups, path.per_word).transpose(0, 2, 3, 1, 4)
    out = aligned(room.size, path.codes)
    out.reshape(order.shape)[...] = order
    return out


@dataclass(frozen=True, eq=False)
class Part:
    """A range of input channels whose sums fit int32, its weights and what is kept of them."""

    first: int
    last: int
    weights: np.ndarray
    forms: Forms = field(default_factory=dict, repr=False)


def parts_that_fit(w: np.ndarray, largest: int) -> tuple[Part, ...]:
    """Return ranges of axis 1 of `w`, each with ``largest * sum|w| < 2**31`` for every output; none where not even one.

    int16 codes against a long kernel can leave int32; the parts' sums are then added in int64.
    """
    magnitude = np.abs(w.astype(np.int64)).reshape(len(w), w.shape[1], -1).sum(axis=2)
    limit = (INT32_LIMIT - 1) // largest
    found, first, running = [], 0, np.zeros(len(w), np.int64)
    for channel in range(w.shape[1]):
        if int(magnitude[:, channel].max(initial=0)) > limit:
            return ()
        running = running + magnitude[:, channel]
        if int(running.max(initial=0)) > limit:
            found.append((first, channel))
            first, running = channel, magnitude[:, channel].copy()
    found.append((first, w.shape[1]))
    return tuple(Part(a, b, np.ascontiguousarray(w[:, a:b])) for a, b in found)


def leaving_mode(rq: Requantize | None, reach: int, residual: bool) -> int:
    """Return how results leave the tile; INT32 also where another kernel has to requantize them."""
    if rq is None or rq.rounding != "half_even":
        return tiles.INT32
    if rq.kind == "float64" and rq.dtype == "int16":
        return tiles.INT16
    if rq.kind == "float32" and rq.dtype == "int8" and reach * float(np.max(rq.multiplier)) < 2.0**30:
        return tiles.PACKED_AFTER_RESIDUAL if residual else tiles.PACKED
    return tiles.INT32


def prepared(
    path: Path,
    weights: np.ndarray,
    shape: tuple[int, int, int],
    start: np.ndarray,
    reach: int,
    rq: Requantize | None,
    ratio: np.ndarray | None,
    tables: Tables,
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
        Bound of ``|acc|``, residual included; < 2**31.
    rq, ratio
        Requantize, and the residual's ratio as float64 (1,) or (outputs,).
    tables
        Byte offset of each pixel's window; element offset of each output pixel; byte offset of each tap; byte offset
        of each panel's first input channel.
    """
    outputs, taps, length = shape
    pixels, places, tap_offsets, shifts = tables
    mode = leaving_mode(rq, reach, ratio is not None)
    panels = -(-outputs // path.channels)
    room = panels * path.channels
    bias = np.zeros(room, np.int32)
    bias[:outputs] = start.astype(np.int32)  # modulo 2**32, as the sums are
    scale = np.zeros(room, np.float64 if mode == tiles.INT16 else np.float32)
    if rq is not None and mode != tiles.INT32:
        scale[:outputs] = rq.multiplier
    ratios = np.zeros(room, np.float64)
    if ratio is not None:
        ratios[:outputs] = ratio
    count = -(-pixels.size // path.pixels)
    more = count * path.pixels - pixels.size  # the last tile computes its last pixel more than once
    pixels, places = (np.concatenate([t, np.repeat(t[-1:], more)]).astype(np.int64) for t in (pixels, places))
    tap_offsets, shifts = tap_offsets.astype(np.int64), shifts.astype(np.int64)
    row = np.zeros(tiles.WORDS, np.int64)
    addresses = {
        tiles.PIXELS: pixels,
        tiles.PLACES: places,
        tiles.TAPS: tap_offsets,
        tiles.SHIFTS: shifts,
        tiles.WEIGHTS: weights,
        tiles.BIAS: bias,
        tiles.SCALE: scale,
    }
    if ratio is not None:
        addresses[tiles.RATIO] = ratios
    for slot, array in addresses.items():
        row[slot] = array.ctypes.data
    row[tiles.TAP_COUNT], row[tiles.GROUPS] = taps, -(-length // path.per_word)
    row[tiles.PANELS], row[tiles.PANEL_BYTES] = panels, weights.nbytes // panels
    row[tiles.TILES], row[tiles.MODE], row[tiles.KIND] = count, mode, path.kind
    row[tiles.TAIL] = outputs - (panels - 1) * path.channels
    row[tiles.SIGN] = SIGN_BITS
    if rq is not None:
        row[tiles.LOW], row[tiles.HIGH] = rq.low, rq.high
    work = count * path.pixels * room * taps * int(row[tiles.GROUPS]) * path.per_word
    return Product(path, row, mode, work, tuple(addresses.values()))


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
