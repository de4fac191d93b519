from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn

from qworkbench.emulator import kernels
from qworkbench.nn import DeQuantStub, FloatFunctional, QuantStub
from qworkbench.qat import QTensor
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.quantized.common import Quantized
from qworkbench.qat.qat_mode import QATMode, set_qat_mode
from qworkbench.qat.quantization import FakeQuantState, convert_fx, prepare_qat_fx, set_fake_quantize
from qworkbench.qat.quantization.qconfig import (
    default_qat_8bit_fake_quant_qconfig,
    default_qat_8bit_weight_16bit_act_fake_quant_qconfig,
)
from tests.qat.nets import ALL, ResNetLike, UNetLike

QAT = {"": default_qat_8bit_fake_quant_qconfig}
QAT16 = {"": default_qat_8bit_weight_16bit_act_fake_quant_qconfig}


def trained(model, x, qconfig=None):
    """Return the prepared model after a few steps, in its validation state."""
    made = prepare_qat_fx(model.train(), qconfig or QAT)
    optimizer = torch.optim.SGD(made.parameters(), lr=1e-3)
    for _ in range(3):
        made(*x).square().mean().backward()
        optimizer.step()
    made.eval()
    set_fake_quantize(made, FakeQuantState.VALIDATION)
    return made


class One(nn.Module):
    """One operator between stubs, so that its error is its own."""

    def __init__(self, run, parts):
        super().__init__()
        self.quant, self.quant2, self.dequant = QuantStub(), QuantStub(), DeQuantStub()
        for name, part in parts.items():
            self.add_module(name, part)
        self.run = run

    def forward(self, x, y):
        return self.dequant(self.run(self, self.quant(x), self.quant2(y)))


OPS = {
    "conv": (lambda m, x, _: m.op(x), {"op": nn.Conv2d(4, 6, 3, padding=1)}),
    "conv stride, group, same": (lambda m, x, _: m.op(x), {"op": nn.Conv2d(4, 8, 3, padding="same", groups=2)}),
    "conv relu": (lambda m, x, _: m.act(m.op(x)), {"op": nn.Conv2d(4, 6, 3, 2), "act": nn.ReLU()}),
    "conv relu6": (lambda m, x, _: m.act(m.op(x)), {"op": nn.Conv2d(4, 6, 3, 2), "act": nn.ReLU6()}),
    "conv add": (lambda m, x, y: m.op(x) + y, {"op": nn.Conv2d(4, 4, 3, padding=1)}),
    "transposed": (lambda m, x, _: m.op(x), {"op": nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)}),
    "linear": (lambda m, x, _: m.op(x), {"op": nn.Linear(8, 5)}),
    "add": (lambda m, x, y: m.ff.add(x, y), {"ff": FloatFunctional()}),
    "add relu": (lambda m, x, y: m.ff.add_relu(x, y), {"ff": FloatFunctional()}),
    "sub": (lambda _, x, y: x - y, {}),
    "mul": (lambda _, x, y: x * y, {}),
    "matmul": (lambda _, x, y: x @ y, {}),
    "cat": (lambda _, x, y: torch.cat([x, y], 1), {}),
    "add number": (lambda _, x, __: x + 0.7, {}),
    "subtract number": (lambda _, x, __: x - 0.3, {}),
    "times number": (lambda _, x, __: x * -0.4, {}),
    "sigmoid": (lambda m, x, _: m.op(x), {"op": nn.Sigmoid()}),
    "silu function": (lambda _, x, __: nn.functional.silu(x), {}),
    "tanh method": (lambda _, x, __: x.tanh(), {}),
    "leaky": (lambda _, x, __: nn.functional.leaky_relu(x, 0.2), {}),
    "average pool": (lambda m, x, _: m.op(x), {"op": nn.AvgPool2d(2)}),
    "global average": (lambda m, x, _: m.op(x), {"op": nn.AdaptiveAvgPool2d(1)}),
    "mean": (lambda _, x, __: x.mean((2, 3), keepdim=True), {}),
    "max pool": (lambda m, x, _: m.op(x), {"op": nn.MaxPool2d(3, 2, 1)}),
    "relu": (lambda m, x, _: m.op(x), {"op": nn.ReLU()}),
    "clamp": (lambda _, x, __: x.clamp(-0.5, 0.5), {}),
    "pad": (lambda _, x, __: nn.functional.pad(x, (1, 2, 0, 1), value=0.25), {}),
    "nearest": (lambda _, x, __: nn.functional.interpolate(x, scale_factor=2), {}),
    "bilinear": (lambda _, x, __: nn.functional.interpolate(x, size=(15, 12), mode="bilinear"), {}),
    "softmax": (lambda m, x, _: m.op(x), {"op": nn.Softmax(1)}),
    "layer norm": (lambda m, x, _: m.op(x), {"op": nn.LayerNorm(8)}),
    "batch norm": (lambda m, x, _: m.op(x), {"op": nn.BatchNorm2d(4)}),
    "moves": (lambda _, x, __: x.permute(0, 2, 3, 1).reshape(2, -1, 4).chunk(2, 1)[1].flatten(1), {}),
}


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("qconfig", [QAT, QAT16], ids=["int8", "int16"])
def test_one_op_is_within_one_lsb_of_training(name, qconfig):
    run, parts = OPS[name]
    x, y = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8) * 2
    model = One(run, copy.deepcopy(parts))
    made = prepare_qat_fx(model.train(), qconfig)
    made(x, y)
    made.eval()
    integers = convert_fx(made)
    for node in integers.graph.nodes:
        if node.target == "dequant":
            node.replace_all_uses_with(node.args[0])
            integers.graph.erase_node(node)
    integers.recompile()
    found = integers(x, y).detach()
    assert isinstance(found, QTensor)
    error = (found.dequantize() - made(x, y).detach()).abs() / found.q_scale()
    # weights of bilinear have 8 bits; softmax and layer norm are chains with segmented tables inside
    wide = {"bilinear": 256.0, "softmax": 16.0, "layer norm": 24.0}
    limit = wide.get(name, 1.01) if qconfig is QAT16 else 1.01
    assert float(error.max()) <= limit


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("mode", QATMode)
def test_models_on_integers_follow_training(make, mode):
    set_qat_mode(mode)
    x = torch.randn(4, 3, 16, 16)
    made = trained(make(), (x,))
    y, z = made(x).detach(), convert_fx(made)(x)
    assert float((y - z).abs().max()) <= 0.1 * float(y.abs().max())
    assert float(nn.functional.cosine_similarity(y.flatten(), z.flatten(), 0)) > 0.99


