"""AMX instructions, in software or by the processor, do what Intel's manual says: against numpy, on every addressing.

Runs where AMX is, or in the process that :mod:`tests.emulator.test_kernels_amx` starts with the trap.
"""

from __future__ import annotations

import ctypes
import os
import signal
from functools import cache
from threading import Thread

import llvmlite.binding as llvm
import numpy as np
import pytest

from qworkbench.emulator.kernels import isa

pytestmark = pytest.mark.skipif("amx" not in isa.available(), reason="no AMX here, nor its trap")

BODY = """
define void @run(ptr %p) {{
  call void asm sideeffect inteldialect "{code}", "r,~{{rax}},~{{rcx}},~{{r8}},~{{r12}},~{{r13}},~{{memory}}"(ptr %p)
  ret void
}}
"""


@cache
def compiled(code):
    """Return instructions as a function of an address, which they find in ``$0``."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    module = llvm.parse_assembly(BODY.format(code=code.replace("\n", "\\0A")))
    machine = llvm.Target.from_default_triple().create_target_machine(features="+amx-tile,+amx-int8", jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    compiled.kept = (*getattr(compiled, "kept", ()), engine)
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("run"))


def config(*tiles, start_row=0):
    """Return the configuration of tiles of (rows, bytes of a row)."""
    made = np.zeros(64, np.uint8)
    made[0], made[1] = 1, start_row
    for t, (rows, size) in enumerate(tiles):
        made[16 + 2 * t], made[48 + t] = size, rows
    return made


def run(code, *arrays):
    """Run instructions on the addresses of arrays; ``[$0 + 8 * i]`` holds the i-th."""
    addresses = np.array([array.ctypes.data for array in arrays], np.int64)
    compiled(code)(addresses.ctypes.data)


PRODUCT = """mov rax, [$0]
ldtilecfg [rax]
mov ecx, 64
mov rax, [$0 + 8]
tileloadd tmm0, [rax + rcx]
mov rax, [$0 + 16]
tileloadd tmm1, [rax + rcx]
mov rax, [$0 + 24]
tileloadd tmm2, [rax + rcx]
{dot} tmm0, tmm1, tmm2
mov rax, [$0 + 8]
tilestored [rax + rcx], tmm0
tilerelease"""


@pytest.mark.parametrize(("dot", "a_type", "b_type"), [
    ("tdpbssd", "i1", "i1"), ("tdpbsud", "i1", "u1"), ("tdpbusd", "u1", "i1"), ("tdpbuud", "u1", "u1"),
])  # fmt: skip
@pytest.mark.parametrize(("rows", "depth", "columns"), [(16, 16, 16), (7, 5, 3), (1, 16, 16), (16, 1, 9)])
def test_products_of_bytes_add_up_modulo_two_to_the_32(dot, a_type, b_type, rows, depth, columns):
    rng = np.random.default_rng(rows + depth + columns)
    a, b = rng.integers(0, 256, (16, 64)).astype(np.uint8), rng.integers(0, 256, (16, 64)).astype(np.uint8)
    c = rng.integers(-(2**31), 2**31, (16, 16)).astype(np.int32)
    left = a.view(a_type)[:rows, : 4 * depth].astype(np.int64)
    right = b.view(b_type)[:depth, : 4 * columns].astype(np.int64).reshape(depth, columns, 4)
    expected = c.copy()
    expected[:rows, :columns] += np.einsum("mkj,knj->mn", left.reshape(rows, depth, 4), right).astype(np.int32)
    run(PRODUCT.format(dot=dot), config((rows, 4 * columns), (rows, 4 * depth), (depth, 4 * columns)), c, a, b)
    np.testing.assert_array_equal(c, expected)


MOVED = """mov rax, [$0]
ldtilecfg [rax]
{prepare}
{load} tmm5, {source}
{again}
mov rcx, [$0 + 16]
tilestored [rcx + r8], tmm5
tilerelease"""


@pytest.mark.parametrize("load", ["tileloadd", "tileloaddt1"])
@pytest.mark.parametrize(("prepare", "source", "first", "stride"), [
    ("mov r13, [$0 + 8]\nmov r12, 40", "[r13 + 2 * r12]", 0, 80),
    ("mov r13, [$0 + 8]\nmov r12, 40", "[r13 + r12 + 16]", 16, 40),
    ("mov r12, [$0 + 8]\nmov rax, 24", "[r12 + 4 * rax + 640]", 640, 96),
    ("mov r8, [$0 + 8]\nadd r8, 1500\nmov rcx, -64", "[r8 + rcx - 80]", 1420, -64),
    ("mov rax, [$0 + 8]", "[rax]", 0, 0),
    ("mov r12, [$0 + 8]", "[r12 + 300]", 300, 0),
    ("mov r12, 9\nmov rax, [$0 + 8]", "[rax + 8 * r12]", 0, 72),
])  # fmt: skip
def test_rows_are_loaded_from_every_kind_of_address(load, prepare, source, first, stride):
    memory = np.random.default_rng(1).integers(0, 256, 4096).astype(np.uint8)
    out = np.zeros((16, 64), np.uint8)
    tiles = [(0, 0)] * 5 + [(13, 44)]
    code = MOVED.format(prepare=prepare, load=load, source=source, again="mov r8, 64")
    run(code, config(*tiles), memory, out)
    for row in range(16):
        begin = first + row * stride
        expected = memory[begin : begin + 44] if row < 13 else 0
        np.testing.assert_array_equal(out[row, :44], expected)
    assert not out[:, 44:].any()


def test_a_load_begins_at_the_start_row_and_zeroes_what_lies_behind_the_tile():
    memory, out = np.ones((16, 64), np.uint8), np.full((16, 64), 7, np.uint8)
    code = MOVED.format(prepare="mov r13, [$0 + 8]\nmov r8, 64", load="tileloadd", source="[r13 + r8]", again="")
    run(code, config(*[(0, 0)] * 5, (6, 60), start_row=2), memory, out)
    assert not out[:2, :60].any()
    assert (out[2:6, :60] == 1).all()
    assert (out[6:] == 7).all()


def test_a_tile_is_zeroed_and_a_configuration_is_read_back():
    memory, out = np.full((16, 64), 5, np.uint8), np.full((16, 64), 7, np.uint8)
    code = MOVED.format(
        prepare="mov r13, [$0 + 8]\nmov r8, 64", load="tileloadd", source="[r13 + r8]", again="tilezero tmm5"
    )
    given = config(*[(0, 0)] * 5, (16, 64))
    run(code, given, memory, out)
    assert not out.any()
    there, released = np.full(64, 9, np.uint8), np.full(64, 9, np.uint8)
    store = "mov rax, [$0]\nldtilecfg [rax]\nmov rax, [$0 + 8]\nsttilecfg [rax]\ntilerelease\n"
    run(store + "mov rax, [$0 + 16]\nsttilecfg [rax]", given, there, released)
    np.testing.assert_array_equal(there, given)
    assert not released.any()


def test_every_thread_has_tiles_of_its_own():
    def work(seed, failed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            a, b = rng.integers(-128, 128, (16, 64)).astype(np.int8), rng.integers(-128, 128, (16, 64)).astype(np.int8)
            c = np.zeros((16, 16), np.int32)
            run(PRODUCT.format(dot="tdpbssd"), config((16, 64), (16, 64), (16, 64)), c, a, b)
            expected = a.astype(np.int32) @ b.reshape(16, 16, 4).transpose(0, 2, 1).reshape(64, 16).astype(np.int32)
            failed += [seed] * int((c != expected).any())

    compiled(PRODUCT.format(dot="tdpbssd"))
    failed: list[int] = []
    threads = [Thread(target=work, args=(seed, failed)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


REFUSED = {
    "no AMX instruction": "ud2",
    "tiles that are not configured": "tilerelease\ntilezero tmm0",
    "rows that do not fit": "tdpbssd tmm0, tmm1, tmm3",
    "a tile twice": ".byte 0xc4, 0xe2, 0x73, 0x5e, 0xc1",  # tdpbssd tmm0, tmm1, tmm1: no assembler writes it
    "a tile that is not configured": "tilezero tmm7",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_processor_refuses_ends_the_process(what):
    code = compiled("mov rax, [$0]\nldtilecfg [rax]\n" + REFUSED[what])
    tiles = config((16, 64), (16, 64), (16, 64), (9, 64))
    addresses = np.array([tiles.ctypes.data], np.int64)
    child = os.fork()
    if child == 0:
        code(addresses.ctypes.data)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGILL
