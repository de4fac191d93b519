from __future__ import annotations

import copy

import pytest
import torch

from qworkbench.errors import UnknownNameError
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization import (
    ClipObserver,
    ClipStdObserver,
    FakeCast,
    FakeQuantize,
    FakeQuantState,
    FixedScaleObserver,
    HistogramObserver,
    KLObserver,
    MinMaxObserver,
    MixObserver,
    MovingAveragePerChannelMinMaxObserver,
    MovingAveragePerTensorMinMaxObserver,
    MSEObserver,
    PercentileObserver,
    get_default_qconfig,
    set_fake_quantize,
)
from qworkbench.qat.utils.quant_switch import GlobalFakeQuantSwitch


@pytest.mark.parametrize(("dtype", "low", "high"), [("qint8", -128, 127), ("qint16", -32768, 32767)])
def test_per_tensor_values_and_gradients_are_torchs(dtype, low, high):
    fake = FakeQuantize(MovingAveragePerTensorMinMaxObserver, dtype=dtype)
    fake(torch.randn(64))
    fake.set_state(FakeQuantState.VALIDATION)
    data = torch.randn(40, 7) * 3
    mine, theirs = data.clone().requires_grad_(), data.clone().requires_grad_()
    weight = torch.randn(40, 7)
    out = fake(mine)
    reference = torch.fake_quantize_per_tensor_affine(theirs, float(fake.scale), 0, low, high)
    (out * weight).sum().backward()
    (reference * weight).sum().backward()
    assert torch.equal(out, reference)
    assert torch.equal(mine.grad, theirs.grad)
    formula = torch.round(data / fake.scale).clamp(low, high) * fake.scale
    assert torch.allclose(out, formula, atol=0.51 * float(fake.scale))
    assert (mine.grad == 0).any()  # cut off values pass no gradient
    assert (mine.grad == weight).any()


def test_per_channel_values_and_gradients_are_torchs():
    fake = FakeQuantize(MovingAveragePerChannelMinMaxObserver, ch_axis=1, channel_len=5, averaging_constant=1)
    fake(torch.randn(4, 5, 3))
    fake.set_state(FakeQuantState.VALIDATION)
    data = torch.randn(4, 5, 3) * 2
    mine, theirs = data.clone().requires_grad_(), data.clone().requires_grad_()
    out = fake(mine)
    zero = torch.zeros(5, dtype=torch.int32)
    reference = torch.fake_quantize_per_channel_affine(theirs, fake.scale, zero, 1, -128, 127)
    out.square().sum().backward()
    reference.square().sum().backward()
    assert torch.equal(out, reference)
    assert torch.equal(mine.grad, theirs.grad)


def test_states_decide_what_is_observed_and_what_is_rounded():
    fake = FakeQuantize()
    model = torch.nn.Sequential(fake)
    x = torch.tensor([0.1, 1.28])
    set_fake_quantize(model, FakeQuantState._FLOAT)
    assert fake(x) is x
    assert not fake.observed
    set_fake_quantize(model, FakeQuantState.CALIBRATION)
    assert fake(x) is x
    assert float(fake.scale) == pytest.approx(0.01)
    set_fake_quantize(model, FakeQuantState.VALIDATION)
    scale = fake.scale.clone()
    assert fake(x * 5).max() == pytest.approx(1.27)
    assert torch.equal(fake.scale, scale)
    set_fake_quantize(model, FakeQuantState.QAT)
    fake(x * 5)
    assert fake.scale > scale
    GlobalFakeQuantSwitch.disable()
    assert fake(x) is x
    with pytest.raises(QATError, match="FakeQuantState"):
        set_fake_quantize(model, "QAT")


def test_averaging_constant_zero_keeps_the_first_range_and_one_follows_the_last():
    for constant, expected in ((0.0, 1.0), (1.0, 9.0), (0.5, 5.0)):
        observer = MovingAveragePerTensorMinMaxObserver(averaging_constant=constant)
        observer(torch.tensor([1.0]))
        observer(torch.tensor([9.0]))
        assert float(observer.max_val) == expected
    widest = MinMaxObserver()
    for value in (3.0, -7.0, 1.0):
        widest(torch.tensor([value]))
    assert float(widest.calculate_qparams()) == pytest.approx(7 / 128)


