"""A call that was prepared runs again where nothing but the codes changed, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qworkbench.emulator import kernels
from qworkbench.emulator.kernels import isa, ready
from qworkbench.emulator.kernels.surface import inside_of, surfaced
from qworkbench.numerics import ConvGeometry, Requantize, Residual, reference
from tests.emulator.codes import assert_equal, random_codes

pytestmark = pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")


def on_surface(codes):
    return inside_of(surfaced(codes, codes.dtype, 1))


@pytest.mark.parametrize("group", [1, 24])
def test_only_the_same_call_runs_again(group, monkeypatch):
    rng = np.random.default_rng(1)
    x = on_surface(random_codes(rng, (1, 24, 9, 9), "int8"))
    w, other = (random_codes(rng, (24, 24 // group, 3, 3), "int8") for _ in range(2))
    bias = rng.integers(-999, 999, 24).astype(np.int32)
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=group)
    rq = Requantize(rng.uniform(1e-4, 1e-3, 24), "int8", -128, 127)
    ran = []
    run_again = ready.run_again

    def counted(*operands):
        found = run_again(*operands)
        ran.append(found is not None)
        return found

    monkeypatch.setattr("qworkbench.emulator.kernels.convolution.run_again", counted)
    forms: dict = {}

    def same(*operands):
        assert_equal(kernels.conv2d(*operands, forms=forms), reference.conv2d(*operands))
        return ran[-1]

    def again(*operands):
        same(x, w, bias, geometry, rq)
        assert same(x, w, bias, geometry, rq)
        return same(*operands)

    assert again(on_surface(random_codes(rng, x.shape, "int8")), w, bias, geometry, rq)
    assert not again(x, other, bias, geometry, rq)
    assert not again(x, w, None, geometry, rq)
    assert not again(x, w, bias, replace(geometry, strides=(2, 2)), rq)
    assert not again(x, w, bias, geometry, replace(rq, low=0))
    assert not again(x, w, bias, geometry, None)
    assert not again(on_surface(random_codes(rng, (2, 24, 7, 9), "int8")), w, bias, geometry, rq)
    assert not again(on_surface(x.astype(np.int16)), w, bias, geometry, rq)
    assert not again(np.ascontiguousarray(x), w, bias, geometry, rq)
    assert not again(x[:, :, ::-1], w, bias, geometry, rq)
    codes, ratio = on_surface(random_codes(rng, x.shape, "int8")), rng.uniform(1, 9, 24)
    assert not again(x, w, bias, geometry, rq, Residual(codes, ratio))
    same(x, w, bias, geometry, rq, Residual(codes, ratio))
    second = same(x, w, bias, geometry, rq, Residual(on_surface(codes.astype(np.int16)), ratio))
    assert second == (group == 1)  # a depthwise convolution adds its residual afterwards
    assert not same(x, w, bias, geometry, rq, Residual(np.ascontiguousarray(codes), ratio))
    again(x, w, bias, geometry, rq)
    monkeypatch.setenv(isa.VARIABLE, isa.PORTABLE)
    assert not same(x, w, bias, geometry, rq)
