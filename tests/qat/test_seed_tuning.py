"""The code samples of the accuracy tuning guide: the same calls, names and arguments."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from qworkbench.qat import march
from qworkbench.qat.nn import qat
from qworkbench.qat.profiler.model_profilerv2 import QuantAnalysis
from qworkbench.qat.qat_mode import QATMode, get_qat_mode, set_qat_mode
from qworkbench.qat.quantization import (
    DeQuantStub,
    FakeCast,
    FakeQuantState,
    PrepareMethod,
    QuantStub,
    get_qconfig,
    prepare,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig_setter import *  # noqa: F403 (as the guide writes it)
from qworkbench.qat.quantization.qconfig_setter import (
    ConvDtypeTemplate,
    MatmulDtypeTemplate,
    ModuleNameQconfigSetter,
    ModuleNameTemplate,
    QconfigSetter,
    SensitivityTemplate,
    calibration_8bit_weight_16bit_act_qconfig_setter,
    default_calibration_qconfig_setter,
    default_qat_qconfig_setter,
    qat_8bit_weight_16bit_act_qconfig_setter,
    qint8,
    qint16,
    sensitive_op_8bit_weight_16bit_act_calibration_setter,
    sensitive_op_8bit_weight_16bit_act_qat_setter,
    sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter,
    sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter,
)
from qworkbench.qat.utils.quant_switch import GlobalFakeQuantSwitch
from tests.qat.nets import ResNetLike


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Attention(nn.Module):
    """A convolution, a product of matrices, a head, and an operator between them."""

    def __init__(self):
        super().__init__()
        self.quant, self.conv, self.op_1 = QuantStub(), nn.Conv2d(3, 4, 3, padding=1), nn.Sigmoid()
        self.head, self.dequant = nn.Conv2d(8, 4, 1), DeQuantStub()

    def forward(self, x):
        x = self.op_1(self.conv(self.quant(x)))
        tokens = x.flatten(2)
        mixed = torch.matmul(tokens, tokens.transpose(1, 2))
        y = torch.matmul(mixed, tokens).reshape(x.shape)
        return self.dequant(self.head(torch.cat([x, y], 1)))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Attention().eval()


@pytest.fixture
def example_input():
    return (torch.randn(2, 3, 6, 6),)


def calibrated(model, batches):
    for batch in batches:
        model(batch)
    model.eval()
    set_fake_quantize(model, FakeQuantState.VALIDATION)
    return model


def dtypes(model):
    """Return the output dtype of every quantized operator."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, (qat.ReadsInputs, qat.QuantStub)):
            post = module.activation_post_process
            found[name] = None if post is None else post.dtype
    return found


def test_freeze_bn():
    set_qat_mode(QATMode.WithBN)
    assert get_qat_mode() is QATMode.WithBN
    found = prepare(ResNetLike().train(), (torch.randn(2, 3, 16, 16),), default_qat_qconfig_setter)
    assert any("BN" in type(m).__name__ for m in found.modules() if isinstance(m, qat.QuantizedOperator))


@pytest.mark.parametrize("setter", [default_qat_qconfig_setter, default_calibration_qconfig_setter])
def test_float_state_rules_the_tool_out(model, example_input, setter):
    found = prepare(copy.deepcopy(model), example_input, setter)
    set_fake_quantize(found, FakeQuantState._FLOAT)
    found.eval()
    assert torch.allclose(found(*example_input), model(*example_input), atol=1e-6)