def test_histogram_methods_cut_an_outlier_and_min_max_does_not():
    data = torch.cat([torch.randn(20000), torch.tensor([60.0])])
    found = {}
    for cls in (PercentileObserver, KLObserver, MSEObserver, MixObserver):
        observer = cls()
        for part in data.split(5000):
            observer(part)
        found[cls.__name__] = float(observer.calculate_qparams()) * 128
        assert float(observer.threshold_by("min_max", 100)) == 60.0
    assert found["PercentileObserver"] == pytest.approx(float(data.abs().quantile(0.9999)), rel=0.05)
    assert found["KLObserver"] < 30
    grid = torch.arange(1, 101) * 0.6
    errors = [float(((torch.round(data / (t / 128)).clamp(-128, 127) * (t / 128) - data) ** 2).sum()) for t in grid]
    best = float(grid[int(torch.tensor(errors).argmin())])
    assert found["MSEObserver"] == pytest.approx(best, rel=0.1)
    assert found["MixObserver"] <= 60.0


def test_histogram_does_not_depend_on_the_order_of_a_growing_range():
    rising, falling = HistogramObserver(bins=256), HistogramObserver(bins=256)
    parts = [torch.rand(1000) * k for k in (1, 2, 4, 8)]
    for part in parts:
        rising(part)
    for part in reversed(parts):
        falling(part)
    assert rising.counts.sum() == falling.counts.sum() == 4000
    assert float(rising.threshold()) == pytest.approx(float(falling.threshold()), rel=0.1)


def test_fixed_scale_never_moves_and_must_be_positive():
    fake = FakeQuantize(FixedScaleObserver, scale=0.25)
    fake(torch.randn(10) * 100)
    assert float(fake.scale) == 0.25
    with pytest.raises(QATError, match=r"must be > 0, got -1"):
        FixedScaleObserver(scale=-1)


def test_learnable_scale_gets_the_gradient_of_lsq():
    fake = get_default_qconfig("lsq").activation()
    x = torch.randn(500)
    fake(x)
    scale = fake.scale.detach().clone().requires_grad_()
    fake(x).sum().backward()
    ratio = x / scale.detach()
    inside = (ratio > -128) & (ratio < 127)
    expected = torch.where(inside, ratio.round() - ratio, ratio.clamp(-128, 127)).sum() / (500 * 127) ** 0.5
    assert float(fake.scale.grad) == pytest.approx(float(expected), abs=1e-4)


def test_fake_cast_rounds_to_half_and_passes_gradients():
    x = torch.tensor([1.0001, 1e6], requires_grad=True)
    y = FakeCast()(x)
    y.sum().backward()
    assert y.tolist() == [1.0, 65504.0]
    assert x.grad.tolist() == [1.0, 1.0]
    FakeCast.disable()
    assert FakeCast()(x) is x


def test_state_dict_brings_scales_and_ranges_back():
    fake = FakeQuantize()
    fake(torch.randn(100))
    other = FakeQuantize()
    other.load_state_dict(fake.state_dict())
    assert torch.equal(other.scale, fake.scale)
    assert other.observed
    assert torch.equal(copy.deepcopy(fake).scale, fake.scale)


def test_a_clipped_scale_is_pulled_by_what_it_cuts_off():
    fake = get_default_qconfig("pact").activation()
    fake(torch.linspace(-1, 1, 11))
    assert torch.equal(fake(torch.tensor([0.5])), (torch.tensor([0.5]) / fake.scale).round() * fake.scale)
    x = torch.tensor([0.5, 3.0, -4.0], requires_grad=True)
    fake(x).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0]
    assert float(fake.scale.grad) == 127 - 128
    with pytest.raises(UnknownNameError, match="lsq"):
        FakeQuantize(learnable="lsqq")


def test_clip_observers_bound_the_range():
    data = torch.cat([torch.randn(10000), torch.tensor([90.0])])
    clip = ClipObserver(xmin=-2.0, xmax=3.0)
    clip(data)
    assert (float(clip.min_val), float(clip.max_val)) == (-2.0, 3.0)
    spread = ClipStdObserver(std_scale=2.5)
    spread(data)
    reach = float(data.mean() + 2.5 * data.std(unbiased=False))
    assert float(spread.max_val) == pytest.approx(reach)
    narrow = ClipStdObserver(std_scale=500)
    narrow(data)
    assert float(narrow.max_val) == 90.0
    for name in ("clip", "clip_std"):
        assert get_default_qconfig(activation_observer=name).activation().observer is not None
    with pytest.raises(QATError, match="xmin < xmax"):
        ClipObserver(xmin=1, xmax=1)
    with pytest.raises(QATError, match="std_scale"):
        ClipStdObserver(std_scale=0)
