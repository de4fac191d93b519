"""The files of benchmarks/yolo: ONNX Runtime computes from them what our graphs compute."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from benchmarks.yolo import MODELS, build, write_onnx
from qworkbench.errors import UnknownNameError
from qworkbench.graph.execute import run_float

ort = pytest.importorskip("onnxruntime")


SMALLEST = [name for name in MODELS if re.fullmatch(r"yolov?\d+[nt]u?(_\w+)?", name)]
PUBLISHED_MILLIONS = {
    "yolov5su": 9.1,
    "yolov5mu": 25.1,
    "yolov8s": 11.2,
    "yolov8m": 25.9,
    "yolov8s_seg": 11.8,
    "yolov8n_obb": 3.1,
    "yolov8m_cls": 17.0,
    "yolov9s": 7.2,
    "yolo11s": 9.4,
    "yolo11m": 20.1,
    "yolo11l": 25.3,
    "yolo11s_cls": 6.7,
    "yolo11m_seg": 22.4,
    "yolo11n_obb": 2.7,
}


@pytest.mark.parametrize("name", PUBLISHED_MILLIONS)
def test_a_size_has_the_published_number_of_parameters(name):
    graph = build(name, size=32)
    weights = (value.data for value in graph.values.values() if value.data is not None)
    count = sum(data.numel() for data in weights if data.is_floating_point())
    assert count / 1e6 == pytest.approx(PUBLISHED_MILLIONS[name], rel=0.02)


def test_a_task_may_be_written_with_a_hyphen():
    assert build("yolov8n-cls", size=32).nodes.names() == build("yolov8n_cls", size=32).nodes.names()


@pytest.mark.parametrize("name", SMALLEST)
def test_file_and_graph_compute_the_same(name, tmp_path):
    graph = build(name, size=64)
    path = write_onnx(graph, tmp_path / f"{name}.onnx")
    image = torch.rand(graph.shape("images"), generator=torch.Generator().manual_seed(1))
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ours = run_float(graph, {"images": image}, keep=graph.outputs)
    theirs = session.run(None, {"images": image.numpy()})
    assert len(theirs) == len(graph.outputs)
    for value, expected in zip(graph.outputs, theirs, strict=True):
        assert np.abs(ours[value].numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def test_weights_follow_the_seed():
    first, again, other = (build("yolov8n_cls", size=32, seed=seed) for seed in (0, 0, 1))
    name = next(n for n, value in first.values.items() if value.data is not None)
    assert torch.equal(first.tensor(name), again.tensor(name))
    assert not torch.equal(first.tensor(name), other.tensor(name))


def test_unknown_model_names_the_nearest():
    with pytest.raises(UnknownNameError, match="yolov8n"):
        build("yolo8n")
