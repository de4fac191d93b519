from __future__ import annotations

import copy
import io
from pathlib import Path

import pytest
import torch
from torch import nn

import qworkbench.qat as horizon
from qworkbench.errors import UnknownNameError
from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat import march
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.qat_mode import QATMode, set_qat_mode
from qworkbench.qat.quantization import (
    FakeQuantize,
    FakeQuantState,
    HistogramObserver,
    QConfig,
    convert_fx,
    get_default_qconfig,
    prepare_qat_fx,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig import (
    default_calib_8bit_fake_quant_qconfig,
    default_qat_8bit_fake_quant_qconfig,
    default_qat_8bit_weight_16bit_act_fake_quant_qconfig,
    default_qat_8bit_weight_32bit_out_fake_quant_qconfig,
    fp16_qconfig,
)
from tests.qat.nets import MODELS, MobileLike, ResNetLike

QAT = {"": default_qat_8bit_fake_quant_qconfig}


@pytest.mark.parametrize("make", MODELS)
def test_with_fake_quant_off_one_step_is_the_eager_step_bit_for_bit(make):
    set_qat_mode(QATMode.WithBN)
    model = make().train()
    eager = copy.deepcopy(model)
    names = {id(p): n for n, p in model.named_parameters()}
    trained = prepare_qat_fx(model, QAT)
    set_fake_quantize(trained, FakeQuantState._FLOAT)
    x = torch.randn(4, 3, 16, 16)
    for one in (eager, trained):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
        one(x).square().mean().backward()
        optimizer.step()
    wanted = dict(eager.named_parameters())
    seen = 0
    for parameter in trained.parameters():
        assert torch.equal(parameter.grad, wanted[names[id(parameter)]].grad)
        assert torch.equal(parameter, wanted[names[id(parameter)]])
        seen += 1
    assert seen == len(wanted)
    statistics = {id(b): n for n, b in model.named_buffers()}
    there = dict(eager.named_buffers())
    compared = [torch.equal(b, there[statistics[id(b)]]) for b in trained.buffers() if id(b) in statistics]
    assert len(compared) == len(there)
    assert all(compared)


@pytest.mark.parametrize("mode", QATMode)
@pytest.mark.parametrize("make", MODELS)
def test_training_lowers_a_loss_and_state_dict_brings_it_back(make, mode):
    set_qat_mode(mode)
    model = prepare_qat_fx(make().train(), QAT)
    x = torch.randn(8, 3, 16, 16)
    target = torch.randn_like(model(x))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    model.eval()
    other = prepare_qat_fx(make().train(), QAT).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), model(x))


def test_learning_rate_zero_is_the_calibrated_model():
    float_model = ResNetLike().eval()
    x = torch.randn(8, 3, 16, 16)
    calibrated = prepare_qat_fx(copy.deepcopy(float_model), {"": default_calib_8bit_fake_quant_qconfig})
    calibrated(x)
    calibrated.eval()
    set_fake_quantize(calibrated, FakeQuantState.VALIDATION)
    fixed = get_default_qconfig(activation_qkwargs={"averaging_constant": 0.0})
    trained = prepare_qat_fx(copy.deepcopy(float_model).train(), {"": fixed})
    trained.load_state_dict(calibrated.state_dict())
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.0)
    trained(x).sum().backward()
    optimizer.step()
    trained.eval()
    set_fake_quantize(trained, FakeQuantState.VALIDATION)
    assert torch.equal(trained(x), calibrated(x))


def test_priority_is_global_type_name_attribute():
    made = {k: get_default_qconfig(activation_qkwargs={"averaging_constant": k}) for k in (0.1, 0.2, 0.3, 0.4)}
    model = ResNetLike()
    model.layer2.qconfig = made[0.4]
    trained = prepare_qat_fx(
        model,
        {
            "": made[0.1],
            "module_type": [(nn.Conv2d, made[0.2])],
            "module_name": {"layer1": made[0.3], "layer2": made[0.3]},
        },
    )

    def constant(path):
        return trained.get_submodule(path).activation_post_process.observer.averaging_constant

    assert constant("fc") == 0.1
    assert constant("stem.0") == 0.2
    assert constant("layer1.conv1") == 0.3
    assert constant("layer2.conv1") == 0.4


