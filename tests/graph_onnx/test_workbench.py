"""An ONNX file as the model of a workbench and of ``%qwb load``."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import qworkbench as q
from qworkbench.errors import AnalysisError, CalibrationError, CaptureError, FileFormatError
from qworkbench.graph.onnx_frontend import open_onnx, read_onnx, verify, verify_onnx
from qworkbench.magics.commands.loading import input_shapes
from qworkbench.magics.registry import MagicUsageError
from tests.graph_onnx.files import model, node, normal
from tests.magics.conftest import _shell, qwb, shell  # noqa: F401 -- fixtures


@pytest.fixture
def path(tmp_path):
    nodes = [
        node("Conv", ("x", "w"), ("a",), "/stem/Conv", pads=[1, 1, 1, 1]),
        node("Sigmoid", "a", "g", "/stem/act/Sigmoid"),
        node("Mul", "ag", "b", "/stem/act/Mul"),
        node("Conv", ("b", "v"), ("y",), "/head/Conv"),
    ]
    content = model(nodes, {"x": ("N", 3, "H", "W")}, ("y",), {"w": normal(4, 3, 3, 3), "v": normal(2, 4, 1, 1)})
    (tmp_path / "net.onnx").write_bytes(content)
    return tmp_path / "net.onnx"


IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [str, lambda p: p])
def test_a_path_is_a_model(path, kind):
    wb = q.Workbench(kind(path), IMAGES[:1], calibration=IMAGES)
    assert wb.graph.nodes.names() == ("/stem/Conv", "/stem/act/Mul", "/head/Conv")
    assert (wb.placement.count("BPU"), wb.model) == (3, kind(path))
    run = wb.run(IMAGES)
    assert run.outputs["y"].shape == (6, 2, 8, 8)
    assert run.table.loc["y", "cosine"] > 0.99
    wb.edit(q.SetPlacement("/stem/act/Mul", "cpu"))
    assert wb.placement["/stem/act/Mul"].on == "CPU"


def test_without_example_the_sizes_and_then_data_or_inputs_are_asked_for(path):
    with pytest.raises(CaptureError, match="axis 2 is open"):
        q.Workbench(path)
    wb = q.Workbench(path, input_shape=(1, 3, 8, 8))
    assert wb.example is None
    assert wb.sample is None
    with pytest.raises(CalibrationError, match=r"loaded without an example.*calibrate with data.*wb\.run"):
        wb.run()
    with pytest.raises(AnalysisError, match=r"loaded without an example.*calibrate with data"):
        wb.compare_layers()


@pytest.mark.parametrize("batch", [1, 2])
def test_without_example_the_first_calibration_sample_is_the_default(path, tmp_path, batch):
    wb = q.Workbench(path, input_shape=(batch, 3, 8, 8))
    wb.calibrate(IMAGES[2:])
    assert np.array_equal(wb.sample["x"], IMAGES[2:3].numpy())
    run = wb.run()
    assert np.array_equal(run.outputs["y"], wb.run(IMAGES[2:3]).outputs["y"])
    assert wb.run_async().wait(60).outputs["y"].shape == (1, 2, 8, 8)
    assert "/head/Conv" in set(wb.sensitivity()["op_name"])
    assert wb.run(IMAGES[:2]).outputs["y"].shape == (2, 2, 8, 8)
    again = q.Workbench.open(wb.save(tmp_path / "state.qwb.json"), path)
    assert np.array_equal(again.run().outputs["y"], run.outputs["y"])
    wb.calibrate(IMAGES[1:])
    assert np.array_equal(wb.sample["x"], IMAGES[1:2].numpy())


def test_an_example_stays_the_default_after_calibration(path):
    wb = q.Workbench(path, IMAGES[:2], calibration=IMAGES[3:])
    assert wb.sample is wb.example
    assert wb.run().outputs["y"].shape == (2, 2, 8, 8)


def test_an_example_that_does_not_fit_is_named(path):
    with pytest.raises(CaptureError, match=r"must have shape .*got \(1, 4, 8, 8\)"):
        q.Workbench(path, torch.ones(1, 4, 8, 8))
    with pytest.raises(CaptureError, match="must be float32"):
        q.Workbench(path, np.ones((1, 3, 8, 8)))


def test_a_torch_file_is_not_opened_and_input_shape_is_for_files(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"x")
    with pytest.raises(FileFormatError, match="can run code"):
        q.Workbench(tmp_path / "net.pt")
    with pytest.raises(CaptureError, match="input_shape is for ONNX files"):
        q.Workbench(torch.nn.ReLU(), torch.ones(1, 3), input_shape=(1, 3))


def test_a_saved_state_is_opened_with_the_file(path, tmp_path):
    for example, inputs in ((IMAGES[:1], None), (None, IMAGES[:1])):
        wb = q.Workbench(path, example, calibration=IMAGES, input_shape=(1, 3, 8, 8))
        wb.edit(q.SetDtype("/stem/Conv", "int16"))
        state = wb.save(tmp_path / "state.qwb.json")
        again = q.Workbench.open(state, path)
        assert np.array_equal(again.run(inputs).outputs["y"], wb.run(inputs).outputs["y"])


def test_a_graph_that_disagrees_names_the_first_node(path, monkeypatch):
    from qworkbench.graph.float_kernels import KERNELS

    assert open_onnx(path, IMAGES[:1]).nodes.names()[0] == "/stem/Conv"
    monkeypatch.setitem(KERNELS, "Swish", lambda _, x: x * torch.sigmoid(1.01 * x))
    with pytest.raises(CaptureError, match=r"differs from what onnxruntime computes.*output 'y'.*'/stem/act/Mul'"):
        open_onnx(path, IMAGES[:1])


def test_verification_returns_a_distance_per_output(path):
    graph = read_onnx(path, input_shapes={"x": (1, 3, 8, 8)})
    assert 0 <= verify_onnx(graph, path, {"x": IMAGES})["y"] <= 1e-6
    assert verify.TOLERANCE == 1e-4


def test_magic_loads_a_file(qwb, shell, path):  # noqa: F811
    shell.user_ns.update(images=IMAGES)
    step = qwb(f"load {path} --input-shape 1x3x8x8 --calibration images")
    assert "net on bayes-e: 3 nodes, 3 on the BPU" in step.text
    wb = qwb("use")
    assert wb.example is None
    assert wb.statistics.samples == 6


def test_magic_calibrates_a_file_and_runs_on_the_first_sample(qwb, shell, path):  # noqa: F811
    shell.user_ns.update(images=IMAGES[4:])
    qwb(f"load {path} --input-shape 1x3x8x8")
    assert "default sample: none; calibrate with data, or give --inputs" in str(qwb("info"))
    qwb("calibrate images")
    assert "default sample: the first calibration sample" in str(qwb("info"))
    assert np.array_equal(qwb("run").outputs["y"], qwb("use").run(IMAGES[4:5]).outputs["y"])


def test_magic_takes_an_example_for_a_file_and_keeps_x_for_a_variable(qwb, shell, path):  # noqa: F811
    shell.user_ns.update(image=IMAGES[:2])
    qwb(f"load {path} --example image --name mine")
    assert qwb("use").example is shell.user_ns["image"]
    assert "mine" in str(qwb("list"))
    qwb("load model")
    assert qwb("use").example is shell.user_ns["x"]
    assert "default sample: the example" in str(qwb("info"))


def test_input_shapes_are_read_from_words():
    assert input_shapes("1x3x224x224") == (1, 3, 224, 224)
    assert input_shapes("image=1x3x8x8,scale=1x2") == {"image": (1, 3, 8, 8), "scale": (1, 2)}
    for word in ("1,3,8,8", "axb", "1x", "image=", ""):
        with pytest.raises(MagicUsageError, match="1x3x224x224"):
            input_shapes(word)