def test_a_convolution_is_the_formula_in_integers():
    x = torch.randn(1, 4, 6, 6)
    made = trained(One(*OPS["conv relu"]), (x, x))
    integers = convert_fx(made)
    conv, quant = integers.op, integers.quant
    q = np.clip(np.rint(x.numpy() / quant.scale.numpy()), -128, 127).astype(np.int64)
    w = conv.weight.numpy().astype(np.int64)
    s_x, s_w, s_y = quant.scale.numpy(), conv.weight_scale.numpy(), conv.scale.numpy()
    bias = np.rint(conv.bias.numpy().astype(np.float64) / (float(s_x[0]) * s_w.astype(np.float64)))
    patches = np.lib.stride_tricks.sliding_window_view(q[0], (3, 3), axis=(1, 2))[:, ::2, ::2]
    acc = np.einsum("chwij,ocij->ohw", patches, w) + bias[:, None, None]
    multiplier = (s_x * s_w) / s_y
    wanted = np.clip(np.rint(acc.astype(np.float32) * multiplier[:, None, None]), 0, 127)
    found = integers.op(integers.quant(x)).int_repr().numpy()[0]
    assert np.array_equal(found, wanted.astype(np.int8))


def test_converted_models_are_saved_loaded_copied_and_leave_the_source_alone():
    x = torch.randn(2, 3, 16, 16)
    made = trained(UNetLike(), (x,))
    before = made(x)
    integers = convert_fx(made)
    y = integers(x)
    assert torch.equal(made(x), before)
    file = io.BytesIO()
    torch.save(integers, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), y)
    assert torch.equal(copy.deepcopy(integers)(x), y)
    fresh = convert_fx(made)
    for buffer in fresh.buffers():
        buffer.zero_()
    fresh.load_state_dict(integers.state_dict())
    assert torch.equal(fresh(x), y)


def test_a_float_in_front_of_an_integer_op_is_a_clear_error():
    made = trained(ResNetLike(), (torch.randn(2, 3, 16, 16),))
    integers = convert_fx(made)
    with pytest.raises(QATError, match=r"'fc' got a float Tensor; .* QuantStub"):
        integers.fc(torch.randn(2, 16))


def test_segments_run_alone_and_chained_as_the_whole():
    class Stage(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.quant = QuantStub(scale=None)
            self.conv, self.relu = nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()

        def forward(self, x):
            return self.relu(self.conv(self.quant(x)))

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.stage1, self.stage2 = Stage(3, 6), Stage(6, 2)
            self.dequant = DeQuantStub()

        def forward(self, x):
            return self.dequant(self.stage2(self.stage1(x)))

    x = torch.randn(2, 3, 8, 8)
    integers = convert_fx(trained(Two(), (x,)))
    whole = integers(x)
    assert torch.equal(integers.stage2.quant.scale, integers.stage1.conv.scale)

    def stage(module, data):
        return module.conv(module.quant(data)).dequantize()

    assert torch.equal(stage(integers.stage2, stage(integers.stage1, x)), whole)


def test_only_the_kernels_of_the_emulator_compute(monkeypatch):
    x = torch.randn(2, 3, 16, 16)
    integers = convert_fx(trained(ResNetLike(), (x,)))
    used = []
    for name in ("conv2d", "gemm", "quantize", "global_average_pool", "max_pool2d"):
        kernel = getattr(kernels, name)
        monkeypatch.setattr(kernels, name, lambda *a, _k=kernel, _n=name, **k: used.append(_n) or _k(*a, **k))
    integers(x)
    assert used.count("conv2d") == 6
    assert {"gemm", "quantize", "global_average_pool", "max_pool2d"} <= set(used)
    assert sum(isinstance(m, Quantized) for m in integers.modules()) >= 9


@pytest.mark.parametrize("qconfig", [QAT, QAT16], ids=["int8", "int16 activations"])
def test_state_dict_of_integers_goes_through_a_file_that_holds_tensors_alone(qconfig, tmp_path):
    x = torch.rand(2, 3, 32, 32)
    first, second = (trained(ResNetLike(), (x + shift,), qconfig) for shift in (0.0, 0.5))
    saved, fresh = convert_fx(first), convert_fx(second)
    torch.save(saved.state_dict(), tmp_path / "integers.pt")
    expected = saved(x)
    assert not torch.equal(fresh(x), expected)
    fresh.load_state_dict(torch.load(tmp_path / "integers.pt", weights_only=True))
    assert torch.equal(fresh(x), expected)