def test_none_keeps_a_module_in_float():
    trained = prepare_qat_fx(ResNetLike(), {**QAT, "module_name": {"fc": None}})
    assert type(trained.fc) is nn.Linear


def test_hybrid_keeps_modules_in_float_and_named_attributes_are_preserved():
    model = ResNetLike()
    model.classes = ["a", "b"]
    trained = prepare_qat_fx(
        model,
        QAT,
        {"preserved_attributes": ["classes"]},
        hybrid=True,
        hybrid_dict={"module_name": ["fc"], "module_type": [nn.AdaptiveAvgPool2d]},
    )
    assert type(trained.fc) is nn.Linear
    assert type(trained.pool) is nn.AdaptiveAvgPool2d
    assert isinstance(trained.stem.get_submodule("0"), qat.QuantizedOperator)
    assert trained.classes == ["a", "b"]
    with pytest.raises(QATError, match="pass hybrid=True"):
        prepare_qat_fx(model, QAT, hybrid_dict={"module_name": ["fc"]})
    with pytest.raises(UnknownNameError, match="fcc"):
        prepare_qat_fx(model, QAT, hybrid=True, hybrid_dict={"module_name": ["fcc"]})
    with pytest.raises(UnknownNameError, match="attribute"):
        prepare_qat_fx(model, QAT, {"preserved_attributes": ["clases"]})
    with pytest.raises(QATError, match="optimize_graph"):
        prepare_qat_fx(model, QAT, optimize_graph=True)


def test_parameters_that_the_code_reshapes_are_no_operators():
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.conv = QuantStub(), nn.Conv2d(3, 3, 1)
            self.token, self.dequant = nn.Parameter(torch.randn(1, 3, 1, 1)), DeQuantStub()

        def forward(self, x):
            return self.dequant(self.conv(self.quant(x)) + self.token.expand(x.shape[0], -1, -1, -1))

    model = Token().eval()
    x = torch.randn(2, 3, 4, 4)
    trained = prepare_qat_fx(model, QAT)
    set_fake_quantize(trained, FakeQuantState._FLOAT)
    assert torch.allclose(trained(x), model(x), atol=1e-6)


def test_clear_errors():
    with pytest.raises(QATError, match="one prepare call takes one kind"):
        prepare_qat_fx(ResNetLike(), {**QAT, "module_name": {"fc": default_calib_8bit_fake_quant_qconfig}})
    with pytest.raises(UnknownNameError, match="did you mean 'fc'"):
        prepare_qat_fx(ResNetLike(), {**QAT, "module_name": {"fcc": None}})
    with pytest.raises(QATError, match="no qconfig is given"):
        prepare_qat_fx(ResNetLike())
    with pytest.raises(QATError, match="has no QuantStub"):
        prepare_qat_fx(nn.Sequential(nn.Conv2d(3, 3, 1)), QAT)
    with pytest.raises(QATError, match="prepare the float model"):
        prepare_qat_fx(prepare_qat_fx(ResNetLike(), QAT), QAT)
    with pytest.raises(QATError, match="call prepare_qat_fx first"):
        convert_fx(ResNetLike())
    with pytest.raises(QATError, match="was never observed"):
        convert_fx(prepare_qat_fx(ResNetLike(), QAT))
    march.set_march("bernoulli2")
    with pytest.raises(QATError, match="asks for qint16, which bernoulli2 does not have"):
        prepare_qat_fx(ResNetLike(), {"": default_qat_8bit_weight_16bit_act_fake_quant_qconfig})
    march._set.clear()
    with pytest.raises(QATError, match="call set_march first"):
        prepare_qat_fx(ResNetLike(), QAT)
    with pytest.raises(UnknownNameError, match="did you mean 'bayes"):
        march.set_march("bayess")
    mixed = QConfig(default_qat_8bit_fake_quant_qconfig.activation, default_calib_8bit_fake_quant_qconfig.weight)
    with pytest.raises(QATError, match="mixes calibration and QAT"):
        _ = mixed.kind


