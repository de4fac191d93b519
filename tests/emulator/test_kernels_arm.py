"""What kernels become on AArch64, seen from any machine: the instructions meant, no spills, no calls."""

from __future__ import annotations

import platform
import sys

import pytest

from qworkbench.emulator.kernels import isa
from qworkbench.emulator.kernels.vector import neon
from qworkbench.emulator.kernels.vector.tile import Tile
from qworkbench.errors import EmulationError
from tests.emulator.aarch64 import assembly, innermost, tile_module

PROCESSORS = ("generic", "neoverse-n1", "apple-m1")


@pytest.mark.parametrize("cpu", PROCESSORS)
def test_the_loop_over_bytes_is_dots_that_name_their_lane_and_what_they_load(cpu):
    text = assembly(tile_module(Tile("sdot", 4, 5, 4), neon.ByLane), cpu)
    loop = innermost(text, "sdot")
    dots = [line for line in loop if "sdot" in line]
    assert len(dots) == 5 * 4 * 4  # pixels, vectors, groups of a turn
    assert all(".4b[" in line for line in dots)
    assert not any("[sp" in line or "\tbl\t" in line for line in loop)
    assert len(loop) <= 1.35 * len(dots)
    assert "bl\tqworkbench.leave" in text  # of what does not leave as int8, and nothing else is called
    assert all("qworkbench." in line or "\ttile" in line for line in text.splitlines() if line.startswith("\tbl\t"))
    assert "fcvtns" in text
    assert "sqxtn" in text


@pytest.mark.parametrize("cpu", PROCESSORS)
def test_the_loop_over_bytes_is_products_of_matrices_where_there_are_such(cpu):
    loop = innermost(assembly(tile_module(Tile("smmla", 4, 4, 4), neon.ByMatrix), cpu), "smmla")
    products = sum("smmla" in line for line in loop)
    assert products == 2 * 8 * 2  # pairs of pixels, pairs of channels, steps of a turn
    assert len(loop) <= 1.9 * products
    assert not any("[sp" in line or "\tbl\t" in line for line in loop)


@pytest.mark.parametrize("cpu", PROCESSORS)
@pytest.mark.parametrize(
    ("tile", "writer", "products", "most"),
    [
        (Tile("mlal", 4, 5, 4), neon.ByElement, 5 * 4 * 8, 1.2),  # pixels, vectors, codes of a turn
        (Tile("mlal", 4, 6, 2, 4), neon.Pairwise, 6 * 2 * 8, 1.8),
    ],
)
def test_the_loop_over_int16_is_products_that_widen(cpu, tile, writer, products, most):
    loop = innermost(assembly(tile_module(tile, writer), cpu), "smlal")
    assert sum("smlal" in line for line in loop) == products
    assert len(loop) <= most * products
    assert not any("[sp" in line for line in loop) or cpu == "generic"  # it spills an address or two
    assert not any("\tbl\t" in line for line in loop)


@pytest.mark.parametrize(
    ("system", "processor", "found"),
    [
        ("darwin", "arm64", {"neon", "dotprod"}),
        ("win32", "arm64", {"neon"}),
        ("linux", "x86_64", set()),
        ("darwin", "x86_64", set()),
    ],
)
def test_what_an_arm_processor_has_is_asked_of_the_system(system, processor, found, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    monkeypatch.setattr(isa, "_told_by_macos", lambda feature: False)
    assert isa.arm_features() == found


@pytest.mark.parametrize("words", [{}, {16: 1 << 1}, {16: 1 << 1 | 1 << 20}, {16: 1 << 1 | 1 << 20, 26: 1 << 13}])
def test_linux_tells_each_process_by_bits(words, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(isa, "_auxiliary", lambda kind: words.get(kind, 0))
    assert len(isa.arm_features()) == sum(word.bit_count() for word in words.values())


def test_paths_of_another_architecture_are_not_offered_and_refused_by_name(monkeypatch):
    foreign = [name for name, needed in isa.PATHS.items() if not needed <= isa.features()]
    assert not set(foreign) & set(isa.available())
    assert isa.available()[-1] == isa.PORTABLE
    assert foreign  # no processor has the instructions of both architectures
    for name in foreign:
        monkeypatch.setenv(isa.VARIABLE, name)
        with pytest.raises(EmulationError, match="lacks"):
            isa.chosen()
