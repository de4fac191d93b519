"""The one pass that all distances come from: every layout, every size, the same bits on every processor."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qworkbench.analysis.distances import kl_divergence
from qworkbench.analysis.metrics import compare, compare_all, compare_codes
from qworkbench.emulator.kernels import distance_sums as summing
from qworkbench.emulator.kernels.distance_sums import Pair, Reference, distance_sums
from qworkbench.emulator.kernels.surface import channels_last, inside_of, surfaced
from qworkbench.errors import EmulationError

SIZES = [1, 15, 16, 17, 255, 256, 257, 271, 4096, 5003]


def sums_of(a: np.ndarray, b: np.ndarray, scale: float = 1.0) -> list[float]:
    return distance_sums([(Reference(a), b, scale)])[0]


def expected(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Return the sums as numpy makes them in float64."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    d = np.abs(x - y)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = d / np.abs(x)
    most = np.max(ratio[~np.isnan(ratio)], initial=0.0)
    return [x @ y, x @ x, y @ y, d.sum(), d @ d, d.max(initial=0.0), most, float(x.size)]


def assert_sums(found: list[float], a: np.ndarray, b: np.ndarray) -> None:
    wanted = expected(a, b)
    scale = math.sqrt(wanted[1] * wanted[2])
    assert found[0] == pytest.approx(wanted[0], rel=1e-12, abs=1e-13 * scale)
    assert found[1:5] == pytest.approx(wanted[1:5], rel=1e-12)
    assert found[5:] == wanted[5:]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32])
@pytest.mark.parametrize("size", SIZES)
def test_sums_of_every_size(size: int, dtype: type) -> None:
    rng = np.random.default_rng(size)
    codes = rng.integers(-128, 128, size).astype(dtype)
    scale = np.float32(0.037)
    a = (codes * scale + rng.normal(0, 0.02, size)).astype(np.float32)
    assert_sums(sums_of(a, codes, float(scale)), a, codes.astype(np.float32) * scale)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 1500), rectified=st.booleans())
def test_the_largest_quotient_is_found_wherever_it_lies(seed: int, count: int, rectified: bool) -> None:
    rng = np.random.default_rng(seed)
    a = (rng.normal(size=count) * 10.0 ** rng.uniform(-44, 37)).astype(np.float32)
    b = (a * (1 + rng.uniform(-1, 1, count) * 10.0 ** rng.uniform(-6, 1))).astype(np.float32)
    if rectified:
        a, b = np.maximum(a, 0), np.maximum(b, 0)
    place = int(rng.integers(count))
    a[place] = [0, 1e-45, -3e38, a[place]][int(rng.integers(4))]
    b[place] = [0, 1e-45, 3e38, b[place]][int(rng.integers(4))]
    assert sums_of(a, b)[5:7] == expected(a, b)[5:7]


@pytest.mark.parametrize("channels", [1, 3, 16, 24, 40, 272])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_what_lies_around_a_feature_map_is_not_counted(channels: int, dtype: type) -> None:
    rng = np.random.default_rng(channels)
    codes = rng.integers(-128, 128, (2, channels, 5, 7)).astype(dtype)
    surface = surfaced(codes, dtype, 2)
    inside = inside_of(surface)
    around = np.ones(surface.shape, bool)
    around[:, 2:-2, 2:-2, :channels] = False
    np.asarray(surface)[around] = 77
    a = (codes * np.float32(0.1) + rng.normal(0, 0.1, codes.shape)).astype(np.float32)
    for reference in (a, channels_last(a), np.asfortranarray(a)):
        assert_sums(sums_of(reference, inside, 0.1), a, codes * np.float32(0.1))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::2],
        lambda x: x[:, ::-1],
        lambda x: x[..., 1::3],
        lambda x: x.transpose(3, 1, 4, 0, 2),
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x[:0],
        lambda x: x[:, :, :1],
    ],
)
def test_views_are_read_where_they_lie(view) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 3, 5, 6, 2)).astype(np.float32)
    b = rng.integers(-9, 9, a.shape).astype(np.int8)
    assert_sums(sums_of(view(a), view(b), 0.25), view(a), view(b) * np.float32(0.25))


def test_numbers_off_their_alignment_are_read() -> None:
    a = np.arange(50, dtype=np.float32)
    packed = np.zeros(50, [("mark", np.int8), ("number", np.float32)])
    packed["number"] = a
    assert compare(packed["number"], a + 1).l1 == 1.0


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_number_is_infinitely_far(value: float) -> None:
    a, b = np.ones(40, np.float32), np.ones(40, np.float32)
    b[21] = value
    found = compare(a, b)
    assert (found.l1, found.mse, found.atol, found.rtol, found.sqnr) == (*4 * (math.inf,), -math.inf)


def test_nan_among_codes_of_a_broken_reference_is_not_hidden() -> None:
    a = np.ones(1000, np.float32)
    a[900] = np.nan
    found = compare_codes(a, np.ones(1000, np.int8), 1.0)
    assert all(math.isnan(getattr(found, name)) for name in ("cosine", "l1", "mse", "atol", "rtol", "sqnr"))


def pairs_of(count: int) -> list[Pair]:
    """Return pairs of all dtypes and of many sizes, some of which lie apart."""
    rng = np.random.default_rng(count)
    found: list[Pair] = []
    for i in range(count):
        codes = rng.integers(-128, 128, (1, int(rng.integers(1, 70)), 9, 11))
        a = (codes * 0.02 + rng.normal(0, 0.05, codes.shape)).astype(np.float32)
        other = codes.astype((np.int8, np.int16, np.float32)[i % 3])
        found.append((Reference(a), inside_of(surfaced(other, other.dtype, 1)) if i % 3 < 2 and i % 2 else other, 0.02))
    return found


def test_many_pairs_give_what_each_gives_alone() -> None:
    pairs = pairs_of(23)
    assert distance_sums(pairs) == [sums_of(a.array, *rest) for a, *rest in pairs]
    assert distance_sums([]) == []


def test_a_kept_reference_meets_several_layouts_and_refuses_other_shapes() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(2, 24, 5, 6)).astype(np.float32)
    kept = Reference(a)
    codes = (a * 30).astype(np.int8)
    for other in (codes, inside_of(surfaced(codes, np.int8, 1)), codes.astype(np.int16), codes.astype(np.float32)) * 2:
        assert_sums(distance_sums([(kept, other, 0.03)])[0], a, codes * np.float32(0.03))
    assert kept.met(codes)
    assert not kept.met(codes[:1])
    with pytest.raises(EmulationError, match=r"\(2, 24, 5, 6\) and \(24, 2, 5, 6\)"):
        compare_all([(kept, codes.reshape(24, 2, 5, 6), 0.03)])


def test_threads_change_no_bit(monkeypatch) -> None:
    pairs = pairs_of(40)
    alone = distance_sums(pairs)
    monkeypatch.setattr(summing, "SHARED", 1)
    monkeypatch.setenv("QWORKBENCH_NUM_THREADS", "3")
    for _ in range(20):
        assert distance_sums(pairs) == alone


def test_codes_and_numbers_are_compared_side_by_side() -> None:
    codes = np.arange(-60, 60, dtype=np.int16).reshape(2, 60)
    a = codes.astype(np.float32) * np.float32(0.1) + np.float32(0.01)
    pairs = [(a, codes, 0.1), (a, a, None), (a, codes, None), (a[:0], codes[:0], 0.1)]
    alone = [compare_codes(a, codes, 0.1), compare(a, a), compare(a, codes), compare_codes(a[:0], codes[:0], 0.1)]
    assert compare_all(pairs) == alone


def test_the_divergence_of_equal_numbers_is_zero_however_they_lie() -> None:
    a = np.random.default_rng(0).normal(size=(2, 24, 9, 13)).astype(np.float32)
    assert kl_divergence(a, channels_last(a)) == 0.0


SCRIPT = """
import numpy as np
from qworkbench.emulator.kernels.distance_sums import Reference, distance_sums
rng = np.random.default_rng(5)
codes = rng.integers(-128, 128, 30011)
a = (codes * 0.013 + rng.normal(size=codes.size) * 0.02).astype(np.float32)
others = (codes.astype(np.int8), codes.astype(np.int16), (codes * 1.1).astype(np.float32))
for sums in distance_sums([(Reference(a), other, 0.013) for other in others]):
    print([number.hex() for number in sums])
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names processors of x86-64")
def test_an_old_processor_finds_the_same_bits(tmp_path) -> None:
    found = []
    for settings_ in ({}, {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""}):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / str(len(found))), **settings_}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
    assert found[0].count("0x") == 24
