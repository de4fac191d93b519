"""One table on the terminal, the same as JSON, and the machine by its features alone."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from qworkbench.emulator.kernels import isa, threads

KNOWN = ("avx2", "avx512f", "avxvnni", "avx512vnni", "avxvnniint8", "amx-int8", "i8mm", "dotprod")

LIMITS = {
    "avx512vnni": ("AVX512_CORE_VNNI", "avx512"),
    "avx2": ("AVX2", "avx2"),
    "avxvnni": ("AVX2_VNNI", "avx2"),
    "portable": ("SSE41", "default"),
}


def machine() -> str:
    """Return processor family, features that matter, and number of processors."""
    there = [name for name in KNOWN if name in isa.features()]
    return f"{platform.machine()}, {os.cpu_count()} processors, {' '.join(there) or 'no dot instructions'}"


def skipped_paths() -> list[str]:
    """Return the instruction paths that this machine cannot run."""
    return [name for name in isa.PATHS if name not in isa.available()]


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return the options that every speed benchmark has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer and smaller cases, fewer rounds")
    parser.add_argument("--threads", type=int, default=1, help="1 reads CPU time, more the wall clock")
    parser.add_argument("--rounds", type=int, help="of the interleaved run")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    return parser


def prepare(count: int) -> None:
    """Give every library the same number of threads, and torch no instructions that a forced path lacks.

    Torch and its oneDNN read these limits when they first compute; onnxruntime has none.
    """
    os.environ[threads.VARIABLE] = str(count)
    torch.set_num_threads(count)
    if isa.chosen() in LIMITS:
        os.environ["ONEDNN_MAX_CPU_ISA"], os.environ["ATEN_CPU_CAPABILITY"] = LIMITS[isa.chosen()]


def report(title: str, rows: Sequence[dict[str, Any]], to: Path | None, **facts: Any) -> None:
    """Print `rows` as one table and write them as JSON where asked for."""
    columns = list(rows[0])
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    path = isa.chosen()
    skipped = skipped_paths()
    print(f"{title}\ninstruction path: {path}; machine: {machine()}")
    print(f"not on this machine, skipped: {', '.join(skipped) or 'none'}\n")
    for line in (columns, *cells):
        aligned = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        print("  ".join(aligned))
    print()
    if to is not None:
        whole = {"title": title, "path": path, "machine": machine(), "skipped": skipped, **facts, "rows": list(rows)}
        to.write_text(json.dumps(whole, indent=1))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
