"""QuantAnalysis and the check of a prepared model, step by step."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from qworkbench.analysis.metrics import compare
from qworkbench.errors import Cancelled, UnknownNameError
from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat import march
from qworkbench.qat.errors import QATError
from qworkbench.qat.profiler import QuantAnalysis, check_qat_model
from qworkbench.qat.quantization import (
    FakeQuantize,
    FakeQuantState,
    ModuleNameTemplate,
    PrepareMethod,
    QconfigSetter,
    convert,
    default_calibration_qconfig_setter,
    default_qat_qconfig_setter,
    get_qconfig,
    prepare,
    prepare_qat,
    set_fake_quantize,
)
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig
from tests.qat.nets import ResNetLike, UNetLike


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


BATCHES = [torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(k)) * (1 + 4 * (k == 2)) for k in range(4)]


def pair(make=ResNetLike, method=PrepareMethod.JIT_STRIP, model=None):
    torch.manual_seed(0)
    model = make().eval() if model is None else model.eval()
    float_net = copy.deepcopy(model)
    calibration = prepare(model, (BATCHES[0],), default_calibration_qconfig_setter, method=method, check_result=None)
    for batch in BATCHES[:2]:
        calibration(batch)
    calibration.eval()
    set_fake_quantize(calibration, FakeQuantState.VALIDATION)
    return float_net, calibration


@pytest.fixture
def found():
    return QuantAnalysis(*pair(), "fake_quant")


def test_bad_cases_are_those_of_a_plain_loop(found):
    cases = found.auto_find_bad_case(BATCHES)
    float_net, calibration = found.baseline_model, found.analysis_model
    with torch.no_grad():
        plain = [compare(float_net(b).numpy(), calibration(b).numpy()) for b in BATCHES]
    assert cases.indices.loc["0-0"].to_dict() == {
        "COSINE": int(np.argmin([m.cosine for m in plain])),
        "L1": int(np.argmax([m.l1 for m in plain])),
        "ATOL": int(np.argmax([m.atol for m in plain])),
    }
    assert cases.values.loc["0-0", "ATOL"] == pytest.approx(max(m.atol for m in plain))
    assert set(found.samples) == set(cases.indices.loc["0-0"])
    assert found.auto_find_bad_case(BATCHES, num_steps=1).seen == 1
    own = found.auto_find_bad_case(BATCHES, custom_metric=lambda a, b: float(np.abs(a - b).sum()))
    assert own.values.shape == (1, 1)


def test_bad_cases_are_saved_and_loaded(found, tmp_path):
    cases = found.auto_find_bad_case(BATCHES)
    again = QuantAnalysis(found.baseline_model, found.analysis_model, "fake_quant")
    again.load_bad_case()
    assert str(again.cases) == str(cases)
    again.run()
    found.run()
    assert again.compare_per_layer().equals(found.compare_per_layer())
    with pytest.raises(QATError, match="cannot read bad cases"):
        again.load_bad_case(tmp_path / "none.pt")


@pytest.mark.parametrize("method", [PrepareMethod.JIT_STRIP, PrepareMethod.SYMBOLIC])
def test_layers_carry_the_figures_of_their_tensors(method):
    qa = QuantAnalysis(*pair(UNetLike, method), "fake_quant")
    qa.set_bad_case(BATCHES[2])
    qa.run()
    frame = qa.compare_per_layer()
    row = frame.set_index("mod_name").loc["up"]
    held = {}
    qa.analysis_model.get_submodule("up").register_forward_hook(lambda m, a, y: held.update(quantized=y.detach()))
    qa.baseline_model.up.register_forward_hook(lambda m, a, y: held.update(plain=y.detach()))
    qa.analysis_model(BATCHES[2])
    qa.baseline_model(BATCHES[2])
    wanted = compare(held["plain"].numpy(), held["quantized"].numpy())
    assert row["Cosine"] == pytest.approx(wanted.cosine)
    assert row["Atol"] == pytest.approx(wanted.atol)
    assert row["base_model_max"] == pytest.approx(float(held["plain"].max()))
    fused = frame.set_index("mod_name").loc["down.2"]  # its ReLU is in the convolution: the same values, an Identity
    assert fused["analy_op_type"].endswith("Identity")
    assert fused["Cosine"] > frame.set_index("mod_name").loc["down.0", "Cosine"] + 0.1
    assert list(qa.compare_per_layer(prefixes=["deep"])["mod_name"]) == ["deep.0", "deep.1", "deep.2"]
    assert set(qa.compare_per_layer(types=[nn.ConvTranspose2d])["mod_name"]) == {"up"}
    assert "truncated" in " ".join(frame["advice"])  # the third batch is five times as large as what was calibrated


def test_sensitivity_is_one_quantizer_on_and_leaves_the_model_as_it_was(found):
    found.set_bad_case(BATCHES[0])
    model = found.analysis_model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    states = [(bool(m.observer_enabled), bool(m.fake_quant_enabled)) for m in fakes(model)]
    progress = []
    table = found.sensitivity(metric=["L1", "ATOL"], progress=lambda *step: progress.append(step))["0-0", "L1"]
    assert len(table) == len(fakes(model)) == len(progress)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert states == [(bool(m.observer_enabled), bool(m.fake_quant_enabled)) for m in fakes(model)]
    set_fake_quantize(model, FakeQuantState._FLOAT)
    name, kind = table.loc[0, ["op_name", "sensitive_type"]]
    part = "weight_fake_quant" if kind == "weight" else "activation_post_process"
    getattr(model.get_submodule(name), part).set_state(FakeQuantState.VALIDATION)
    with torch.no_grad():
        expected = compare(found.baseline_model(BATCHES[0]).numpy(), model(BATCHES[0]).numpy()).l1
    assert table.loc[0, "L1"] == pytest.approx(expected)
    conv = table.set_index("op_name").loc["layer2.conv1" if "layer2.conv1" in set(table["op_name"]) else "stem.0"]
    assert int(conv["flops"].iloc[0]) == 2 * 2 * 16 * 4 * 4 * 8 * 9
    with pytest.raises(Cancelled):
        found.sensitivity(cancelled=lambda: True)


def fakes(model):
    return [m for m in model.modules() if isinstance(m, FakeQuantize)]


def test_rankings_are_replaced_by_what_they_rank():
    class Ranked(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = ResNetLike()

        def forward(self, x):
            scores = self.net(x)
            return scores.argmax(1), *torch.topk(scores, 2)

    qa = QuantAnalysis(*pair(Ranked), "fake_quant")
    cases = qa.auto_find_bad_case(BATCHES)
    assert cases.outputs == ("0-0",)
    inner = QuantAnalysis(qa.baseline_model.net, qa.analysis_model.net, "fake_quant").auto_find_bad_case(BATCHES)
    assert cases.values.equals(inner.values)


def test_a_converted_model_is_compared_too():
    float_net, calibration = pair()
    qa = QuantAnalysis(float_net, convert(calibration), "convert")
    qa.auto_find_bad_case(BATCHES[:2])
    qa.run()
    frame = qa.compare_per_layer().set_index("mod_name")
    assert frame.loc["stem.0", "quant_dtype"] == "qint8"
    assert frame.loc["stem.0", "qscale"] == pytest.approx(float(calibration.stem[0].activation_post_process.scale))
    assert frame.loc["fc", "Cosine"] > 0.99
    with pytest.raises(QATError, match="give the model before convert"):
        qa.sensitivity()


def test_post_process_decides_what_is_compared():
    qa = QuantAnalysis(*pair(), "fake_quant", post_process=lambda y: {"p": y.softmax(1), "q": y[:, :1]})
    assert qa.auto_find_bad_case(BATCHES).outputs == ("0-0", "0-1")


def test_clear_errors(found):
    float_net, calibration = found.baseline_model, found.analysis_model
    with pytest.raises(UnknownNameError, match="fake_quant"):
        QuantAnalysis(float_net, calibration, "fake_quants")
    with pytest.raises(QATError, match="compare 'convert' here"):
        QuantAnalysis(float_net, calibration, "export")
    with pytest.raises(QATError, match="was not prepared"):
        QuantAnalysis(float_net, float_net, "fake_quant")
    with pytest.raises(QATError, match="there is no bad case"):
        found.run()
    with pytest.raises(QATError, match="there is no item"):
        found.auto_find_bad_case([])
    found.set_bad_case(BATCHES[0])
    with pytest.raises(QATError, match="call run"):
        found.compare_per_layer()
    with pytest.raises(QATError, match="item 7 is no bad case; there are 0"):
        found.run(index=7)
    with pytest.raises(UnknownNameError, match="metric"):
        found.sensitivity(metric="COSINUS")
    fresh = prepare(ResNetLike(), (BATCHES[0],), default_qat_qconfig_setter, check_result=None)
    qa = QuantAnalysis(float_net, fresh, "fake_quant")
    qa.set_bad_case(BATCHES[0])
    with pytest.raises(QATError, match="calibrate or train"):
        qa.sensitivity()


class Checked(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.conv, self.relu = QuantStub(), nn.Conv2d(3, 3, 1), nn.ReLU()
        self.twice, self.unused, self.dequant = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), DeQuantStub()

    def forward(self, x):
        x = self.relu(self.conv(self.quant(x)))
        return self.dequant(self.twice(self.twice(x)))


def test_the_check_lists_fusion_calls_dtypes_and_fixed_scales():
    march.set_march("nash-e")
    x = torch.randn(1, 3, 4, 4)
    model = Checked()
    model.qconfig = default_qat_8bit_fake_quant_qconfig
    eager = check_qat_model(prepare_qat(model), x)
    assert list(eager.fusable["name"]) == ["conv", "relu"]
    assert dict(eager.calls.values.tolist()) == {
        "quant": 1, "conv": 1, "relu": 1, "twice": 2, "unused": 0, "dequant": 1
    }  # fmt: skip
    setter = QconfigSetter(get_qconfig(), [ModuleNameTemplate({"conv": {"dtype": "qint16", "threshold": 1.0}})])
    found = check_qat_model(prepare(Checked(), (x,), setter, check_result=None), x)
    assert not len(found.fusable)
    rows = found.outputs.set_index("Module Name")
    assert rows.loc["quant", ["Input dtype", "out dtype"]].tolist() == ["torch.float32", "qint8"]
    assert rows.loc["twice", "Input dtype"] == "qint16"
    assert rows.loc["conv", "observer"] == "FixedScaleObserver"
    assert "Fixed scale 3.0517578125e-05" in str(found)
    assert found.weights["weight dtype"].tolist() == ["qint8", "qint8"]
    with pytest.raises(QATError, match="was not prepared"):
        check_qat_model(Checked(), x)


def test_a_file_that_cannot_be_written_is_a_warning_and_no_file_is_a_choice(tmp_path):
    x = torch.randn(1, 3, 16, 16)
    with pytest.warns(UserWarning, match="was not written"):
        prepare(ResNetLike(), (x,), default_qat_qconfig_setter, check_result=tmp_path / "none" / "check.txt")
    prepare(ResNetLike(), (x,), default_qat_qconfig_setter, check_result=None)
    assert not list(tmp_path.iterdir())
