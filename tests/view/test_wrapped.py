"""A tall picture in columns: nothing is lost, nothing lies on anything else, every line still leads where it led."""

from __future__ import annotations

import io
from itertools import combinations, pairwise

import pytest
import torch
from PIL import Image
from torch import nn

import qworkbench as q
from qworkbench.view.frames import overlap, rect_of
from qworkbench.view.model import build_view
from qworkbench.view.wrapped import SEARCHED, TALLEST, wrapped
from tests.view.fakes import Builder, FakeWorkbench, place, resnet18, small_cnn


def dense(blocks: int):
    """Blocks whose input is read at the end of all later blocks: many lines pass every cut."""
    build = Builder("dense", image=(3, 32, 32))
    x = build.conv_bn_relu("stem.", "image")
    kept = [x]
    for number in range(blocks):
        x = build.conv_bn_relu(f"b{number}.one.", x)
        x = build.op("Concat", f"b{number}.cat", x, *kept[-3:])
        kept.append(x)
    return FakeWorkbench(build.graph(x), place(build.graph(x), cpu=[f"b{blocks // 2}.cat"]))


def flat(nodes: int):
    """One chain with no module to fold."""
    build = Builder("flat", image=(3, 32, 32))
    x = "image"
    for number in range(nodes):
        x = build.op("Conv", f"conv{number}", x)
    return FakeWorkbench(build.graph(x), place(build.graph(x)))


TALL = {"resnet": resnet18, "dense": lambda: dense(14), "flat": lambda: flat(120)}


@pytest.fixture(params=TALL)
def views(request):
    view = build_view(TALL[request.param]())
    assert view["height"] > TALLEST
    return view, wrapped(view)


def test_what_is_low_enough_stays_as_it_is():
    view = build_view(small_cnn())
    assert wrapped(view) == {**view, "columns": 1}


def test_columns_are_of_limited_height_and_the_picture_is_no_strip(views):
    view, made = views
    assert made["columns"] >= 2
    assert made["height"] <= TALLEST * (1 + 2 * SEARCHED)
    assert made["height"] < view["height"] / 1.5
    assert 0.3 < made["width"] / made["height"] < 3
    assert made["sentence"] == f"{view['sentence']}; drawn in {made['columns']} columns"


def test_every_box_is_there_and_none_lies_on_another_or_outside(views):
    view, made = views
    assert [n["id"] for n in made["nodes"]] == [n["id"] for n in view["nodes"]]
    rects = [rect_of(node) for node in made["nodes"]]
    assert not any(overlap(a, b) for a, b in combinations(rects, 2))
    for left, top, right, bottom in rects:
        assert left >= 0
        assert top >= 0
        assert right <= made["width"]
        assert bottom <= made["height"]


def test_every_line_leaves_its_source_enters_its_target_and_crosses_no_other_box(views):
    view, made = views
    boxes = {node["id"]: rect_of(node) for node in made["nodes"]}
    assert len(made["edges"]) == len(view["edges"])
    for edge in made["edges"]:
        (x0, y0), (x1, y1) = edge["points"][0], edge["points"][-1]
        source, target = boxes[edge["source"]], boxes[edge["target"]]
        assert source[0] <= x0 <= source[2]
        assert y0 == pytest.approx(source[3], abs=0.1)
        assert target[0] <= x1 <= target[2]
        assert y1 == pytest.approx(target[1], abs=0.1)
        for (ax, ay), (bx, by) in pairwise(edge["points"]):
            line = (min(ax, bx) - 0.01, min(ay, by) - 0.01, max(ax, bx) + 0.01, max(ay, by) + 0.01)
            hit = {n for n, r in boxes.items() if overlap(line, (r[0] + 0.2, r[1] + 0.2, r[2] - 0.2, r[3] - 0.2))}
            assert hit <= {edge["source"], edge["target"]}
    # lines between two columns do not lie on each other in the gutter
    climbs = [
        (a[0], b[1], a[1]) for e in made["edges"] for a, b in pairwise(e["points"]) if a[0] == b[0] and b[1] < a[1]
    ]
    assert climbs
    for (xa, topa, bottoma), (xb, topb, bottomb) in combinations(climbs, 2):
        assert xa != xb or bottoma <= topb or bottomb <= topa


def test_frames_hold_their_boxes_and_a_part_in_the_next_column_says_so():
    build = Builder("one module", image=(3, 32, 32))
    x = "image"
    for number in range(120):
        x = build.op("Conv", f"body.conv{number}", x)
    made = wrapped(build_view(FakeWorkbench(build.graph(x), place(build.graph(x)))))
    names = [frame["module"] for frame in made["frames"]]
    assert names == ["body", *["body (continued)"] * (made["columns"] - 1)]
    frames = [rect_of(frame) for frame in made["frames"]]
    for node in made["nodes"]:
        if node["kind"] == "op":
            assert sum(overlap(rect_of(node), frame) for frame in frames) == 1


def test_fused_units_are_not_torn_apart(views):
    _, made = views
    group = {node["id"]: node["group"] for node in made["nodes"]}
    for edge in made["edges"]:
        if group[edge["source"]] and group[edge["source"]] == group[edge["target"]]:
            assert all(b[1] >= a[1] for a, b in pairwise(edge["points"]))


def test_a_saved_picture_is_wrapped_unless_it_is_asked_for_in_full(tmp_path):
    model = nn.Sequential(*(nn.Conv2d(2, 2, 1) for _ in range(60))).eval()
    workbench = q.Workbench(model, torch.rand(1, 2, 4, 4))
    sizes = {}
    for full in (False, True):
        with Image.open(io.BytesIO(workbench.save_picture(tmp_path / "graph.png", full=full).read_bytes())) as picture:
            sizes[full] = picture.size
    assert sizes[True][1] > 3 * sizes[True][0]
    assert sizes[False][1] < 2 * sizes[False][0]
    assert "drawn in" in workbench.save_picture(tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert "drawn in" not in workbench.save_picture(tmp_path / "graph.svg", full=True).read_text(encoding="utf-8")
