"""Kernels compiled for AArch64 on any machine: llvmlite brings the backend along."""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.arm import DOT
from qworkbench.emulator.kernels.vector.tile import Tile, Writer

TRIPLE = "aarch64-unknown-linux-gnu"


def target(cpu: str) -> Any:
    """The machine that code is made for; skips where llvmlite was built without it."""
    try:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        return llvm.Target.from_triple(TRIPLE).create_target_machine(cpu=cpu, opt=3)
    except (RuntimeError, AttributeError) as missing:
        pytest.skip(f"this llvmlite has no AArch64 backend: {missing}")


def compiled(module: ir.Module, cpu: str) -> tuple[Any, Any]:
    """The optimized module and its target machine."""
    machine = target(cpu)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    return parsed, machine


def tile_module(tile: Tile, writer: type[Writer]) -> ir.Module:
    """A module whose function ``run`` of seven int64 computes tiles."""
    module = ir.Module()
    module.triple = TRIPLE
    outer = ir.Function(module, ir.FunctionType(ir.VoidType(), [v.i64] * 7), "run")
    b = ir.IRBuilder(outer.append_basic_block("entry"))

    def write(inside: Any, given: Any) -> None:
        writer(inside, tile, given).write()

    v.apart(b, "tile", outer.args, write, DOT if tile.dot == "sdot" else "")
    b.ret_void()
    return module


def assembly(module: ir.Module, cpu: str) -> str:
    parsed, machine = compiled(module, cpu)
    return str(machine.emit_assembly(parsed))


def innermost(text: str, word: str) -> list[str]:
    """The instructions of the shortest loop with the most of `word` that has no loop inside."""
    lines = text.splitlines()
    labels = {line.split(":")[0]: i for i, line in enumerate(lines) if re.match(r"\.L\w+:", line)}
    loops = []
    for end, line in enumerate(lines):
        jump = re.search(r"\t(?:b\.\w+|cbn?z|tbn?z|b)\t.*?(\.L\w+)$", line)
        if jump and labels.get(jump[1], end) < end:
            loops.append((labels[jump[1]], end))
    inner = [loop for loop in loops if not any(loop[0] <= a and b <= loop[1] and loop != (a, b) for a, b in loops)]
    bodies = [[line for line in lines[a : b + 1] if re.match(r"\t[a-z]", line)] for a, b in inner]
    return max(bodies, key=lambda body: sum(word in line for line in body))
