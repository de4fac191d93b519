"""Kernels compiled for AArch64 on any machine, as llvmlite brings the backend along, and run where `unicorn` is."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.arm import FEATURES
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


def module_of(write: Callable[[Any, Any], None], parameters: int, features: str = "") -> ir.Module:
    """A module whose function ``run`` of so many int64 has the body that `write` gives it."""
    module = ir.Module()
    module.triple = TRIPLE
    outer = ir.Function(module, ir.FunctionType(ir.VoidType(), [v.i64] * parameters), "run")
    b = ir.IRBuilder(outer.append_basic_block("entry"))
    v.apart(b, "body", outer.args, write, features)
    b.ret_void()
    return module


def tile_module(tile: Tile, writer: type[Writer]) -> ir.Module:
    """A module whose function ``run`` of seven int64 computes tiles."""
    return module_of(lambda b, given: writer(b, tile, given).write(), 7, FEATURES.get(tile.dot, ""))


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


PAGE = 4096
CODE, STACK = 0x100000, 0x800000  # far below where this process has its own memory
CALLS, PARTS = (282, 283), range(263, 270)  # relocations of ELF for AArch64: of branches, and of 16 bits of an address


def linked(machine: Any, parsed: Any) -> bytes:
    """The code and constants of a module as they lie at CODE, the first function first."""
    file = llvm.ObjectFileRef.from_data(machine.emit_object(parsed))
    sections = [((section.name() or b"").decode(), section.data()) for section in file.sections()]
    names, data = zip(*sections, strict=True)
    image, places = bytearray(), {}
    for i, name in sorted(enumerate(names), key=lambda item: item[1] != ".text"):
        if name.startswith((".text", ".rodata")):
            image += bytes(-len(image) % 64)
            places[i] = CODE + len(image)
            image += data[i]
    symbols = list(struct.iter_unpack("<IBBHQQ", data[names.index(".symtab")]))
    relocations = data[names.index(".rela.text")] if ".rela.text" in names else b""
    for offset, info, addend in struct.iter_unpack("<QQq", relocations):
        *_, section, value, _ = symbols[info >> 32]
        to, kind = places[section] + value + addend, info & 0xFFFFFFFF
        (word,) = struct.unpack_from("<I", image, offset)
        if kind in CALLS:
            word |= (to - CODE - offset >> 2) & 0x3FFFFFF
        else:
            assert kind in PARTS, kind
            word |= (to >> 16 * ((kind - PARTS.start) // 2) & 0xFFFF) << 5
        struct.pack_into("<I", image, offset, word)
    return bytes(image)


class Emulated:
    """An AArch64 processor that runs ``run`` of a module on arrays of this process, where they are."""

    def __init__(self, module: ir.Module, arrays: Iterable[np.ndarray], cpu: str = "generic") -> None:
        unicorn = pytest.importorskip("unicorn", reason="unicorn runs what is compiled for AArch64")
        code = linked(*reversed(compiled(module, cpu)))
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(unicorn.arm64_const.UC_CPU_ARM64_MAX)
        self.constants, self.instructions = unicorn.arm64_const, 0
        self.uc.mem_map(CODE, -(-len(code) // PAGE) * PAGE)
        self.uc.mem_write(CODE, code)
        self.uc.mem_map(STACK, 16 * PAGE)
        for page in sorted({page for array in arrays for page in _pages(array)}):
            self.uc.mem_map_ptr(page * PAGE, PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE, page * PAGE)
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._count)

    def _count(self, uc: Any, address: int, size: int, data: Any) -> None:
        self.instructions += size // 4

    def run(self, arguments: Sequence[int]) -> None:
        """Call the function; up to eight arguments go by register, the others by the stack."""
        names, stack = self.constants, STACK + 12 * PAGE
        for i, value in enumerate(arguments[:8]):
            self.uc.reg_write(getattr(names, f"UC_ARM64_REG_X{i}"), int(value))
        self.uc.mem_write(stack, struct.pack(f"<{max(len(arguments) - 8, 0)}q", *arguments[8:]))
        self.uc.reg_write(names.UC_ARM64_REG_SP, stack)
        self.uc.reg_write(names.UC_ARM64_REG_LR, STACK)  # nothing runs there
        self.uc.reg_write(names.UC_ARM64_REG_CPACR_EL1, 3 << 20)  # vectors are allowed
        self.uc.emu_start(CODE, STACK)


def _pages(array: np.ndarray) -> range:
    first = array.__array_interface__["data"][0]
    return range(first // PAGE, (first + array.nbytes - 1) // PAGE + 1)
