"""``python -m benchmarks.peers FOLDER`` writes docs/performance.md from the JSON files of the benchmarks."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
HEAD = """# How fast the emulator is

Written by `python -m benchmarks.peers FOLDER` from what the scripts in `benchmarks/` measured
(`--json FOLDER/NAME.json`); no figure is typed by hand. Every ratio is time of qworkbench over time of the peer, the
median over rounds that ran in turn in one process: below 1 is faster than the peer. One thread is read as CPU time,
more as wall clock. Figures of another machine differ; `make bench` makes a short form of these tables on yours.

* `/ort int8` is onnxruntime's QLinearConv in its fastest layout (uint8, zero point 128), or its QDQ network.
* `peak` is the share of what the dot instruction of the path reaches on registers alone, best call: the roofline
  of a kernel that does every multiply-add. Winograd's transforms pass 1.
* `floor` is the time of all multiply-adds at that peak over onnxruntime int8's time: the lowest `/ort int8` that a
  kernel can reach which does every one of them. 3 x 3 at stride 1 goes below where Winograd's transforms, which are
  exact here, leave a quarter of the products; a goal below `floor` is beyond the hardware for everything else.
* Instruction paths: `amx`, `avx512vnni`, `avxvnni`, `avx2` on x86-64, `i8mm`, `dotprod`, `neon` on AArch64,
  `portable` anywhere; `QWORKBENCH_ISA` forces one and `QWORKBENCH_NUM_THREADS` sets the threads. All of them give the
  same codes, bit for bit.
* `amx` is `avx512vnni` with what fills AMX-INT8 tiles (convolutions, linear layers, matmuls) computed in them. Its
  machine code is tested by executing the AMX instructions in software; no machine that was measured here has them,
  so there is no figure of it.
* `dotprod` (Apple M1 and later, Graviton2 and later, Cortex-A55, A76 and later) multiplies int8 by `sdot` and int16 by
  `smlal`; `neon` (Cortex-A53, A72) takes int8 as int16, too. They are tested on an emulated processor and were not
  timed on a real one. The inner loops take 103 instructions for 1280 multiply-adds of int8 and 183 for 640 of int16, a
  whole 3 x 3 convolution of 64 channels 0.086 and 0.30 a multiply-add. `i8mm` (Apple M2 and later, Graviton3 and
  later) is `dotprod` with convolutions and linear layers of int8 by `smmla`: 58 instructions for 1024 multiply-adds.
  Winograd's transforms are x86-64's alone.
* A forced path limits torch, too (`ONEDNN_MAX_CPU_ISA`, `ATEN_CPU_CAPABILITY`), but not onnxruntime.
* Edits are ones that the workbench has never seen. Behind the ratios, in ms: `place` is the edit itself, `plan` the
  integer plan, `steps` the emulated operators (`again`: the same ones run once more, with everything prepared),
  `distances`, and the `rest`. What `again` and `distances` take is arithmetic on the cone of the edit; a float
  convolution (`to the CPU`) is torch's. `cone/full` is `steps` and `distances` over the full emulation, `floor` the
  time of the cone's integer multiply-adds at the peak over the same.
* `differs` counts codes that differ from onnxruntime's QLinearConv, which rounds by the same rule.
"""


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def key(section: str) -> tuple[str, str]:
    """Return what a section is about: its title without rounds and peak, and the instruction path."""
    title, _, rest = section.removeprefix("## ").partition("\n")
    return title.split(" thread")[0], rest.split(";")[0].strip()


def sections(folder: Path) -> list[str]:
    """Return one section per JSON file of `folder`."""
    made = []
    for file in sorted(folder.glob("*.json")):
        found = json.loads(file.read_text())
        skipped = ", ".join(found["skipped"]) or "none"
        made.append(
            f"## {found['title']}\n\nInstruction path `{found['path']}`; machine: {found['machine']}; "
            f"not on this machine, skipped: {skipped}.\n\n{table(found['rows'])}\n"
        )
    return made


def main() -> None:
    """Write the page: new sections first, then those of the page that FOLDER does not measure again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    made = sections(parser.parse_args().folder)
    there = ["## " + part for part in PAGE.read_text().split("\n## ")[1:]] if PAGE.exists() else []
    measured = {key(section) for section in made}
    kept = [section.rstrip() + "\n" for section in there if key(section) not in measured]
    PAGE.write_text("\n".join([HEAD, *made, *kept]))
    print(PAGE)


if __name__ == "__main__":
    main()
