"""One operator at a time, as a ratio to torch fp32, onnxruntime fp32, onnxruntime QLinearConv and torch's engines.

    python benchmarks/kernels.py [--short] [--threads N] [--rounds N] [--json FILE]

Candidates run in turn within one run; a figure is the median over rounds of the ratio inside a round, against the
fastest layout of that peer. ``peak`` is the share of what the same dot instruction reaches on registers alone.
``floor`` is the time at that share 1 over onnxruntime's: the lowest ``/ort int8`` of a kernel that does every product;
Winograd's transforms leave out three of four.
``differs`` counts codes that differ from onnxruntime's, which requantizes by the same rule.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from peers import ort
from peers.peak import peak
from peers.report import arguments, prepare, report
from peers.timing import floor, interleaved, ratio

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels.calls import Prepared, clear_around, listening, noted
from qworkbench.emulator.kernels.queue import Queue
from qworkbench.emulator.kernels.script import Script, room_of
from qworkbench.emulator.kernels.surface import aligned, inside_of, pixel_pitch, surfaced
from qworkbench.emulator.kernels.values import Value, new_value, value_of
from qworkbench.numerics import ConvGeometry, Requantize

# name, channels in and out, kernel, stride, size of the image, group
SHAPES = [
    ("7x7s2 3-64 @224", 3, 64, 7, 2, 224, 1),
    ("3x3s2 3-32 @224", 3, 32, 3, 2, 224, 1),
    ("3x3 64-64 @56", 64, 64, 3, 1, 56, 1),
    ("3x3s2 64-128 @56", 64, 128, 3, 2, 56, 1),
    ("3x3 128-128 @28", 128, 128, 3, 1, 28, 1),
    ("3x3 256-256 @14", 256, 256, 3, 1, 14, 1),
    ("3x3 512-512 @7", 512, 512, 3, 1, 7, 1),
    ("1x1 64-256 @56", 64, 256, 1, 1, 56, 1),
    ("1x1 256-64 @56", 256, 64, 1, 1, 56, 1),
    ("1x1s2 256-512 @56", 256, 512, 1, 2, 56, 1),
    ("1x1 1024-256 @14", 1024, 256, 1, 1, 14, 1),
    ("1x1 512-2048 @7", 512, 2048, 1, 1, 7, 1),
    ("1x1 16-96 @112", 16, 96, 1, 1, 112, 1),
    ("1x1 144-24 @56", 144, 24, 1, 1, 56, 1),
    ("1x1 384-64 @14", 384, 64, 1, 1, 14, 1),
    ("1x1 960-160 @7", 960, 160, 1, 1, 7, 1),
    ("dw3 32 @112", 32, 32, 3, 1, 112, 32),
    ("dw3s2 96 @112", 96, 96, 3, 2, 112, 96),
    ("dw3 144 @56", 144, 144, 3, 1, 56, 144),
    ("dw3 384 @14", 384, 384, 3, 1, 14, 384),
    ("dw3 960 @7", 960, 960, 3, 1, 7, 960),
    ("dw5 240 @28", 240, 240, 5, 1, 28, 240),
    ("dw5s2 144 @56", 144, 144, 5, 2, 56, 144),
    ("3x3g32 128-128 @28", 128, 128, 3, 1, 28, 32),
]
SHORT = ("7x7s2 3-64 @224", "3x3 128-128 @28", "1x1 256-64 @56", "dw3 144 @56", "dw3s2 96 @112")
QLINEAR = ["onnxruntime int8", "onnxruntime int8 channels last"]


def engines(x: torch.Tensor, w: torch.Tensor, geometry: ConvGeometry) -> dict[str, Any]:
    """Return torch's quantized convolutions by engine, where this build has them."""
    found = {}
    codes = torch.quantize_per_tensor(x, 1 / 32, 128, torch.quint8).contiguous(memory_format=torch.channels_last)
    weights = torch.quantize_per_channel(
        w, torch.full((len(w),), 1e-3), torch.zeros(len(w), dtype=torch.long), 0, torch.qint8
    )
    for engine in ("onednn", "fbgemm"):
        if engine not in torch.backends.quantized.supported_engines:
            continue
        torch.backends.quantized.engine = engine
        try:
            packed = torch.ops.quantized.conv2d_prepack(
                weights, None, list(geometry.strides), list(geometry.pads[:2]), [1, 1], geometry.group
            )
            torch.ops.quantized.conv2d(codes, packed, 0.1, 128)
        except RuntimeError:
            continue
        found[f"torch {engine}"] = lambda packed=packed: torch.ops.quantized.conv2d(codes, packed, 0.1, 128)
    return found


def ours(*operands: Any) -> Callable[[], Any]:
    """Return our convolution as a network runs it from its third run on: only addresses are filled in."""
    x, w, bias, geometry, rq = operands
    with listening() as notes:
        found, _ = kernels.conv2d(x, w, bias, geometry, rq, forms={})
    prepared = noted(notes, (x,), (found,))
    del found
    if prepared is None:
        forms: dict[Any, Any] = {}
        return lambda: kernels.conv2d(x, w, bias, geometry, rq, forms=forms)[0]
    return Played(prepared, value_of(x))


