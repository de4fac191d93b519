"""prepare: running the user's code with its calls routed, tracing it, replacing module by module."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from qworkbench.errors import UnknownNameError
from qworkbench.nn import DeQuantStub, FloatFunctional, QuantStub
from qworkbench.qat import march
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.qat_mode import QATMode, set_qat_mode
from qworkbench.qat.quantization import (
    FakeQuantize,
    FakeQuantState,
    PrepareMethod,
    Tracer,
    convert,
    default_calibration_qconfig_setter,
    default_qat_qconfig_setter,
    dynamic_block,
    prepare,
    set_fake_quantize,
)
from qworkbench.qat.utils.fx_helper import wrap
from tests.qat.nets import MODELS, MobileLike, ResNetLike

GRAPHS = (PrepareMethod.JIT, PrepareMethod.JIT_STRIP, PrepareMethod.SYMBOLIC)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def prepared(model, x, method=PrepareMethod.JIT_STRIP, setter=default_qat_qconfig_setter):
    inputs = x if isinstance(x, tuple) else (x,)
    return prepare(model, example_inputs=inputs, qconfig_setter=setter, method=method)


@pytest.mark.parametrize("mode", QATMode)
@pytest.mark.parametrize("method", PrepareMethod)
@pytest.mark.parametrize("make", MODELS)
def test_with_fake_quant_off_every_method_computes_what_the_float_model_does(make, method, mode):
    set_qat_mode(mode)
    model = make().eval()
    x = torch.randn(2, 3, 16, 16)
    found = prepared(model, x, method)
    set_fake_quantize(found, FakeQuantState._FLOAT)
    assert torch.allclose(found(x), model(x), atol=1e-5)
    assert torch.allclose(found(x[:1].repeat(5, 1, 1, 1)), model(x[:1].repeat(5, 1, 1, 1)), atol=1e-5)


@pytest.mark.parametrize("make", MODELS)
def test_jit_and_symbolic_quantize_alike(make):
    float_model = make().eval()
    x = torch.randn(2, 3, 16, 16)
    found = {method: prepared(copy.deepcopy(float_model), x, method) for method in GRAPHS}
    for model in found.values():
        model(x)
        model.eval()
    wanted = found[PrepareMethod.SYMBOLIC](x)
    assert not torch.equal(wanted, float_model(x))
    for method in GRAPHS:
        assert torch.equal(found[method](x), wanted)
    kinds = [
        sorted(type(m).__name__ for m in model.modules() if isinstance(m, qat.OwnModule)) for model in found.values()
    ]
    assert kinds[0] == kinds[1] == kinds[2]


@pytest.mark.parametrize("make", MODELS)
def test_one_training_step_with_fake_quant_off_is_the_eager_step(make):
    set_qat_mode(QATMode.WithBN)
    model = make().train()
    eager = copy.deepcopy(model)
    names = {id(p): n for n, p in model.named_parameters()}
    found = prepared(model, torch.randn(4, 3, 16, 16))
    set_fake_quantize(found, FakeQuantState._FLOAT)
    x = torch.randn(4, 3, 16, 16)
    for one in (eager, found):
        one(x).square().mean().backward()
    wanted = dict(eager.named_parameters())
    compared = [torch.equal(p.grad, wanted[names[id(p)]].grad) for p in found.parameters()]
    assert len(compared) == len(wanted)
    assert all(compared)
    held = {id(b): n for n, b in model.named_buffers()}
    there = dict(eager.named_buffers())
    statistics = [torch.equal(b, there[held[id(b)]]) for b in found.buffers() if id(b) in held]
    assert len(statistics) == len(there)
    assert all(statistics)


@pytest.mark.parametrize("make", MODELS)
def test_a_jit_model_is_copied_saved_loaded_and_converted(make):
    x = torch.randn(4, 3, 16, 16)
    found = prepared(make().train(), x)
    found(x).square().mean().backward()
    found.eval()
    y = found(x)
    assert torch.equal(copy.deepcopy(found)(x), y)
    file = io.BytesIO()
    torch.save(found, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(x), y)
    again = prepared(make().train(), x)
    again.load_state_dict(found.state_dict())
    assert torch.equal(again.eval()(x), y)
    integers = convert(found)
    scale = max(float(m.scale.detach().max()) for m in found.modules() if isinstance(m, FakeQuantize))
    assert float((integers(x) - y).detach().abs().max()) <= 2 * scale
    assert not any(isinstance(m, FakeQuantize) for m in integers.modules())
    assert torch.equal(copy.deepcopy(integers)(x), integers(x))


def test_preparing_runs_the_model_but_leaves_it_and_its_statistics_as_they_were():
    model = ResNetLike().train()
    before = copy.deepcopy(model.state_dict())
    structure = str(model)
    random = torch.random.get_rng_state()
    prepared(model, torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    assert str(model) == structure
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())


class Branching(nn.Module):
    """Code that fx cannot trace: a branch on values, a branch on self.training, a dict of results."""

    def __init__(self):
        super().__init__()
        self.quant, self.conv, self.bn = QuantStub(), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.head, self.dequant = nn.Conv2d(4, 2, 1), DeQuantStub()

    def forward(self, data):
        x = self.quant(data["image"])
        x = torch.relu(self.bn(self.conv(x)))
        if x.detach().abs().sum() < 0:
            x = -x
        y = self.dequant(self.head(x))
        if self.training:
            return {"loss": ((y - data["target"]) ** 2).mean()}
        return {"prediction": y.softmax(1)}


def test_code_that_fx_cannot_trace_stays_the_users_code():
    model = Branching().eval()
    data = {"image": torch.randn(2, 3, 8, 8), "target": torch.zeros(2, 2, 8, 8)}
    with pytest.raises(QATError, match="cannot be traced"):
        prepared(copy.deepcopy(model), data, PrepareMethod.SYMBOLIC)
    found = prepared(model, data)
    assert type(found.conv).__name__ == "ConvReLU2d"
    found.train()
    found(data)["loss"].backward()
    assert found.conv.weight.grad is not None
    found.eval()
    assert found(data)["prediction"].shape == (2, 2, 8, 8)
    assert convert(found)(data)["prediction"].sum() == pytest.approx(2 * 64)


def test_strip_leaves_what_lies_outside_the_stubs_and_jit_does_not():
    class Outside(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.quant = nn.Conv2d(3, 3, 1), QuantStub()
            self.inside, self.dequant, self.after = nn.Conv2d(3, 3, 1), DeQuantStub(), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.after(self.dequant(self.inside(self.quant(self.before(x)))) + 1)

    x = torch.randn(1, 3, 4, 4)
    strip, whole = prepared(Outside(), x), prepared(Outside(), x, PrepareMethod.JIT)
    assert type(strip.before) is type(strip.after) is nn.Conv2d
    assert isinstance(strip.inside, qat.QuantizedOperator)
    assert isinstance(whole.before, qat.QuantizedOperator)
    assert isinstance(whole.after, qat.QuantizedOperator)
    assert isinstance(whole._generated_add_0, qat.FloatFunctional)


class Looping(nn.Module):
    def __init__(self, *, marked):
        super().__init__()
        self.quant, self.conv, self.relu = QuantStub(), nn.Conv2d(3, 3, 1), nn.ReLU()
        self.dequant, self.marked, self.rounds = DeQuantStub(), marked, 3

    def forward(self, x):
        x = self.quant(x)
        for _ in range(self.rounds):
            if self.marked:
                with dynamic_block(self, "round"):
                    x = self.relu(self.conv(x)) + x
            else:
                x = self.relu(self.conv(x)) + x
        return self.dequant(x * 0.5)


def test_operators_in_a_dynamic_block_are_fused_and_share_their_scale():
    x = torch.randn(1, 3, 4, 4)
    plain, marked = prepared(Looping(marked=False), x), prepared(Looping(marked=True), x)
    assert type(plain.conv).__name__ == "Conv2d"
    assert type(plain.relu) is nn.ReLU
    assert [n for n in plain._modules if n.startswith("_generated_add")] == [f"_generated_add_{k}" for k in range(3)]
    assert type(marked.conv).__name__ == "ConvReLU2d"
    assert [n for n in marked._modules if n.startswith("_generated_add")] == ["_generated_add_0"]
    for model in (plain, marked):
        model.rounds = 5
        model(x)
        model.eval()
        set_fake_quantize(model, FakeQuantState._FLOAT)
    reference = Looping(marked=False)
    reference.load_state_dict({k: v for k, v in marked.state_dict().items() if k in reference.state_dict()})
    reference.rounds = 5
    assert torch.allclose(marked(x), reference(x), atol=1e-5)
    assert marked._generated_mul_0.activation_post_process.observed
    assert Tracer.dynamic_block is dynamic_block


def test_a_dynamic_block_checks_its_module():
    class Wrong(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant = QuantStub()

        def forward(self, x):
            with dynamic_block(self.quant):
                return self.quant(x)

    with pytest.raises(QATError, match="pass self"):
        prepared(Wrong(), torch.randn(1, 3, 4, 4))


def test_wrapped_code_is_left_alone_and_its_operators_are_replaced():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.conv, self.dequant = QuantStub(), nn.Conv2d(3, 3, 1), DeQuantStub()
            self.extra, self.other = QuantStub(), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.post(self.dequant(self.conv(self.quant(x))) + 1)

        @wrap()
        def post(self, y):
            return self.other(self.extra(y * 2)) + 1

    found = prepared(Wrapped(), torch.randn(1, 3, 4, 4))
    assert isinstance(found.other, qat.QuantizedOperator)
    assert isinstance(found.extra, qat.QuantStub)
    assert not [n for n in found._modules if n.startswith("_generated_mul")]
    found(torch.randn(1, 3, 4, 4))


def test_the_add_behind_the_second_operand_is_fused_too_where_the_code_is_the_users():
    model = MobileLike().eval()
    x = torch.randn(2, 3, 16, 16)
    found = prepared(model, x)
    assert type(found.skip).__name__ == "ConvAdd2d"
    assert found.skip.swapped
    assert isinstance(found.again.get_submodule("0"), nn.Identity)
    assert type(model.skip) is FloatFunctional


def test_containers_that_run_through_their_children_get_no_generated_child():
    class Dense(nn.ModuleDict):
        def forward(self, x):
            features = [x]
            for layer in self.values():
                features.append(layer(torch.cat(features, 1)) * 2)
            return torch.cat(features, 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.dequant = QuantStub(), DeQuantStub()
            self.blocks = nn.Sequential(Dense({"a": nn.Conv2d(3, 3, 1), "b": nn.Conv2d(6, 3, 1)}), nn.Conv2d(9, 2, 1))

        def forward(self, x):
            return self.dequant(self.blocks(self.quant(x)))

    model = Net().eval()
    x = torch.randn(1, 3, 4, 4)
    found = prepared(model, x)
    assert list(found.blocks[0]) == ["a", "b"]
    assert {"_generated_cat_0", "_generated_cat_1", "_generated_cat_2", "_generated_mul_0"} <= set(found._modules)
    found(x)
    found.eval()
    assert found._generated_cat_1.activation_post_process.observed
    wanted = found(x)
    assert float((convert(found)(x) - wanted).detach().abs().max()) < 0.05 * float(wanted.detach().abs().max())
    set_fake_quantize(found, FakeQuantState._FLOAT)
    assert torch.equal(found(x), model(x))


def test_a_sum_whose_second_operand_is_the_convolution_converts_in_the_right_order():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU6(), nn.Conv2d(6, 3, 1, bias=False), nn.BatchNorm2d(3))

        def forward(self, x):
            return x + self.conv(x)

    model = nn.Sequential(QuantStub(), Block(), nn.Conv2d(3, 2, 1), DeQuantStub()).eval()
    x = torch.randn(2, 3, 4, 4)
    found = prepared(model, x)
    found(x)
    found.eval()
    wanted = found(x)
    fused = found[1]._generated_add_0
    assert type(fused).__name__ == "ConvAdd2d"
    assert float((convert(found)(x) - wanted).detach().abs().max()) < 0.02 * float(wanted.detach().abs().max())


def test_a_part_of_a_prepared_model_runs_by_itself():
    model = ResNetLike().eval()
    x = torch.randn(2, 3, 16, 16)
    found = prepared(model, x)
    set_fake_quantize(found, FakeQuantState._FLOAT)
    hidden = model.stem(x)
    assert torch.allclose(found.layer1(hidden), model.layer1(hidden), atol=1e-5)


def test_an_exception_in_the_users_code_leaves_nothing_behind():
    model = Branching().eval()
    data = {"image": torch.randn(2, 3, 8, 8), "target": torch.zeros(2, 2, 8, 8)}
    found = prepared(model, data)
    found(data)
    found.eval()
    wanted = found(data)["prediction"]
    with pytest.raises(KeyError):
        found({})
    with pytest.raises(RuntimeError):
        found({"image": torch.randn(2, 5, 8, 8)})
    assert torch.equal(found(data)["prediction"], wanted)
    assert torch.equal(torch.relu(torch.tensor([-1.0])), torch.tensor([0.0]))


def test_an_input_changed_in_place_meanwhile_keeps_its_values():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.conv, self.dequant = QuantStub(), nn.Conv2d(3, 3, 1), DeQuantStub()
            self.relu, self.act = nn.ReLU(inplace=True), nn.Sigmoid()

        def forward(self, x):
            x = self.act(self.quant(x)) - 0.5
            y = self.conv(x)
            return self.dequant(self.act(y + self.relu(x)))

    model, x = InPlace().eval(), torch.randn(1, 3, 4, 4)
    for method in (PrepareMethod.JIT_STRIP, PrepareMethod.SYMBOLIC):
        found = prepared(copy.deepcopy(model), x, method)
        set_fake_quantize(found, FakeQuantState._FLOAT)
        assert torch.allclose(found(x), model(x), atol=1e-6)


def test_autocast_trains_a_model_whose_code_runs():
    found = prepared(ResNetLike().train(), torch.randn(2, 3, 16, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = found(torch.randn(2, 3, 16, 16)).float().square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in found.parameters())


def test_two_threads_run_one_model():
    from concurrent.futures import ThreadPoolExecutor

    found = prepared(ResNetLike().eval(), torch.randn(2, 3, 16, 16))
    batches = [torch.randn(2, 3, 16, 16) for _ in range(8)]
    found(batches[0])
    found.eval()
    wanted = [found(x) for x in batches]
    with ThreadPoolExecutor(2) as pool:
        assert all(torch.equal(a, b) for a, b in zip(pool.map(found, batches), wanted, strict=True))


def test_the_check_of_the_model_is_written_where_the_session_runs(tmp_path):
    prepare(ResNetLike(), (torch.randn(1, 3, 16, 16),), (default_calibration_qconfig_setter,))
    text = (tmp_path / "model_check_result.txt").read_text()
    for title in ("Fusable modules", "Each module called times", "Each layer out qconfig", "Weight qconfig"):
        assert title in text
    assert "every fusable module is fused" in text
    assert "PercentileObserver" in text


def test_clear_errors():
    with pytest.raises(QATError, match="pass example_inputs"):
        prepare(ResNetLike(), None, default_qat_qconfig_setter)
    with pytest.raises(UnknownNameError, match="did you mean 'JIT_STRIP'"):
        prepare(ResNetLike(), None, default_qat_qconfig_setter, method="JIT_STRIPE")
    with pytest.raises(QATError, match="does not run on the example inputs"):
        prepare(ResNetLike(), torch.randn(1, 7), default_qat_qconfig_setter)
    with pytest.raises(QATError, match="has no QuantStub"):
        prepare(nn.Sequential(nn.Conv2d(3, 3, 1)), torch.randn(1, 3, 4, 4), default_qat_qconfig_setter)
    with pytest.raises(QATError, match="was not prepared"):
        convert(ResNetLike())


@pytest.mark.parametrize("make", MODELS)
def test_a_model_prepared_by_running_it_opens_in_the_workbench_with_the_same_codes(make):
    from qworkbench import Workbench

    march.set_march("bayes-e")
    x = torch.randn(2, 3, 16, 16)
    found = prepared(make().eval(), x)
    found(x)
    found.eval()
    run = Workbench(found, x, march="bayes-e").run(x)
    output = next(iter(run.outputs.values()))
    assert torch.equal(torch.tensor(output), convert(found)(x))
