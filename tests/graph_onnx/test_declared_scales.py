"""Quantized files of onnxruntime: their scales are fixed scales, and calibration leaves them alone."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.errors import EditError
from qworkbench.numerics.stored import StoredScale
from tests.graph_onnx.files import model, node, ort

quantization = pytest.importorskip("onnxruntime.quantization", reason="onnxruntime makes the files")

F = np.float32


class Net(nn.Module):
    """A residual, a Concat, pools, tables, a mean and a Linear."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(16, 12, 1)
        self.fc = nn.Linear(12, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        y = nn.functional.silu(torch.relu(self.conv(x) + x))
        z = torch.cat([nn.functional.max_pool2d(y, 2), nn.functional.leaky_relu(self.down(x), 0.1)], 1)
        z = nn.functional.avg_pool2d(torch.sigmoid(self.mix(z)), 2)
        return self.fc(z.mean((2, 3)))


def images(count, seed=0):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)).numpy()


class Reader(quantization.CalibrationDataReader):
    def __init__(self):
        self.left = iter([{"x": image[None]} for image in images(8)])

    def get_next(self):
        return next(self.left, None)


INT8, UINT8, INT16 = (getattr(quantization.QuantType, f"Q{name}") for name in ("Int8", "UInt8", "Int16"))
QDQ, OPERATORS = quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator
KINDS = {
    "QDQ int8": {"quant_format": QDQ, "activation_type": INT8, "extra_options": {"ActivationSymmetric": True}},
    "QDQ uint8": {"quant_format": QDQ, "activation_type": UINT8, "per_channel": True},
    "QDQ int16": {"quant_format": QDQ, "activation_type": INT16, "extra_options": {"ActivationSymmetric": True}},
    "operators int8": {
        "quant_format": OPERATORS, "activation_type": INT8, "extra_options": {"ActivationSymmetric": True},
    },
    "operators uint8": {"quant_format": OPERATORS, "activation_type": UINT8, "weight_type": UINT8},
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized")
    torch.manual_seed(0)
    net = Net().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (torch.from_numpy(images(1)),), folder / "float.onnx", opset_version=17, dynamo=False,
            input_names=["x"], dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    logging.getLogger().setLevel(logging.ERROR)
    for name, options in KINDS.items():
        quantization.quantize_static(
            folder / "float.onnx", folder / f"{name}.onnx", Reader(), **{"weight_type": INT8, **options}
        )
    return folder


@pytest.fixture(params=KINDS)
def opened(request, files):
    path = files / f"{request.param}.onnx"
    return q.Workbench(path), path, request.param


def test_every_stub_is_a_fixed_scale_of_the_workbench(opened):
    wb, _, kind = opened
    stubs = {n.name: n.attrs for n in wb.graph.nodes if n.op == "QuantizeLinear"}
    assert set(wb.config.scales) == set(stubs)
    assert len(stubs) >= 10
    for name, attrs in stubs.items():
        if "uint8" not in kind:
            assert wb.config.scales[name] == pytest.approx(attrs["scale"], rel=1e-6)
        else:
            low, high = -attrs["zero_point"] * attrs["scale"], (255 - attrs["zero_point"]) * attrs["scale"]
            scale = wb.config.scales[name]
            assert 127 * scale >= high * (1 - 1e-6)
            assert -128 * scale <= low * (1 - 1e-6)
            assert 127 * scale == pytest.approx(high, rel=1e-6) or -128 * scale == pytest.approx(low, rel=1e-6)
        assert wb.placement[name].reason.code == "declared"
    assert wb.edited_nodes() == frozenset()
    assert wb.diff() == []


def test_the_reason_of_a_stub_says_what_the_file_declares(opened):
    wb, _, _ = opened
    stub = next(n for n in wb.graph.nodes if n.op == "QuantizeLinear")
    text = str(wb.why(stub.name))
    assert f"declares scale {stub.attrs['scale']:.6g} ({stub.attrs['dtype']}, zero point" in text
    assert f"%qwb scale {stub.name} --clear" in text


def test_thresholds_around_a_node_say_that_the_file_declares_them(opened):
    wb, _, kind = opened
    wb.calibrate(images(2))
    names = [n.name for n in wb.graph.nodes if n.op == "Conv" and wb.placement[n.name].on == "BPU"]
    entries = [entry for name in names for entry in wb.node_details(name)["thresholds"]]
    outputs = [entry for entry in entries if entry["part"] == "output" and entry["dtype"] != "int32"]
    assert outputs
    assert all(entry["source"].startswith("declared in the file at ") for entry in outputs)
    weights = [entry for entry in entries if entry["part"] == "weight"]
    assert weights
    if "int16" not in kind and kind != "operators uint8":  # codes of neither are symmetric int8
        assert all(entry["source"] == "declared in the file, which stores the weight as codes" for entry in weights)
    name = next(e["source"].split("'")[1] for e in outputs)
    wb.edit(q.FixScale(name, 0.123))
    told = [e["source"] for n in names for e in wb.node_details(n)["thresholds"]]
    assert any(text == f"fixed by the user at {name!r}: scale 0.123" for text in told)


@pytest.mark.parametrize("method", ["max", "max-percentile", "kl", "default", "mix"])
def test_no_method_of_calibration_moves_a_declared_scale(files, method):
    wb = q.Workbench(files / "QDQ int8.onnx")
    declared = dict(wb.config.scales)
    wb.calibrate(images(4) * 50, method=method)
    assert dict(wb.config.scales) == declared
    plan = wb._stages.plan(wb.config)
    for name, scale in declared.items():
        group = wb.placement.group(wb.graph.nodes[name].output)
        if group is not None and group.fixed_by == name:
            for value in group.values:
                key = f"{value}@{group.dtype}"
                assert key not in plan.quantities or plan.quantities[key].single == pytest.approx(scale)


def test_the_emulator_computes_what_onnxruntime_computes_within_some_steps(opened):
    wb, path, kind = opened
    x = images(2, seed=99)
    wb.calibrate(images(8))
    made = next(iter(wb.run(x).outputs.values()))
    want = ort(path.read_bytes(), {"x": torch.from_numpy(x)})[0]
    last = [n for n in wb.graph.nodes if n.op == "QuantizeLinear"][-1]
    steps = np.abs(made - want).max() / wb.config.scales[last.name]
    assert steps <= (256 if kind == "QDQ int16" else 4)  # int16 steps: pooling has int8 only
    assert np.corrcoef(made.ravel(), want.ravel())[0, 1] > 0.999


def test_a_file_in_16_bits_asks_for_int16(files):
    wb = q.Workbench(files / "QDQ int16.onnx", march="bayes-e")
    stem = next(n.name for n in wb.graph.nodes if n.op == "Conv")
    assert wb.placement[stem].dtype == "int16"
    unit = wb.placement.unit_of(stem)
    stubs = [n for n in wb.graph.nodes if n.op == "QuantizeLinear"]
    behind = next(n for n in stubs if n.inputs[0] == unit.outputs[0])
    assert wb.placement.group(unit.outputs[0]).fixed_scale == pytest.approx(behind.attrs["scale"])
    inner = next(n for n in stubs if n.inputs[0] == stem)
    assert "inside the fused" in wb.placement[inner.name].reason.sentence


def test_where_the_bpu_has_no_int16_the_range_stays(files):
    wb = q.Workbench(files / "QDQ int16.onnx", march="bernoulli2")
    stubs = [n for n in wb.graph.nodes if n.op == "QuantizeLinear" and n.inputs[0] in wb.graph.nodes]
    stub = next(n for n in stubs if wb.placement.group(n.inputs[0]) is not None)
    group = wb.placement.group(stub.inputs[0])
    assert group.dtype == "int8"
    assert group.fixed_scale * 127 == pytest.approx(stub.attrs["scale"] * 32767, rel=0.01)


def test_the_relu_that_a_quantizer_stands_for_is_put_back(files):
    floats = q.Workbench(files / "float.onnx")
    quantized = q.Workbench(files / "QDQ uint8.onnx")
    count = [sum(n.op == "Relu" for n in wb.graph.nodes) for wb in (floats, quantized)]
    assert count[0] == count[1] == 2
    stem = next(n for n in quantized.graph.nodes if n.op == "Conv")
    assert len(quantized.placement.unit_of(stem.name).members) == 2


# -- one convolution, bit for bit ----
def one_conv():
    rng = np.random.default_rng(0)
    weights = {
        "s0": F(0.03), "z": np.int8(0), "w": rng.integers(-90, 90, (4, 3, 3, 3)).astype(np.int8),
        "sw": F([0.01, 0.02, 0.005, 0.03]), "zw": np.zeros(4, np.int8), "s1": F(0.2),
        "b": np.int32([5, -7, 100, 0]),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", ("x", "s0", "z"), ("a",), "quant"),
        node("QLinearConv", ("a", "s0", "z", "w", "sw", "zw", "s1", "z", "b"), ("c",), "conv"),
        node("DequantizeLinear", ("c", "s1", "z"), ("y",), "dequant"),
    ]
    return model(nodes, {"x": (1, 3, 6, 6)}, ("y",), weights, 17)


def test_a_symmetric_convolution_is_emulated_bit_for_bit_with_the_weights_of_the_file(tmp_path):
    (tmp_path / "conv.onnx").write_bytes(one_conv())
    wb = q.Workbench(tmp_path / "conv.onnx")
    x = np.random.default_rng(1).standard_normal((1, 3, 6, 6)).astype(F) * 2
    wb.calibrate(x)
    run = wb.run(x)
    np.testing.assert_array_equal(run.outputs["y"], ort(one_conv(), {"x": torch.from_numpy(x)})[0])
    assert wb.placement["conv"].dtype == "int8"  # the file quantizes its output, so it does not leave as int32


# -- where several meet ----
def chain(first, second, third):
    """conv -> stub -> MaxPool -> stub -> conv2, and conv -> MaxPool only moves codes: one scale group."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(F), "v": rng.standard_normal((4, 4, 1, 1)).astype(F),
        "s0": F(first), "s1": F(second), "s2": F(third), "z": np.int8(0),
    }  # fmt: skip
    nodes = [
        node("Conv", ("x", "w"), ("c",), "conv"),
        node("QuantizeLinear", ("c", "s0", "z"), ("cq",), "behind_conv"),
        node("DequantizeLinear", ("cq", "s0", "z"), ("cd",), "d0"),
        node("MaxPool", ("cd",), ("p",), "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("QuantizeLinear", ("p", "s1", "z"), ("pq",), "behind_pool"),
        node("DequantizeLinear", ("pq", "s1", "z"), ("pd",), "d1"),
        node("Conv", ("pd", "v"), ("e",), "second"),
        node("QuantizeLinear", ("e", "s2", "z"), ("eq",), "behind_second"),
        node("DequantizeLinear", ("eq", "s2", "z"), ("y",), "d2"),
    ]
    return model(nodes, {"x": (1, 3, 8, 8)}, ("y",), weights, 13)


@pytest.fixture
def met(tmp_path):
    (tmp_path / "chain.onnx").write_bytes(chain(0.3, 0.1, 0.5))
    return q.Workbench(tmp_path / "chain.onnx")


def test_the_scale_that_an_active_op_reads_rules_its_group(met):
    group = met.placement.group("conv")
    assert set(group.values) >= {"conv", "pool"}
    assert (group.fixed_scale, group.fixed_by) == (pytest.approx(0.1), "behind_pool")
    text = met.placement["behind_conv"].reason.sentence
    assert "declares scale 0.3" in text
    assert "keeps 0.1, fixed by 'behind_pool'" in text
    assert "fixed scale of its scale group is 0.1" in met.placement["behind_pool"].reason.sentence


def test_where_no_active_op_reads_one_the_largest_rules(tmp_path):
    (tmp_path / "chain.onnx").write_bytes(chain(0.3, 0.1, 0.5))
    wb = q.Workbench(tmp_path / "chain.onnx")
    wb.edit(q.SetPlacement("second", "cpu"), q.SetPlacement("pool", "bpu"))
    assert wb.placement["pool"].on == "BPU"
    assert wb.placement.group("conv").fixed_by == "behind_conv"


def test_what_the_user_fixes_comes_before_what_the_file_declares(met):
    met.edit(q.FixScale("pool", 0.7))
    assert (met.placement.group("conv").fixed_scale, met.placement.group("conv").fixed_by) == (
        pytest.approx(0.7),
        "pool",
    )
    with pytest.raises(EditError, match="contradict"):
        met.edit(q.FixScale("conv", 0.6))
    met.undo()
    met.edit(q.FixScale("behind_conv", 0.25))  # another scale on a stub is the user's
    assert met.placement.group("conv").fixed_by == "behind_conv"


def test_a_cleared_scale_is_calibrated(met):
    met.edit(q.ClearScale("behind_conv"), q.ClearScale("behind_pool"))
    assert met.placement.group("conv").fixed_scale is None
    assert met.placement["behind_conv"].reason.code == "stub"
    met.undo()
    assert met.placement.group("conv").fixed_by == "behind_pool"


def test_a_saved_workbench_opens_with_the_same_scales(met, tmp_path):
    met.edit(q.ClearScale("behind_pool"))
    met.calibrate(np.ones((1, 3, 8, 8), F))
    met.save(tmp_path / "state.qwb.json")
    opened = q.Workbench.open(tmp_path / "state.qwb.json", tmp_path / "chain.onnx")
    assert opened.config == met.config
    assert opened.placement.group("conv").fixed_by == "behind_conv"


@pytest.mark.parametrize(
    ("stored", "want"),
    [
        (StoredScale((0.5,), (0,), "int8"), 0.5),
        (StoredScale((0.5,), (128,), "uint8"), 0.5),
        (StoredScale((0.5,), (0,), "uint8"), 0.5 * 255 / 127),
        (StoredScale((0.5,), (255,), "uint8"), 0.5 * 255 / 128),
        (StoredScale((0.5, 2.0), (0, 0), "int8"), 2.0),
        (StoredScale((0.5,), (0,), "int4"), 0.5 * 8 / 128),
    ],
)
def test_the_symmetric_scale_is_the_smallest_that_covers_the_range(stored, want):
    assert stored.symmetric("int8") == pytest.approx(want)
    low, high = stored.range()
    assert -128 * want <= low + 1e-6
    assert 127 * want >= high - 1e-6
