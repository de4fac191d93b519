"""Both front ends on every architecture: exported to ONNX and read back, a model computes and is placed the same."""

from __future__ import annotations

import re
import warnings
from collections import Counter

import pytest
import torch

from qworkbench.graph.node import Sym
from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.graph.torch_frontend import capture
from qworkbench.graph.vocabulary import family
from qworkbench.march import get_march
from qworkbench.placement.place import place
from tests.graph_onnx.files import distance
from tests.models.architectures import ARCHITECTURES

MARCHES = ("bernoulli2", "bayes", "bayes-e")

FIXED_BATCH = {"DeiT": "len(x) in the model is the number 1 in the file"}

DIFFERENCES = {
    # one operator per layer of the stack in a file, one for all in the captured graph
    "bi-LSTM": ({}, {"LSTM": 1}),
    # the first decoder layer attends to queries that do not depend on the image: a file holds the result, while the
    # modules that compute it stay nodes of the captured graph, because they can be trained
    "DETR": ({"Gemm": 5, "MatMul": 2, "Softmax": 1, "LayerNormalization": 1, "Mul": 1, "Add": 1}, {}),
    "DETR (transformers)": (
        {"Gemm": 5, "MatMul": 2, "Softmax": 1, "LayerNormalization": 1, "Mul": 1},
        {"IsNaN": 2},
    ),
}
"""What is computed by only one of the two: (by the captured graph, by the one that was read)."""


class Pair:
    """The captured graph of an architecture, and the one read from its file."""

    def __init__(self, name, folder):
        self.name, self.architecture = name, ARCHITECTURES[name]
        self.path = folder / f"{name}.onnx"
        model, example = self.architecture.build(), self.architecture.batch(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model, (example,), self.path, opset_version=17, dynamo=False, input_names=["input"],
                dynamic_axes={"input": {0: "batch"}},
            )  # fmt: skip
        self.captured, self.read = capture(model, example), read_onnx(self.path)


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def pair(request, tmp_path_factory):
    if ARCHITECTURES[request.param].missing:
        pytest.skip(f"{ARCHITECTURES[request.param].needs} is not installed")
    return Pair(request.param, tmp_path_factory.mktemp("exported"))


def computing(graph, march):
    """Count what computes by operator and place; data movement, which exporters write with other operators, does not.

    A BatchNormalization is in the file only where no convolution is in front of it.
    """
    placement = place(graph, get_march(march))
    kept = (n for n in graph.nodes if family(n.op) not in ("movement", "transparent") and n.op not in HELPERS)
    return Counter((n.op, placement[n.name].on) for n in kept)


HELPERS = ("BatchNormalization", "Constant")


def test_onnxruntime_computes_what_the_graph_of_the_file_computes(pair):
    batches = (1,) if pair.name in FIXED_BATCH else (1, 3)
    for batch in batches:
        assert distance(pair.read, pair.path, {"input": pair.architecture.batch(batch, seed=7)}) <= 1e-4


def test_the_batch_of_the_file_stays_open(pair):
    want = 1 if pair.name in FIXED_BATCH else Sym(1)
    assert pair.read.values["input"].shape[0] == want


@pytest.mark.parametrize("march", MARCHES)
def test_both_front_ends_place_the_same_operators(pair, march):
    captured, read = computing(pair.captured, march), computing(pair.read, march)
    lost, gained = DIFFERENCES.get(pair.name, ({}, {}))
    only_captured, only_read = captured - read, read - captured
    assert _by_operator(only_captured) == Counter(lost)
    assert _by_operator(only_read) == Counter(gained)


def _by_operator(found):
    total = Counter()
    for (op, _), count in found.items():
        total[op] += count
    return total


@pytest.mark.parametrize("march", MARCHES)
def test_a_module_runs_in_the_same_place_by_either_front_end(pair, march):
    """The exporter names nodes by the path of their module: ``/layer1/layer1.0/conv1/Conv``."""
    of_module = place(pair.captured, get_march(march))
    of_file = place(pair.read, get_march(march))
    places = {(n.module_path, n.op): of_module[n.name].on for n in pair.captured.nodes if n.module_path is not None}
    compared = 0
    for node in pair.read.nodes:
        *scopes, op = node.name.strip("/").split("/")
        key = (_path(scopes), re.sub(r"_\d+$", "", op))
        if key in places and family(node.op) not in ("movement", "transparent"):
            assert of_file[node.name].on == places[key], node.name
            compared += 1
    convolutions = sum(n.op == "Conv" for n in pair.read.nodes)
    assert compared >= convolutions / 3


def _path(scopes):
    """Join scopes as the exporter writes them: the children of a Sequential repeat its name."""
    parts = []
    for scope in scopes:
        if parts and scope.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(scope)
    return ".".join(parts)