def test_high_precision_tail_is_the_accumulator():
    wide = default_qat_8bit_weight_32bit_out_fake_quant_qconfig
    trained = prepare_qat_fx(ResNetLike().train(), {**QAT, "module_name": {"fc": wide}})
    x = torch.randn(4, 3, 16, 16)
    trained(x)
    trained.eval()
    assert trained.fc.activation_post_process is None
    y = convert_fx(trained)(x)
    assert torch.allclose(y, trained(x), atol=0.05 * float(y.abs().max()))
    assert y.unique().numel() > 4


def test_freezing_batch_norm_keeps_its_statistics():
    set_qat_mode(QATMode.WithBN)
    trained = prepare_qat_fx(MobileLike().train(), QAT)
    assert isinstance(trained.expand.get_submodule("0"), qat.QuantizedOperator)
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    before = trained.expand.get_submodule("0").bn.running_mean.clone()
    trained(torch.randn(2, 3, 8, 8))
    assert torch.equal(trained.expand.get_submodule("0").bn.running_mean, before)


def test_amp_trains():
    trained = prepare_qat_fx(ResNetLike().train(), QAT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = trained(torch.randn(2, 3, 16, 16)).float().square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained.parameters())


def test_buffers_keep_their_place_in_memory():
    trained = prepare_qat_fx(ResNetLike().train(), QAT)
    places = {n: (b.data_ptr(), b.shape) for n, b in trained.named_buffers()}
    trained(torch.randn(2, 3, 16, 16))
    assert places == {n: (b.data_ptr(), b.shape) for n, b in trained.named_buffers()}
    assert sum(isinstance(m, FakeQuantize) for m in trained.modules()) > 10


def test_scales_are_reset_by_another_method_without_data():
    trained = prepare_qat_fx(ResNetLike().eval(), {"": default_calib_8bit_fake_quant_qconfig})
    trained(torch.randn(4, 3, 16, 16))
    fake = trained.stem.get_submodule("0").activation_post_process
    quant = trained.quant.activation_post_process
    before, quant_before = float(fake.scale), float(quant.scale)
    HistogramObserver.reset_scale(trained, "percentile", {"percentile": 90.0}, prefix="stem")
    assert float(fake.scale) < 0.9 * before
    assert float(quant.scale) == quant_before
    HistogramObserver.reset_scale(trained, "min_max", dtype="qint16")
    assert fake.dtype == "qint16"
    assert float(fake.scale) == pytest.approx(float(fake.observer.max_val) / 32768)
    with pytest.raises(QATError, match="no calibrated HistogramObserver"):
        HistogramObserver.reset_scale(nn.ReLU())


def test_float16_is_cast_where_the_march_has_it_and_refused_elsewhere():
    half = {**QAT, "module_name": {"pool": fp16_qconfig}}
    with pytest.raises(QATError, match="asks for float16, which bayes does not have"):
        prepare_qat_fx(ResNetLike(), half)
    march.set_march("nash-p")
    trained = prepare_qat_fx(ResNetLike().train(), half)
    y = trained.pool(torch.full((1, 16, 2, 2), 1.0001))
    assert float(y.detach().flatten()[0]) == 1.0


def test_the_package_names_no_torch_ao():
    root = Path(horizon.__file__).parent
    sources = [file.read_text() for file in root.rglob("*.py")]
    assert len(sources) > 20
    assert not [text for text in sources if "torch.ao" in text or "torch.quantization" in text]
