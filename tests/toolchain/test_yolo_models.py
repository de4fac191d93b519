"""The files of benchmarks/yolo: ONNX Runtime computes from them what our graphs compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.yolo import MODELS, build, write_onnx
from qworkbench.errors import UnknownNameError
from qworkbench.graph.execute import run_float

ort = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", MODELS)
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
