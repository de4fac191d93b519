"""The networks of the zoo, exported by torch and read again: the same numbers, the same operators at the same place."""

from __future__ import annotations

import warnings
from collections import Counter
from importlib.util import find_spec

import pytest
import torch

from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.graph.torch_frontend import capture
from qworkbench.march import get_march
from qworkbench.placement.place import place
from tests.graph_onnx.files import distance
from tests.models.zoo import ZOO

CANNOT = {("vit", 11): "the exporter has no aten::unflatten before opset 13"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    made = {}

    def export(name, opset, *, dynamo=False, batch=False):
        key = (name, opset, dynamo, batch)
        if (name, opset) in CANNOT:
            pytest.skip(CANNOT[name, opset])
        if key not in made:
            path = folder / f"{'-'.join(map(str, key))}.onnx"
            model, example = ZOO[name]()
            options = {"dynamic_axes": {"input": {0: "batch"}}} if batch else {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    model, (example,), path, opset_version=opset, dynamo=dynamo, input_names=["input"], **options
                )
            made[key] = (path, model, example)
        return made[key]

    return export


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("name", ZOO)
def test_exported_network_computes_what_onnxruntime_computes(exported, name, opset):
    path, _, example = exported(name, opset)
    graph = read_onnx(path)
    assert distance(graph, path, {"input": example}) <= 1e-4


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"detector"}))
def test_open_batch_of_an_exported_network_stays_symbolic(exported, name):
    path, _, example = exported(name, 17, batch=True)
    graph = read_onnx(path)
    assert str(graph.values["input"].shape[0]) == "B"
    assert distance(graph, path, {"input": torch.cat([example, example.flip(-1), example])}) <= 1e-4


def test_a_network_that_counts_its_batch_is_held_at_one(exported):
    """The detector's export writes in place at positions that it computes from the batch: ScatterND indices."""
    path, _, example = exported("detector", 17, batch=True)
    graph = read_onnx(path)
    assert graph.shape("input") == (1, 3, 64, 64)
    assert distance(graph, path, {"input": example}) <= 1e-4
    wider = read_onnx(path, input_shapes={"input": (2, 3, 64, 64)})
    assert distance(wider, path, {"input": torch.cat([example, -example])}) <= 1e-4


@pytest.mark.skipif(find_spec("onnxscript") is None, reason="the newer exporter needs onnxscript")
@pytest.mark.parametrize("name", ZOO)
def test_newer_exporter(exported, name):
    path, _, example = exported(name, 18, dynamo=True)
    assert distance(read_onnx(path), path, {"input": example}) <= 1e-4


MOVES = "Reshape Transpose Flatten Squeeze Unsqueeze Expand Gather Slice Split Identity Dropout"
"""Operators that move data: exporters cut and glue with other ones than the tracer."""

FOLDED = ("BatchNormalization",)
"""The exporter folds it into the convolution in front of it; where there is none it stays in both."""


def placed(graph):
    found = place(graph, get_march("bayes-e"))
    skipped = (*MOVES.split(), "Constant")
    return Counter((n.op, found[n.name].on) for n in graph.nodes if n.op not in skipped)


# what the exporter does otherwise, as (only in the captured graph, only in the read one)
DIFFERENCES = {
    # one operator per layer of the stack instead of one for all
    "lstm": ({}, {("LSTM", "BPU"): 1}),
    "gru": ({}, {("GRU", "CPU"): 1}),
}


@pytest.mark.parametrize("name", ZOO)
def test_read_network_is_placed_like_the_captured_one(exported, name):
    opset = 17 if name == "vit" else 11
    path, model, example = exported(name, opset)
    captured, read = placed(capture(model, example)), placed(read_onnx(path))
    folded = sum(captured[op, on] - read[op, on] for op in FOLDED for on in ("BPU", "CPU"))
    for op in FOLDED:
        for on in ("BPU", "CPU"):
            captured.pop((op, on), None), read.pop((op, on), None)
    lost, gained = DIFFERENCES.get(name, ({}, {}))
    assert (dict(captured - read), dict(read - captured)) == (lost, gained)
    assert folded >= 0
