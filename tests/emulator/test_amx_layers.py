"""Which products are given to AMX tiles, and that their rows are the windows, inside memory; on any processor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qworkbench.emulator.kernels import isa
from qworkbench.emulator.kernels.memory import SLACK
from qworkbench.emulator.kernels.surface import inside_of, surfaced
from qworkbench.emulator.kernels.vector import amx_layers
from qworkbench.emulator.kernels.vector.amx_layers import LENGTH, ROWS, in_steps, rows_of, steps_of, tiles_for_windows
from qworkbench.emulator.kernels.vector.windows import places_of, taps_of
from qworkbench.errors import EmulationError
from qworkbench.numerics import ConvGeometry
from tests.emulator.codes import geometries, quick, seeds


@quick(200)
@given(
    seed=seeds, geometry=geometries(), batch=st.integers(1, 3), channels=st.sampled_from([3, 16, 40, 64, 100]),
    height=st.integers(1, 20), width=st.integers(1, 40), margin=st.integers(0, 2),
)  # fmt: skip
def test_every_window_is_one_row_of_a_tile_and_no_row_lies_outside(
    seed, geometry, batch, channels, height, width, margin
):
    size = geometry.output_size(height, width)
    if min(size) < 1:
        return
    x = np.zeros((batch, channels, height, width), np.int8)
    surface = surfaced(x, np.int8, max(margin, *geometry.pads), 3 if channels == 3 else None)
    pixels, places = places_of(surface, (batch, 16, *size), geometry)
    found = rows_of(pixels, places)
    if found is None:
        assert pixels.size < 3 * ROWS
        return
    bases, step, order = found
    assert len(bases) % 2 == 0
    assert len(order) == ROWS * len(bases)
    rows = (bases[:, None] + np.arange(ROWS) * step).reshape(-1)
    assert (np.sort(order[order >= 0]) == places).all()
    windows = dict(zip(places.tolist(), pixels.tolist(), strict=True))
    assert all(windows[place] == row for place, row in zip(order.tolist(), rows.tolist(), strict=True) if place >= 0)
    beside = geometry.dilations[1] == 1
    length = (geometry.kernel[1] - 1) * surface.shape[3] + channels if beside else channels
    taps = taps_of(surface, geometry, geometry.kernel[0] if beside else int(np.prod(geometry.kernel)))
    first = surface.layout.first  # windows count from the first pixel inside
    assert first + rows.min() >= 0
    last = first + rows.max() + taps.max() + steps_of(length)[-1] + LENGTH
    assert last <= surface.nbytes + (SLACK if length < LENGTH else 0)


@pytest.mark.parametrize("length", [1, 24, 63, 64, 65, 100, 127, 128, 200])
def test_steps_take_every_code_of_a_tap_once(length):
    rng = np.random.default_rng(length)
    dense = rng.integers(-128, 128, (5, 3, length)).astype(np.int8)
    codes = rng.integers(-128, 128, (3, max(length, LENGTH)))
    steps = steps_of(length)
    assert steps[-1] + LENGTH <= max(length, LENGTH)
    read = np.stack([codes[:, begin : begin + LENGTH] for begin in steps], axis=1).reshape(3, -1)
    expected = np.einsum("otk,tk->o", dense.astype(np.int64), codes[:, :length])
    np.testing.assert_array_equal(np.einsum("otk,tk->o", in_steps(dense).astype(np.int64), read), expected)


RULE = {  # name: inputs, outputs, kernel, stride, size, whether in tiles
    "7x7s2 3-64 @224": (3, 64, 7, 2, 224, True),
    "3x3s2 3-32 @224": (3, 32, 3, 2, 224, False),
    "3x3 64-64 @56": (64, 64, 3, 1, 56, True),
    "3x3s2 64-128 @56": (64, 128, 3, 2, 56, True),
    "3x3 512-512 @7": (512, 512, 3, 1, 7, True),
    "1x1s2 256-512 @56": (256, 512, 1, 2, 56, True),
    "1x1 512-2048 @7": (512, 2048, 1, 1, 7, True),
    "1x1 16-96 @112": (16, 96, 1, 1, 112, False),
    "1x1 144-24 @56": (144, 24, 1, 1, 56, True),
    "linear, batch 1": (2048, 1000, 1, 1, 1, False),
}


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("name", RULE)
def test_tiles_take_what_they_do_not_mostly_fill_with_zeros(name, dtype, monkeypatch):
    monkeypatch.setattr(amx_layers, "chosen", lambda: "amx")
    inputs, outputs, kernel, stride, size, expected = RULE[name]
    x, w = np.zeros((1, inputs, size, size), dtype), np.zeros((outputs, inputs, kernel, kernel), np.int8)
    geometry = ConvGeometry((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
    assert (tiles_for_windows(inside_of(surfaced(x, dtype, 1)), w, geometry) is not None) == expected
    assert tiles_for_windows(x, w.astype(np.int16), geometry) is None
    monkeypatch.setattr(amx_layers, "chosen", lambda: "avx512vnni")
    assert tiles_for_windows(x, w, geometry) is None


@pytest.fixture
def another_processor():
    def forget():
        for remembered in (isa._best, isa._checked):
            remembered.cache_clear()

    forget()
    yield
    forget()


def test_tiles_need_the_systems_permission_and_add_to_the_vectors(monkeypatch, another_processor):
    features = isa.PATHS["amx"] | isa.PATHS["avx2"]
    monkeypatch.setattr(isa, "features", lambda: features)
    monkeypatch.setenv(isa.VARIABLE, "amx")
    monkeypatch.setattr(isa, "tiles_granted", lambda: False)
    assert isa.available() == ("avx512vnni", "avx2", "portable")
    with pytest.raises(EmulationError, match=r"does not let this process use AMX tiles.*it can run avx512vnni"):
        isa.chosen()
    monkeypatch.setattr(isa, "tiles_granted", lambda: True)
    assert isa.chosen() == "amx"
    assert isa.vectors() == "avx512vnni"
    monkeypatch.setenv(isa.VARIABLE, "")
    assert isa.chosen() == "amx"
    monkeypatch.setattr(isa, "features", lambda: isa.PATHS["avx2"])
    with pytest.raises(EmulationError, match="this processor lacks amx-int8, amx-tile"):
        isa._checked.__wrapped__("amx")


@pytest.mark.skipif("amx-tile" in isa.features(), reason="a processor with tiles")
def test_a_system_without_tiles_refuses_them():
    assert isa.tiles_granted.__wrapped__() is False
