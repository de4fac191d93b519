"""Setters and templates: order, prefixes, adjustments, tables, errors."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import nn

from qworkbench.errors import UnknownNameError
from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat import march
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization import (
    CalibFakeQuantize,
    ConvDtypeTemplate,
    FakeQuantize,
    FakeQuantState,
    FixedScaleObserver,
    HistogramObserver,
    MatmulDtypeTemplate,
    MinMaxObserver,
    ModuleNameQconfigSetter,
    ModuleNameTemplate,
    MSEObserver,
    PrepareMethod,
    QconfigSetter,
    SensitivityTemplate,
    convert,
    default_calibration_qconfig_setter,
    default_qat_qconfig_setter,
    get_qconfig,
    prepare,
    sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig_setter.tables import most_sensitive

X = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = QuantStub()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.act, self.pool, self.head = nn.Sigmoid(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1)
        self.dequant = DeQuantStub()

    def forward(self, x):
        return self.dequant(self.head(self.pool(self.act(self.backbone(self.quant(x))))))


def made(*templates, observer=MinMaxObserver, method=PrepareMethod.JIT_STRIP, optimize=True, **kwargs):
    march.set_march("nash-p")
    torch.manual_seed(0)
    setter = QconfigSetter(get_qconfig(observer, **kwargs), list(templates), enable_optimize=optimize)
    return prepare(Chain(), (X,), setter, method=method, check_result=None)


def out(model):
    found = {}
    for name in ("quant", "backbone.0", "backbone.2", "act", "head"):
        post = model.get_submodule(name).activation_post_process
        found[name] = None if post is None else post.dtype
    return found


@pytest.mark.parametrize("method", PrepareMethod)
def test_a_later_template_wins_and_the_longest_name_counts(method):
    model = made(
        ModuleNameTemplate({"": "qint16", "backbone": "qint8"}),
        ModuleNameTemplate({"backbone.2": "qint16"}),
        method=method,
    )
    tail = "qint16" if method is PrepareMethod.EAGER else None
    found = {"quant": "qint16", "backbone.0": "qint8", "backbone.2": "qint16", "act": "qint16", "head": tail}
    assert out(model) == found


def test_a_threshold_fixes_the_scale_and_a_dict_names_each_part():
    model = made(
        ModuleNameTemplate({"act": {"dtype": "qint8", "threshold": 1.0}}),
        ModuleNameTemplate({"backbone.0": {"weight": "qint16", "output": "qint16", "input": "qint8"}}),
    )
    post = model.act.activation_post_process
    assert isinstance(post.observer, FixedScaleObserver)
    assert float(post.scale) == 1 / 128
    model(X * 100)
    assert float(post.scale) == 1 / 128
    first = model.get_submodule("backbone.0")
    assert (first.weight_fake_quant.dtype, first.activation_post_process.dtype) == ("qint16", "qint16")
    assert first.input_post_process is None  # the QuantStub writes int8 already


def test_a_reader_of_int16_raises_its_producer_unless_that_is_frozen():
    def inputs(model):
        steps = model.head.input_post_process
        return None if steps is None else steps[0].dtype

    raised = made(ConvDtypeTemplate(input_dtype="qint16"))
    assert out(raised) == {
        "quant": "qint16",
        "backbone.0": "qint16",
        "backbone.2": "qint8",
        "act": "qint16",
        "head": None,
    }
    assert inputs(raised) is None
    frozen = made(ModuleNameTemplate({"act": "qint8"}, freeze=True), ConvDtypeTemplate(input_dtype="qint16"))
    assert out(frozen)["act"] == "qint8"
    assert inputs(frozen) == "qint16"
    plain = made(ConvDtypeTemplate(input_dtype="qint16"), optimize=False)
    assert set(out(plain).values()) == {"qint8"}
    assert inputs(plain) == "qint16"


def test_a_frozen_tail_is_not_opened():
    assert out(made())["head"] is None
    assert out(made(ModuleNameTemplate({"head": "qint8"}, freeze=True)))["head"] == "qint8"
    assert out(made(ModuleNameTemplate({"head": {"dtype": "qint8", "threshold": 3.0}})))["head"] == "qint8"


@pytest.mark.parametrize("observer", [MinMaxObserver, MSEObserver, HistogramObserver])
def test_the_reference_gives_the_observer(observer):
    model = made(ModuleNameTemplate({"act": "qint16"}), observer=observer)
    for name in ("quant", "act"):
        assert type(model.get_submodule(name).activation_post_process.observer) is observer
    kind = FakeQuantize if observer is MinMaxObserver else CalibFakeQuantize
    assert type(model.act.activation_post_process) is kind


def test_fix_scale_keeps_the_calibrated_scale_in_training():
    model = made(observer=HistogramObserver, fix_scale=True)
    model(X)
    scales = {n: m.scale.clone() for n, m in model.named_modules() if isinstance(m, FakeQuantize)}
    set_fake_quantize(model, FakeQuantState.QAT)
    model.train()
    model(X * 9)
    activations = [n for n in scales if n.endswith("activation_post_process")]
    assert len(activations) >= 4
    assert all(torch.equal(model.get_submodule(n).scale, scales[n]) for n in activations)
    moving = made(observer=HistogramObserver)
    moving(X)
    before = moving.quant.activation_post_process.scale.clone()
    set_fake_quantize(moving, FakeQuantState.QAT)
    moving(X * 9)
    assert not torch.equal(moving.quant.activation_post_process.scale, before)


def test_an_input_of_another_dtype_is_fake_quantized_and_converts():
    model = made(ModuleNameTemplate({"": "qint16"}), ConvDtypeTemplate(input_dtype="qint8"))
    model.train()
    model(X).square().sum().backward()
    assert model.backbone[0].weight.grad is not None
    model.eval()
    step = model.head.input_post_process[0]
    assert step.observed
    assert step.dtype == "qint8"
    seen = {}
    model.head.register_forward_hook(lambda m, args, y: seen.update(x=args[0]))
    wanted = model(X)
    assert not torch.equal(step(seen["x"]), seen["x"])
    integers = convert(model)
    assert float((integers(X) - wanted).detach().abs().max()) < 0.05 * float(wanted.detach().abs().max())
    assert integers.head.inputs[0].dtype == "int8"


def test_matmul_operands_have_their_own_dtypes():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.dequant = QuantStub(), QuantStub(), DeQuantStub()

        def forward(self, x, y):
            return self.dequant(torch.matmul(self.a(x), self.b(y)))

    march.set_march("nash-p")
    templates = [ModuleNameTemplate({"": torch.float16}), MatmulDtypeTemplate(input_dtypes=["qint8", "qint16"])]
    setter = QconfigSetter(get_qconfig(MinMaxObserver), templates)
    model = prepare(Product(), (X, X), setter, check_result=None)
    assert [step.dtype for step in model._generated_matmul_0.input_post_process] == ["qint8", "qint16"]
    with pytest.raises(QATError, match="two operands, got 3"):
        MatmulDtypeTemplate(["qint8"] * 3)


def test_sensitivity_raises_what_is_low_and_passes_over_the_rest():
    rows = [["act", "activation"], ["gone", "activation"], ["backbone.0", "weight"], ["head", "activation"]]
    model = made(SensitivityTemplate(rows, 3))
    assert out(model)["act"] == "qint16"
    assert model.get_submodule("backbone.0").weight_fake_quant.dtype == "qint16"
    only = made(SensitivityTemplate(rows, 1.0, sensitive_type="weight"))
    assert out(only)["act"] == "qint8"
    high = made(ModuleNameTemplate({"act": torch.float16}), SensitivityTemplate(rows, 1))
    assert out(high)["act"] == "float16"


def test_tables_come_as_frames_rows_mappings_and_files(tmp_path):
    rows = [["a", "activation", "x", 3.0], ["b", "weight", "x", 2.0], ["c", "activation", "x", 1.0]]
    frame = pd.DataFrame(rows, columns=["op_name", "sensitive_type", "op_type", "L1"])
    file = tmp_path / "table.pt"
    torch.save(rows, file)
    for table in (rows, frame, frame.to_dict("records"), str(file)):
        assert most_sensitive(table, 2) == [("a", "activation"), ("b", "weight")]
        assert most_sensitive(table, 0.34) == [("a", "activation"), ("b", "weight")]
        assert most_sensitive(table, 1.0, "activation") == [("a", "activation"), ("c", "activation")]
    for bad, text in ((-1, "whole number >= 0"), (1.5, "ratio is in"), (True, "whole number")):
        with pytest.raises(QATError, match=text):
            most_sensitive(rows, bad)
    with pytest.raises(QATError, match="begins with op_name"):
        most_sensitive([["a", "both"]], 1)
    with pytest.raises(QATError, match="cannot read the sensitivity table"):
        most_sensitive(str(tmp_path / "none.pt"), 1)
    with pytest.raises(UnknownNameError):
        most_sensitive(rows, 1, "weights")


def test_the_first_setter_with_an_answer_decides():
    march.set_march("nash-e")
    own = get_qconfig(MinMaxObserver, out_dtype="qint16")
    setters = (ModuleNameQconfigSetter({"backbone": own, "backbone.2": None}), default_qat_qconfig_setter)
    model = prepare(Chain(), (X,), setters, check_result=None)
    assert model.get_submodule("backbone.0").activation_post_process.dtype == "qint16"
    assert type(model.get_submodule("backbone.2")) is nn.Conv2d
    assert model.act.activation_post_process.dtype == "qint8"


def test_clear_errors():
    march.set_march("nash-e")
    with pytest.raises(UnknownNameError, match="did you mean 'backbone'"):
        made(ModuleNameTemplate({"backbon": "qint8"}))
    with pytest.raises(UnknownNameError, match="qint9"):
        ModuleNameTemplate({"": "qint9"})
    with pytest.raises(UnknownNameError, match="treshold"):
        ModuleNameTemplate({"": {"treshold": 1}})
    with pytest.raises(QATError, match="must be > 0"):
        ModuleNameTemplate({"act": {"threshold": 0}})
    with pytest.raises(QATError, match="either topk or ratio"):
        sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter([])
    with pytest.raises(QATError, match="templates hold"):
        QconfigSetter(get_qconfig(), [torch.float16])
    with pytest.raises(QATError, match="observer is an observer class"):
        get_qconfig("min_max")

    def attempt(setter, name="nash-e"):
        march.set_march(name)
        prepare(Chain(), (X,), setter, check_result=None)

    with pytest.raises(UnknownNameError, match="did you mean 'act'"):
        attempt((ModuleNameQconfigSetter({"acc": None}), default_qat_qconfig_setter))
    with pytest.raises(QATError, match="no setter has a qconfig for"):
        attempt((ModuleNameQconfigSetter({"act": None}),))
    own = get_qconfig(MinMaxObserver)
    with pytest.raises(QATError, match="one kind"):
        attempt((ModuleNameQconfigSetter({"act": own}), default_calibration_qconfig_setter))
    with pytest.raises(QATError, match="a tuple of setters"):
        attempt((QconfigSetter(get_qconfig()), default_qat_qconfig_setter))
    with pytest.raises(QATError, match="a qconfig setter is"):
        attempt(("default",))
    double = QconfigSetter(get_qconfig(), [ConvDtypeTemplate("qint16", "qint16")])
    with pytest.raises(QATError, match="reads qint16 and has a weight of qint16, which nash-e cannot do together"):
        attempt(double)
    attempt(double, "nash-p")
    attempt(QconfigSetter(get_qconfig(), [ConvDtypeTemplate("qint8", "qint16")]))
    with pytest.raises(QATError, match=r"the weight of '.*' asks for qint16, which bayes does not have"):
        attempt(double, "bayes")
    with pytest.raises(QATError, match=r"the input of .* asks for float16, which bayes does not have"):
        attempt(QconfigSetter(get_qconfig(in_dtype=torch.float16)), "bayes")
