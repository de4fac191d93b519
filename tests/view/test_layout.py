"""What every layout keeps: no overlap, edges go down and round the boxes, same input same picture, in time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qworkbench.errors import UnknownNameError
from qworkbench.view.layout import LayoutError, LayoutResult, layout
from tests.view.corpus import CORPUS, Net, chain, densenet, inception, random_dag, resnet, unet
from tests.view.geometry import count_crossings, crossed_boxes, overlapping_boxes


def draw(net: Net) -> LayoutResult:
    return layout(net.boxes, net.edges)


def assert_sound(net: Net, result: LayoutResult) -> None:
    assert not list(overlapping_boxes(net, result))
    assert not list(crossed_boxes(net, result))
    sizes = {name: (w, h) for name, w, h in net.boxes}
    for (source, target), points in zip(net.edges, result.edges, strict=True):
        assert all(p[1] <= q[1] for p, q in pairwise(points))
        (sx, sy), (tx, ty) = result.positions[source], result.positions[target]
        assert points[0] == pytest.approx((sx, sy + sizes[source][1] / 2), abs=0.11)
        assert points[-1][1] == pytest.approx(ty - sizes[target][1] / 2, abs=0.11)
        assert abs(points[-1][0] - tx) <= sizes[target][0] / 2
    for name, w, h in net.boxes:
        x, y = result.positions[name]
        assert -0.1 <= x - w / 2 <= x + w / 2 <= result.width + 0.1
        assert -0.1 <= y - h / 2 <= y + h / 2 <= result.height + 0.1


@pytest.mark.parametrize("count", [1, 2, 30, 400])
@pytest.mark.parametrize("kind", CORPUS)
def test_known_networks_are_drawn_soundly(kind: str, count: int) -> None:
    net = CORPUS[kind](count)
    assert_sound(net, draw(net))


@settings(max_examples=120, deadline=None)
@given(count=st.integers(1, 40), density=st.floats(0, 3), seed=st.integers(0, 10_000))
def test_any_dag_is_drawn_soundly(count: int, density: float, seed: int) -> None:
    net = random_dag(count, min(int(count * density), count * (count - 1) // 2), seed)
    assert_sound(net, draw(net))


def test_sizes_that_are_no_whole_pixels_are_drawn_soundly() -> None:
    net = random_dag(15, 30, 529)
    net.boxes = [(name, w + i / 7, h + i / 3) for i, (name, w, h) in enumerate(net.boxes)]
    assert_sound(net, draw(net))


@pytest.mark.parametrize(("kind", "most"), [("chain", 0), ("resnet", 0), ("inception", 0), ("unet", 0), ("yolo", 2)])
def test_series_parallel_networks_have_hardly_a_crossing(kind: str, most: int) -> None:
    assert count_crossings(draw(CORPUS[kind](300))) <= most


def test_dense_block_has_few_crossings() -> None:
    assert count_crossings(draw(densenet(35))) <= 8


def test_a_chain_is_one_straight_line() -> None:
    net = chain(50)
    result = draw(net)
    assert len({x for x, _ in result.positions.values()}) == 1
    assert all(len(points) == 2 for points in result.edges)


def test_main_path_of_a_residual_network_stays_on_one_axis_and_skips_run_beside_it() -> None:
    net = resnet(200)
    result = draw(net)
    on_axis = [name for name, _, _ in net.boxes if result.positions[name][0] == result.positions["n0"][0]]
    shortcuts = sum(1 for name, _, _ in net.boxes if name not in on_axis)
    assert shortcuts == 2 * (len(net.boxes) // 21)
    skips = [points for points in result.edges if len(points) > 2 and points[-1][1] - points[0][1] > 200]
    assert skips
    for points in skips:
        assert max(abs(x - result.positions["n0"][0]) for x, _ in points) >= 52


def test_even_branches_lie_symmetrically_around_the_axis() -> None:
    net = inception(15)
    result = draw(net)
    axis = result.positions["n0"][0]
    branches = [result.positions[target][0] - axis for source, target in net.edges if source == "n0"]
    assert len(branches) == 4
    assert sorted(-x for x in branches) == pytest.approx(sorted(branches), abs=0.11)


def test_nested_skips_of_a_unet_do_not_cross_and_the_outermost_is_farthest() -> None:
    net = unet(60, levels=4)
    result = draw(net)
    skips = [points for points in result.edges if len(points) > 2]
    by_length = sorted(skips, key=lambda points: points[-1][1] - points[0][1])
    reach = [max(x for x, _ in points) for points in by_length]
    assert len(reach) == 4
    assert reach == sorted(reach)


def test_readers_of_one_far_value_share_a_line() -> None:
    net = densenet(35)
    lanes = {points[k] for points in draw(net).edges for k in range(1, len(points) - 1)}
    long_edges = sum(len(points) > 3 for points in draw(net).edges)
    assert len(lanes) < 4 * long_edges


def test_equal_blocks_get_equal_pictures() -> None:
    net = resnet(200)
    result = draw(net)
    period = 23  # boxes of three blocks: two with a plain skip, one with a shortcut
    names = [name for name, _, _ in net.boxes]
    xs = [result.positions[name][0] for name in names]
    assert xs[1 : 1 + period] == xs[1 + period : 1 + 2 * period]


def test_same_input_same_output() -> None:
    for kind in CORPUS.values():
        net = kind(120)
        assert draw(net) == draw(net)


def test_side_input_stands_next_to_its_reader() -> None:
    boxes = [(name, 80.0, 40.0) for name in ("image", "a", "b", "c", "extra", "join")]
    edges = [("image", "a"), ("a", "b"), ("b", "c"), ("c", "join"), ("extra", "join")]
    result = layout(boxes, edges)
    assert result.positions["extra"][1] == result.positions["c"][1]


def test_several_lines_enter_a_box_at_several_ports_in_order() -> None:
    result = draw(inception(15))
    ends = [points[-1][0] for points in result.edges[-4:]]
    assert len(set(ends)) == 4
    assert ends == sorted(ends)


@pytest.mark.parametrize("kind", CORPUS)
def test_five_thousand_boxes_overflow_no_stack_and_keep_their_places(kind: str) -> None:
    net = CORPUS[kind](5000)
    result = draw(net)
    assert result == draw(net)
    assert len(result.positions) == len({(x, y) for x, y in result.positions.values()})


def test_parallel_edges_share_a_line_and_isolated_boxes_have_a_place() -> None:
    result = layout([("a", 50, 20), ("b", 50, 20), ("c", 50, 20)], [("a", "b"), ("a", "b")])
    assert result.edges[0] == result.edges[1]
    assert result.positions["c"] not in (result.positions["a"], result.positions["b"])


def test_nothing_to_draw_has_only_margins() -> None:
    assert layout([], [], margin=5) == LayoutResult({}, (), 10, 10)


@pytest.mark.parametrize(
    ("boxes", "edges", "error", "text"),
    [
        (["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "b")], LayoutError, "'b' is on or behind a cycle"),
        (["a"], [("a", "a")], LayoutError, "'a' has an edge to itself"),
        (["a", "a"], [], LayoutError, "two boxes are called 'a'"),
        (["conv1"], [("conv", "conv1")], UnknownNameError, "no box 'conv'; did you mean 'conv1'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    boxes: list[str], edges: list[tuple[str, str]], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        layout([(name, 10.0, 10.0) for name in boxes], edges)


def test_lines_of_a_multi_scale_detector_bend_rarely() -> None:
    net = CORPUS["yolo"](200)
    bends = sum(p[0] != q[0] for points in draw(net).edges for p, q in pairwise(points))
    assert bends < len(net.edges) / 3