class Switching(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.backbone, self.neck = QuantStub(), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.head, self.dequant = nn.Conv2d(3, 2, 1), DeQuantStub()
        self.seen = []

    def forward(self, x):
        x = self.quant(x)
        x = self.backbone(x)
        x = self.neck(x)
        GlobalFakeQuantSwitch.disable()
        FakeCast.disable()
        x = self.head(x)
        GlobalFakeQuantSwitch.enable()
        FakeCast.enable()
        return self.dequant(x)


@pytest.mark.parametrize("method", PrepareMethod)
def test_partial_quantization_inside_of_forward(method):
    x = torch.randn(2, 3, 5, 5)
    found = prepare(Switching().eval(), (x,), calibration_8bit_weight_16bit_act_qconfig_setter, method=method)
    calibrated(found, [x])
    seen = {}
    for name in ("neck", "head"):
        found.get_submodule(name).register_forward_hook(lambda m, args, y, name=name: seen.update({name: (args[0], y)}))
    found(x)
    head, neck = found.get_submodule("head"), found.get_submodule("neck")
    assert torch.equal(seen["head"][1], nn.functional.conv2d(seen["head"][0], head.weight, head.bias))
    assert not torch.equal(seen["neck"][1], nn.functional.conv2d(seen["neck"][0], neck.weight, neck.bias))
    assert GlobalFakeQuantSwitch.state()


def analysis(model, batches, method=PrepareMethod.JIT_STRIP):
    float_net = copy.deepcopy(model)
    calibration_model = prepare(model, (batches[0],), default_calibration_qconfig_setter, method=method)
    return QuantAnalysis(float_net, calibrated(calibration_model, batches), "fake_quant")


@pytest.mark.parametrize("method", [PrepareMethod.JIT_STRIP, PrepareMethod.SYMBOLIC])
def test_quant_analysis_in_five_steps(model, tmp_path, method):
    batches = [torch.randn(2, 3, 6, 6) * scale for scale in (0.5, 1.0, 3.0, 0.2)]
    dataloader = [(batch, torch.zeros(2)) for batch in batches]
    qa = analysis(model, batches, method)
    cases = qa.auto_find_bad_case(dataloader)
    qa.run()
    layers = qa.compare_per_layer()
    tables = qa.sensitivity()
    assert list(cases.indices.columns) == ["COSINE", "L1", "ATOL"]
    assert "The bad case input index of each output:" in str(cases)
    names = list(layers["mod_name"])
    assert names[:3] == ["quant", "conv", "op_1"]
    assert "_generated_matmul_0" in names
    assert "_generated_cat_0" in names
    row = layers.set_index("mod_name").loc["op_1"]
    assert row["max_qscale_diff"] == pytest.approx(row["Atol"] / row["qscale"], rel=1e-4)
    assert row["quant_dtype"] == "qint8"
    table = tables["0-0", "L1"]
    assert list(table.columns) == ["op_name", "sensitive_type", "op_type", "L1", "quant_dtype", "flops", "flops_share"]
    assert {"weight", "activation"} == set(table["sensitive_type"])
    assert table["L1"].is_monotonic_decreasing
    assert table["flops_share"].max() < 1
    folder = tmp_path / "horizon_quant_analysis"
    for name in ("badcase.txt", "compare_per_layer_out.txt", "compare_per_layer_out.csv", "all_badcase_info.pt"):
        assert (folder / name).stat().st_size
    assert (folder / "output_0-0_L1_sensitive_ops.txt").read_text().startswith("op_name")


@pytest.fixture
def tables(model):
    found = analysis(copy.deepcopy(model), [torch.randn(2, 3, 6, 6)])
    found.auto_find_bad_case([torch.randn(2, 3, 6, 6) for _ in range(3)])
    made = found.sensitivity()
    return made["0-0", "L1"], made["0-0", "ATOL"]


@pytest.mark.parametrize(
    ("setters", "stage"),
    [
        (
            lambda t1, t2: (
                sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter(t1, ratio=0.2),
                sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter(t2, ratio=0.2),
                default_calibration_qconfig_setter,
            ),
            "calibration",
        ),
        (
            lambda t1, t2: (
                sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter(t1, ratio=0.2),
                sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter(t2, ratio=0.2),
                default_qat_qconfig_setter,
            ),
            "qat",
        ),
    ],
)
def test_top_20_percent_of_two_tables_become_int16(model, example_input, tables, setters, stage):
    march.set_march("nash-e")
    table1, table2 = tables
    qat_model = prepare(model, example_inputs=example_input, qconfig_setter=setters(table1, table2))
    first = {
        name
        for table in tables
        for name, kind in zip(table["op_name"], table["sensitive_type"], strict=True)
        if kind == "activation" and name in set(table["op_name"][: -(-len(table) // 5)])
    }
    found = dtypes(qat_model)
    raised = {name for name, dtype in found.items() if dtype == "qint16"}
    assert raised
    assert raised <= first
    assert found["head"] is None  # the tail keeps its precision
    qat_model(*example_input)
    assert len(table1) > len(raised)


def module_name_to_qconfig():
    return {"op_1": get_qconfig(in_dtype=torch.float16, weight_dtype=torch.float16, out_dtype=torch.float16)}


@pytest.mark.parametrize(
    "rest",
    [
        lambda table: (calibration_8bit_weight_16bit_act_qconfig_setter,),
        lambda table: (qat_8bit_weight_16bit_act_qconfig_setter,),
        lambda table: (
            sensitive_op_8bit_weight_16bit_act_calibration_setter(table, ratio=0.2),
            default_calibration_qconfig_setter,
        ),
        lambda table: (sensitive_op_8bit_weight_16bit_act_qat_setter(table, ratio=0.2), default_qat_qconfig_setter),
    ],
)
def test_the_most_sensitive_operator_in_float16(model, example_input, tables, rest):
    march.set_march("nash-m")
    qat_model = prepare(
        model,
        example_inputs=example_input,
        qconfig_setter=(ModuleNameQconfigSetter(module_name_to_qconfig()), *rest(tables[0])),
    )
    assert isinstance(qat_model.op_1.activation_post_process, FakeCast)
    assert isinstance(qat_model.op_1.input_post_process[0], FakeCast)
    assert dtypes(qat_model)["conv"] in ("qint8", "qint16")
    y = qat_model(*example_input)
    assert torch.isfinite(y).all()


def test_gemm_inputs_double_int16_and_the_rest_float16(model, example_input):
    march.set_march("nash-p")
    setter = QconfigSetter(
        reference_qconfig=get_qconfig(),
        templates=[
            ModuleNameTemplate({"": torch.float16}),
            ConvDtypeTemplate(input_dtype=qint16, weight_dtype=qint16),
            MatmulDtypeTemplate(input_dtypes=qint16),
        ],
    )
    qat_model = prepare(
        model, example_inputs=example_input, qconfig_setter=setter, method=PrepareMethod.JIT_STRIP
    )  # fmt: skip
    assert set(dtypes(qat_model).values()) == {"float16"}
    assert qat_model.head.weight_fake_quant.dtype == "qint16"
    assert qat_model.head.input_post_process[0].dtype == "qint16"
    assert [step.dtype for step in qat_model._generated_matmul_0.input_post_process] == ["qint16", "qint16"]
    assert qat_model.op_1.input_post_process is None
    wanted = model(*example_input)
    calibrated(qat_model, example_input)
    assert float((qat_model(*example_input) - wanted).detach().abs().max()) < 5e-3 * float(wanted.detach().abs().max())


def test_gemm_inputs_int8_or_int16_by_sensitivity_and_the_rest_float16(model, example_input):
    march.set_march("nash-p")

    def made(*more):
        return QconfigSetter(
            reference_qconfig=get_qconfig(),
            templates=[
                ModuleNameTemplate({"": torch.float16}),
                ConvDtypeTemplate(input_dtype=qint8, weight_dtype=qint8),
                MatmulDtypeTemplate(input_dtypes=qint8),
                *more,
            ],
        )

    float_net = copy.deepcopy(model)
    all_int8 = prepare(copy.deepcopy(model), example_inputs=example_input, qconfig_setter=made())
    qa = QuantAnalysis(float_net, calibrated(all_int8, example_input), "fake_quant")
    qa.set_bad_case(example_input)
    table = next(iter(qa.sensitivity(metric="L1").values()))
    assert set(table["quant_dtype"]) == {"qint8"}
    qat_model = prepare(
        model,
        example_inputs=example_input,
        qconfig_setter=made(SensitivityTemplate(sensitive_table=table, topk_or_ratio=2)),
        method=PrepareMethod.JIT_STRIP,
    )
    calibrated(qat_model, example_input)
    for name, kind in zip(table["op_name"][:2], table["sensitive_type"][:2], strict=True):
        operator = qat_model.get_submodule(name)
        fake = operator.weight_fake_quant if kind == "weight" else operator.input_post_process[0]
        assert fake.dtype == "qint16"
    wanted = float_net(*example_input)
    error = [float((m(*example_input) - wanted).detach().abs().mean()) for m in (all_int8, qat_model)]
    assert error[1] < error[0]
