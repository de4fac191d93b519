"""The SVG: well-formed, self-contained, described, escaped, and marked by shape as well as by colour."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from qworkbench.errors import UnknownNameError
from qworkbench.view.draw import draw
from qworkbench.view.model import build_view
from qworkbench.view.palette import DARK, LIGHT
from qworkbench.view.scene import Outline, Words
from qworkbench.view.svg import to_svg
from tests.view.fakes import Builder, FakeWorkbench, inception, place, resnet18, small_cnn

NS = "{http://www.w3.org/2000/svg}"


def groups(svg: str, kind: str) -> list[ET.Element]:
    return [g for g in ET.fromstring(svg).iter(f"{NS}g") if g.get("class") == f"qwb-{kind}"]


def test_picture_is_described_for_screen_readers() -> None:
    view = build_view(small_cnn())
    root = ET.fromstring(to_svg(view))
    assert root.get("role") == "graphics-document"
    title, desc = root.find(f"{NS}title"), root.find(f"{NS}desc")
    assert title is not None
    assert desc is not None
    assert title.text == "DigitsNet on bayes-e"
    assert desc.text == view["sentence"]
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"


def test_every_box_is_a_symbol_that_says_what_it_is() -> None:
    view = build_view(small_cnn())
    nodes = groups(to_svg(view), "node")
    assert [g.get("data-id") for g in nodes] == [n["id"] for n in view["nodes"]]
    assert all(g.get("role") == "graphics-symbol" for g in nodes)
    softmax = next(g for g in nodes if g.get("data-id") == "softmax")
    label = softmax.get("aria-label") or ""
    assert label.startswith("softmax, Softmax, on CPU, manual, float32, cosine 0.993100, edited.")
    assert len(groups(to_svg(view), "edge")) == len(view["edges"])


@pytest.mark.parametrize("hostile", ['<script>alert("1")</script>', "a&b'\"", "]]>", "nul\x00\x1b", "卷积<层>"])
def test_names_from_the_model_are_escaped(hostile: str) -> None:
    b = Builder(hostile, **{hostile: (4,)})
    graph = b.graph(b.op("Conv", hostile + "!", hostile, scope=""))
    svg = to_svg(build_view(FakeWorkbench(graph, place(graph), title=hostile, march=hostile)))
    assert not list(ET.fromstring(svg).iter(f"{NS}script"))
    assert "<script" not in svg


def test_picture_needs_no_network_and_no_script() -> None:
    svg = to_svg(build_view(small_cnn()))
    assert svg.count("http") == 1  # the namespace
    for word in ("href", "url(", "<script", "<image", "@import", "foreignObject"):
        assert word not in svg


def box_outline(view: dict, name: str) -> Outline:
    group = next(g for g in draw(view).groups if g.name == name)
    return next(item for item in group.items if isinstance(item, Outline))


def test_placement_shows_in_the_shape_not_only_in_the_colour() -> None:
    view = build_view(small_cnn())
    bpu, cpu, none = (box_outline(view, name) for name in ("stem.conv", "softmax", "head.dropout"))
    assert cpu.dash
    assert not bpu.dash
    assert [letter for letter, _ in cpu.commands].count("L") == 7
    assert "C" not in {letter for letter, _ in cpu.commands}
    assert "C" in {letter for letter, _ in bpu.commands}
    assert bpu.commands[0] != none.commands[0]


def test_legend_names_exactly_what_occurs() -> None:
    texts = {i.text for i in draw(build_view(small_cnn())).groups[0].items if isinstance(i, Words)}
    assert {"on BPU", "on CPU", "removed at inference", "active", "passive", "manual", "requantize", "fused"} <= texts
    texts = {i.text for i in draw(build_view(resnet18())).groups[0].items if isinstance(i, Words)}
    assert not {"on CPU", "manual", "requantize", "removed at inference"} & texts


def test_boundaries_are_dashed_and_tagged() -> None:
    scene = draw(build_view(small_cnn()))
    tagged = [g for g in scene.groups if g.role == "edge" and any(isinstance(i, Words) for i in g.items)]
    words = [[i.text for i in g.items if isinstance(i, Words)] for g in tagged]
    assert sorted(tag for tag, _ in words) == ["DQ", "DQ", "Q", "RQ"]
    assert all(cost.split()[1] in ("B", "kB", "MB") for _, cost in words)
    assert all(g.items[0].dash for g in tagged if isinstance(g.items[0], Outline))


def test_themes_and_selection() -> None:
    view = build_view(small_cnn())
    assert DARK.background in to_svg(view, theme="dark")
    assert LIGHT.background in to_svg(view)
    assert LIGHT.selected not in to_svg(view)
    assert LIGHT.selected in to_svg(view, selected="softmax")
    with pytest.raises(UnknownNameError, match="no box 'sofmax'; did you mean 'softmax'"):
        to_svg(view, selected="sofmax")
    with pytest.raises(UnknownNameError, match="no theme 'drak'"):
        to_svg(view, theme="drak")


def test_colour_by_cosine_fills_boxes_by_step() -> None:
    view = build_view(small_cnn(), color_by="cosine")
    assert box_outline(view, "softmax").fill == LIGHT.cosine[2].fill
    assert box_outline(view, "stem.conv").fill == LIGHT.cosine[1].fill


def test_everything_lies_inside_the_picture() -> None:
    for view in (build_view(small_cnn()), build_view(inception(2)), build_view(resnet18(), collapsed=["layer2"])):
        scene = draw(view)
        for item in scene.items():
            if isinstance(item, Outline):
                values = [v for _, numbers in item.commands for v in zip(numbers[::2], numbers[1::2], strict=True)]
                assert all(0 <= x <= scene.width and 0 <= y <= scene.height for x, y in values)
            else:
                assert 0 <= item.x <= scene.width


def test_same_view_same_text() -> None:
    assert to_svg(build_view(resnet18())) == to_svg(build_view(resnet18()))
