"""The view model: the agreed keys, folding, merged edges, boundaries, sizes, the sentence."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from qworkbench.errors import UnknownNameError
from qworkbench.view.boxes import name_apart
from qworkbench.view.colouring import cosine_text
from qworkbench.view.frames import module_frames, overlap, rect_of
from qworkbench.view.model import build_view, sentence
from qworkbench.view.modules import overview
from qworkbench.view.text import last_part, shorten, text_width, wrap
from tests.view.fakes import Builder, FakeWorkbench, inception, place, resnet18, run_of, small_cnn

NODE_KEYS = set(
    "id label op kind on x y w h quant_class dtype subgraph group module edited inserted cosine l1 sensitivity count "
    "bpu_share reason".split()
)
EDGE_KEYS = set("source target value points boundary elements cost".split())


def by_id(view: dict) -> dict:
    return {node["id"]: node for node in view["nodes"]}


def edge(view: dict, source: str, target: str) -> dict:
    found = [e for e in view["edges"] if (e["source"], e["target"]) == (source, target)]
    assert len(found) == 1
    return found[0]


def test_view_has_the_agreed_keys_and_is_plain_json() -> None:
    view = build_view(small_cnn())
    assert view["schema"] == 1
    assert view["direction"] == "TB"
    assert {"title", "sentence", "width", "height", "nodes", "edges", "collapsed", "modules"} <= set(view)
    assert all(set(node) == NODE_KEYS for node in view["nodes"])
    assert all(set(e) == EDGE_KEYS for e in view["edges"])
    assert json.loads(json.dumps(view, allow_nan=False)) == view


def test_title_and_sentence() -> None:
    view = build_view(small_cnn())
    assert view["title"] == "DigitsNet on bayes-e"
    assert view["sentence"] == (
        "DigitsNet: 23 nodes, 20 on BPU, 2 on CPU, 1 removed, 1 subgraph; worst cosine 0.9931 at softmax"
    )


def test_sentence_rounds_the_worst_cosine_as_the_boxes_do() -> None:
    bench = resnet18()
    name = bench.graph.nodes.names()[0]
    assert sentence(bench.graph, bench.placement, {name: (0.99997, 0.1)}).endswith(f"worst cosine 0.9999 at {name}")


def test_sentence_without_a_run_tells_no_cosine_and_title_is_not_doubled() -> None:
    view = build_view(resnet18())
    assert view["title"] == "ResNet-18 on bayes-e"
    assert view["sentence"] == "ResNet-18: 69 nodes, 69 on BPU, 0 on CPU, 1 subgraph"
    assert all(node["cosine"] is None for node in view["nodes"])


def test_nodes_carry_placement_figures_and_marks() -> None:
    nodes = by_id(build_view(small_cnn()))
    softmax = nodes["softmax"]
    assert (softmax["on"], softmax["quant_class"], softmax["dtype"], softmax["edited"]) == (
        "CPU",
        "manual",
        "float32",
        True,
    )
    assert softmax["cosine"] == pytest.approx(0.9931)
    assert nodes["mix._unitconv_0"]["inserted"]
    assert nodes["head.dropout"]["on"] == "NONE"
    assert nodes["stem.conv"]["group"] == nodes["stem.relu"]["group"] == "stem.conv"
    assert nodes["pool"]["group"] == ""
    assert nodes["input:x"]["kind"] == "input"
    assert nodes["output:output"]["label"] == "output: 1×10"


def test_boundaries_are_on_their_edges_with_elements() -> None:
    view = build_view(small_cnn())
    assert edge(view, "input:x", "stem.conv")["boundary"] == "quantize"
    assert edge(view, "head.pool", "head.flatten")["boundary"] == "dequantize"
    assert edge(view, "mix.project", "mix._generated_cat_0")["boundary"] == "requantize"
    assert edge(view, "softmax", "output:output")["boundary"] is None
    assert edge(view, "stem.conv", "stem.bn")["elements"] == 16 * 28 * 28


def test_boundary_is_found_through_aliases_units_and_outputs() -> None:
    b = Builder("m", x=(4,))
    dropped = b.op("Dropout", "drop", "x")
    conv = b.op("Conv", "conv", dropped)
    graph = b.graph(b.op("Relu", "relu", conv))
    placement = place(graph)
    placement["conv"].unit = placement["relu"].unit = "unit"
    placement.canonical = {"drop": "x"}  # type: ignore[attr-defined]
    placement.boundaries = (
        SimpleNamespace(value="x", source="x", target="unit", kind="quantize", elements=7),
        SimpleNamespace(value="relu", source="unit", target="output", kind="dequantize", elements=8),
    )
    view = build_view(FakeWorkbench(graph, placement))
    assert edge(view, "input:x", "drop")["boundary"] is None
    assert (edge(view, "drop", "conv")["boundary"], edge(view, "drop", "conv")["elements"]) == ("quantize", 7)
    assert edge(view, "relu", "output:output")["boundary"] == "dequantize"
    assert edge(view, "conv", "relu")["boundary"] is None


def test_folded_module_is_one_box_with_counts_and_worst_figures() -> None:
    view = build_view(small_cnn(), collapsed=["head"])
    box = by_id(view)["head"]
    assert (box["kind"], box["count"], box["label"]) == ("module", 4, "head")
    assert box["bpu_share"] == pytest.approx(2 / 3)
    assert box["on"] == "BPU"
    assert box["cosine"] == min(n["cosine"] for n in build_view(small_cnn())["nodes"] if n["module"] == "head")
    assert box["reason"] == "module head: 4 nodes, 2 on BPU, 1 on CPU (head.flatten)"
    assert not any(node["module"] == "head" for node in view["nodes"])
    assert view["collapsed"] == ["head"]
    assert "head" in view["modules"]
    assert edge(view, "head", "softmax")["boundary"] == "dequantize"


def test_edges_between_folded_modules_are_merged() -> None:
    b = Builder("m", x=(4,))
    first = b.op("Conv", "a.p", "x")
    second = b.op("Conv", "a.q", "x")
    total = b.op("Add", "b.sum", first, second)
    graph = b.graph(b.op("Relu", "b.relu", b.op("Add", "b.again", total, second)))
    view = build_view(FakeWorkbench(graph, place(graph, cpu=["b.again"])), collapsed=["a", "b"])
    merged = edge(view, "a", "b")
    assert merged["value"] == "a.p, a.q"
    assert merged["elements"] == 8
    assert merged["boundary"] == "dequantize"
    assert len(view["edges"]) == 3


def test_outermost_folded_module_hides_the_inner_one() -> None:
    view = build_view(resnet18(), collapsed=["layer1", "layer1.0"])
    assert "layer1" in by_id(view)
    assert "layer1.0" not in by_id(view)


def test_more_than_300_boxes_are_folded_by_themselves_and_fewer_are_not() -> None:
    assert build_view(inception(12))["collapsed"] == []
    large = inception(30)
    view = build_view(large)
    assert len(view["nodes"]) <= 302
    assert all("branch" in path for path in view["collapsed"])
    assert build_view(large, collapsed=[])["collapsed"] == []


def test_very_large_network_is_folded_to_the_outer_modules() -> None:
    view = build_view(inception(120))
    assert len(view["nodes"]) <= 302
    assert "mixed_7" in view["collapsed"]


def test_module_around_foreign_nodes_is_opened_instead_of_making_a_cycle() -> None:
    b = Builder("m", x=(4,))
    inner = b.op("Relu", "a.in.two", b.op("Conv", "a.in.one", "x"))
    outside = b.op("Conv", "b", inner)
    graph = b.graph(b.op("Conv", "a.last", outside))
    view = build_view(FakeWorkbench(graph, place(graph)), collapsed=["a"])
    assert view["collapsed"] == ["a.in"]
    assert {"a.in", "b", "a.last"} <= set(by_id(view))


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"collapsed": ["layer9"]}, "no module 'layer9'; did you mean 'layer"),
        ({"color_by": "placment"}, "no colouring 'placment'; did you mean 'placement'"),
    ],
)
def test_unknown_names_are_refused_with_a_hint(kwargs: dict, text: str) -> None:
    with pytest.raises(UnknownNameError, match=text):
        build_view(resnet18(), **kwargs)


def test_missing_figures_are_none() -> None:
    wb = small_cnn()
    wb.last_run = SimpleNamespace(
        metrics={
            "stem.conv": SimpleNamespace(cosine=math.nan, l1=math.nan),
            "stem.bn": SimpleNamespace(cosine=0.5, l1=math.nan),
        }
    )
    nodes = by_id(build_view(wb))
    assert nodes["stem.conv"]["cosine"] is None
    assert (nodes["stem.bn"]["cosine"], nodes["stem.bn"]["l1"]) == (0.5, None)


def test_boxes_hold_their_text_and_do_not_overlap() -> None:
    view = build_view(small_cnn())
    rects = [rect_of(node) for node in view["nodes"]]
    assert not any(overlap(a, b) for i, a in enumerate(rects) for b in rects[i + 1 :])
    for node in view["nodes"]:
        size = 11 if node["on"] == "NONE" and node["kind"] == "op" else 12
        assert node["w"] >= text_width(node["label"], size) + 20


def test_frames_hold_their_own_boxes_and_no_others() -> None:
    view = build_view(resnet18())
    assert [frame["module"] for frame in view["frames"]] == [f"layer{s}.{b}" for s in range(1, 5) for b in range(2)]
    for frame in view["frames"]:
        for node in view["nodes"]:
            inside = node["module"] == frame["module"] or node["module"].startswith(frame["module"] + ".")
            assert overlap(rect_of(frame), rect_of(node)) == inside


def test_module_mixed_with_foreign_boxes_gets_no_frame() -> None:
    boxes = [{"x": 0, "y": 50 * i, "w": 40, "h": 20, "module": "" if i == 2 else "a"} for i in range(6)]
    assert module_frames(boxes) == []


@pytest.mark.parametrize(
    ("name", "op", "label"),
    [
        ("layer1.0.conv1", "Conv", "conv1"),
        ("layer1.0.relu#1", "Relu", "relu#1"),
        ("layer1.0._generated_add_0", "Add", "_generated_add_0"),
        ("features.0", "Conv", "features.0"),
        ("layer2.0.downsample.1", "BatchNormalization", "downsample.1"),
        ("softmax", "Softmax", "softmax"),
        ("/model.0/conv/Conv", "Conv", "conv/Conv"),
        ("/model.22/dfl/Transpose_1", "Transpose", "dfl/Transpose_1"),
        ("/model.22/cv2", "Conv", "cv2"),
    ],
)
def test_labels_keep_what_tells_something(name: str, op: str, label: str) -> None:
    assert last_part(name, op) == label


def test_text_helpers() -> None:
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert len(shorten("x" * 50, 12)) == 12
    assert shorten("a_very_long_name_number_17", 12).endswith("_17")
    assert text_width("WW", 10) > text_width("ii", 10)
    assert text_width("卷积", 10) > text_width("ab", 10)
    assert wrap("one two three", 10, 40) == ["one two", "three"]


def test_cosine_is_not_rounded_up_to_one() -> None:
    assert cosine_text({"cosine": 0.99999}) == "0.9999"
    assert cosine_text({"cosine": 1.0}) == "1.0000"
    assert cosine_text({"cosine": -0.25}) == "-0.2500"
    assert cosine_text({"cosine": None}) == ""


def test_run_of_the_fakes_ends_at_the_worst() -> None:
    assert run_of(resnet18().graph).layers["cosine"].iloc[-1] == pytest.approx(0.9931)


def test_boxes_of_small_modules_that_share_a_name_say_their_module(make_workbench) -> None:
    class Block(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(channels, 4, 1), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.conv(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.neck, self.head = Block(3), Block(4), nn.Conv2d(4, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.neck(self.stem(x)))

    view = make_workbench(Net().eval(), torch.randn(1, 3, 8, 8)).view()
    labels = {node["id"]: node["label"] for node in view["nodes"] if node["kind"] == "op"}
    assert labels == {
        "stem.conv": "stem.conv",
        "stem.act": "stem.act",
        "neck.conv": "neck.conv",
        "neck.act": "neck.act",
        "head": "head",
    }
    boxes = [{"id": f"/{stage}/act/Mul", "label": "Mul", "kind": "op", "module": f"{stage}.act"} for stage in "ab"]
    name_apart(boxes)
    assert [box["label"] for box in boxes] == ["a/act/Mul", "b/act/Mul"]


def test_the_overview_folds_the_outer_modules_as_far_as_some_boxes_are_left() -> None:
    wb = resnet18()
    view = build_view(wb, collapsed="overview")
    assert "layer1" in view["collapsed"]
    assert not any(path.startswith("layer1.") for path in view["collapsed"])
    assert 6 <= len(view["nodes"]) < len(build_view(wb)["nodes"]) / 3
    layers = [f"net.layer{i}.{part}" for i in range(8) for part in ("a", "b")]
    scopes = ["net", "net.head", *dict.fromkeys(path.rpartition(".")[0] for path in layers)]
    graph = SimpleNamespace(
        nodes=[
            *(SimpleNamespace(name=p, scope=p.rpartition(".")[0]) for p in layers),
            *(SimpleNamespace(name=f"net.head.{k}", scope="net.head") for k in "ab"),
        ]
    )
    assert overview(graph, scopes) == {"net.head", *(f"net.layer{i}" for i in range(8))}