class Played:
    """A prepared operation on one operand, played with operand and result in place, as they are to the peers.

    A network plays all its steps so, with one call of compiled code.
    """

    def __init__(self, prepared: Prepared, operand: Value) -> None:
        queue = Queue()
        queue.trace = []
        (made,) = queue.add(prepared, (operand,))
        assert made.layout is not None
        taken = queue.taken_down()
        self.room, self.operand, self.result = aligned(room_of(taken), np.uint8), operand, new_value(made.layout)
        clear_around(self.result)
        script = Script(taken, [(int(value is made), distance) for _, value, distance in taken.trace])
        self.work = partial(script.run, self.room.ctypes.data, (operand.origin, self.result.origin))

    def __call__(self) -> Value:
        """Compute."""
        self.work()
        return self.result


def case(shape: tuple[Any, ...], rounds: int, threads: int, most: float | None) -> dict[str, Any]:
    """Time one convolution everywhere."""
    name, inputs, outputs, k, stride, size, group = shape
    rng = np.random.default_rng(0)
    geometry = ConvGeometry((k, k), (stride, stride), (k // 2,) * 4, (1, 1), group)
    x = rng.integers(-128, 128, (1, inputs, size, size)).astype(np.int8)
    w = rng.integers(-128, 128, (outputs, inputs // group, k, k)).astype(np.int8)
    bias = rng.integers(-1000, 1000, outputs).astype(np.int32)
    multiplier = rng.uniform(0.5, 2.0, outputs) * 0.02 / np.sqrt(w[0].size)
    rq = Requantize(multiplier, "int8", -128, 127)
    inside = inside_of(surfaced(x, np.dtype(np.int8), k // 2 or 1, pixel_pitch(inputs)))  # as it leaves quantize
    real, real_w = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(w.astype(np.float32))
    real_b = torch.from_numpy(bias.astype(np.float32))
    last = real.contiguous(memory_format=torch.channels_last)
    conv = torch.nn.functional.conv2d
    candidates: dict[str, Any] = {
        "ours": ours(inside, w, bias, geometry, rq),
        "torch": lambda: conv(real, real_w, real_b, stride, k // 2, 1, group),
        "torch channels last": lambda: conv(last, real_w, real_b, stride, k // 2, 1, group),
        "onnxruntime": ort.float_conv(real.numpy(), real_w.numpy(), real_b.numpy(), geometry, threads),
        **engines(real / 128, real_w, geometry),
    }
    differs = 0
    for peer, channels_last in zip(QLINEAR, (False, True), strict=True):
        work, expected = ort.qlinear_conv(x, w, bias, multiplier, geometry, threads, last=channels_last)
        candidates[peer] = work
        differs += int(np.count_nonzero(expected != kernels.conv2d(inside, w, bias, geometry, rq)[0]))
    if inputs > 4 or group > 1:
        wide = x.astype(np.int16)
        wide_inside = inside_of(surfaced(wide, np.dtype(np.int16), k // 2 or 1))
        rq16 = Requantize(multiplier * 200, "int16", -32768, 32767, "half_even", "float64")
        candidates["ours int16"] = ours(wide_inside, w, bias, geometry, rq16)
    with torch.no_grad():
        times = interleaved(candidates, rounds, threads=threads)
    seconds = statistics.median(times["ours"])
    operations = 2.0 * x.shape[0] * w.size * np.prod(geometry.output_size(size, size))
    return {
        "shape": name,
        "us": round(seconds * 1e6, 1),
        "Gop/s": round(operations / seconds / 1e9),
        "peak": None if most is None else round(operations / min(times["ours"]) / 1e9 / most / threads, 2),
        "/ort int8": ratio(times, "ours", QLINEAR),
        "floor": floor(times, QLINEAR, operations, most and most * threads),
        "/ort fp32": ratio(times, "ours", ["onnxruntime"]),
        "/torch fp32": ratio(times, "ours", ["torch"]),
        "/torch best fp32": ratio(times, "ours", ["torch", "torch channels last"]),
        "/torch int8": ratio(times, "ours", ["torch onednn", "torch fbgemm"]),
        "int16/torch": ratio(times, "ours int16", ["torch"]) if "ours int16" in times else None,
        "differs": differs,
    }


def main() -> None:
    """Print one table, and JSON where asked for."""
    given = arguments(__doc__).parse_args()
    prepare(given.threads)
    rounds = given.rounds or (5 if given.short else 15)
    most = peak()
    rows = [
        case(shape, rounds, given.threads, most) for shape in SHAPES if not given.short or shape[0] in SHORT
    ]  # fmt: skip
    title = f"convolutions, batch 1, {given.threads} thread{'s'[: given.threads > 1]}, {rounds} rounds"
    report(f"{title}; peak {most and round(most)} Gop/s a thread", rows, given.json, peak=most, threads=given.threads)


if __name__ == "__main__":
    main()
