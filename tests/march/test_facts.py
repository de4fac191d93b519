from __future__ import annotations

from collections.abc import Iterator

import pytest

from qworkbench.graph.node import Sym
from qworkbench.march import MARCHES, get_march
from qworkbench.march.clauses import Clause, When
from qworkbench.march.facts import node_facts
from tests.march.builder import Build, one, one_conv

MAP = (1, 8, 16, 16)
PLACEMENTS_TO_KNOW = {"output_dtype"}


def last(build: Build, batch: int | None = None) -> dict[str, object]:
    graph = build.graph()
    return dict(node_facts(graph, graph.nodes[build.nodes[-1].name], batch))


def with_constant(op: str, *shape: int, dtype: str = "float32", **attrs: object) -> Build:
    build = Build()
    build.node(op, (build.input(*MAP), build.weight(*shape, dtype=dtype)), MAP, **attrs)
    return build


def mul_with_content() -> Build:
    torch = pytest.importorskip("torch")
    build = Build()
    build.node("Mul", (build.input(*MAP), build.weight(data=torch.tensor(2.0))), MAP)
    return build


def samples() -> dict[str, list[Build]]:
    """At least one node of every operator whose row asks for more than ranks."""
    window = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    half = (1, 8, 8, 8)
    reduce = {"axes": (1,), "keepdims": True, "out": (1, 1, 16, 16)}
    return {
        "Conv": [one_conv(8, 8, (3, 3)), one_conv(8, 8, (3, 3, 3), (8, 8, 8))],
        "ConvTranspose": [one_conv(8, 8, (4, 4), op="ConvTranspose", stride=(2, 2))],
        "Mul": [mul_with_content()],
        "MatMul": [one("MatMul", (1, 2, 4, 5), (1, 2, 5, 6), out=(1, 2, 4, 6))],
        "Gemm": [with_constant("Gemm", 4, 16)],
        "Pow": [with_constant("Pow")],
        "Gather": [with_constant("Gather", 3, dtype="int64", axis=1)],
        "GatherElements": [with_constant("GatherElements", *MAP, dtype="int64", axis=1)],
        "AveragePool": [one("AveragePool", MAP, out=half, **window)],
        "MaxPool": [one("MaxPool", MAP, out=half, **window)],
        "Softmax": [one("Softmax", MAP, axis=1)],
        "Concat": [one("Concat", MAP, MAP, out=(1, 16, 16, 16), axis=1)],
        "Split": [one("Split", MAP, out=half, axis=1, split=(4, 4))],
        "Pad": [one("Pad", MAP, pads=(0,) * 8, mode="constant")],
        "DepthToSpace": [one("DepthToSpace", MAP, out=(1, 2, 32, 32), blocksize=2, mode="CRD")],
        "SpaceToDepth": [one("SpaceToDepth", MAP, out=(1, 32, 8, 8), blocksize=2, mode="CRD")],
        "Resize": [
            one("Resize", MAP, out=(1, 8, 32, 32), mode="nearest", coordinate_transformation_mode="half_pixel"),
        ],
        "TopK": [one("TopK", MAP, sorted=True)],
        "GridSample": [one("GridSample", MAP, (1, 16, 16, 2), mode="bilinear", padding_mode="zeros")],
        "ArgMax": [one("ArgMax", MAP, out=(1, 1, 16, 16), axis=1)],
        "ArgMin": [one("ArgMin", MAP, out=(1, 1, 16, 16), axis=1)],
        **{op: [one(op, MAP, **reduce)] for op in ("ReduceMean", "ReduceSum", "ReduceMax")},
        **{op: [one(op, MAP, MAP)] for op in "Add Sub Div Sum Max Min Equal Greater GreaterOrEqual Less".split()},
        "LessOrEqual": [one("LessOrEqual", MAP, MAP)],
        **{op: [one(op, (1, 8, 1, 16), out=MAP)] for op in ("Expand", "Tile")},
    }


def asked(clause: Clause) -> Iterator[str]:
    if isinstance(clause, When):
        yield from asked(clause.condition)
    for inner in getattr(clause, "clauses", ()):
        yield from asked(inner)
    for column in ("fact", "other", "divisor", "whole", "left", "right"):
        name = getattr(clause, column, None)
        if isinstance(name, str):
            yield name


@pytest.mark.parametrize("march", MARCHES)
def test_every_fact_that_a_row_asks_for_is_known_of_such_a_node(march: str) -> None:
    """A misspelt fact would be unknown for ever, and an unknown fact counts as satisfied."""
    nodes = samples()
    unknown = {}
    for op, row in get_march(march).rows.items():
        if row.supported == "no":
            continue
        builds = nodes.get(op) or [one(op, MAP)]
        known = set().union(*(last(build) for build in builds)) | PLACEMENTS_TO_KNOW
        clauses = (*row.rank_clauses, *get_march(march).general, *row.clauses)
        missing = {fact for clause in clauses for fact in asked(clause)} - known
        if missing:
            unknown[op] = missing
    assert unknown == {}


def test_facts_of_a_strided_grouped_convolution() -> None:
    facts = last(one_conv(32, 64, (3, 5), (20, 30), stride=(2, 1), pad=(1, 2), group=4))
    expected = {
        "kernel_h": 3,
        "kernel_w": 5,
        "stride_h": 2,
        "stride_w": 1,
        "pad_h": 1,
        "pad_w": 2,
        "group": 4,
        "in_channels_per_group": 8,
        "out_channels_per_group": 16,
        "kernel_volume": 3 * 5 * 8,
        "weight_n": 64,
        "weight_c": 8,
        "plain_conv": False,
        "input_c": 32,
        "output_h": 10,
        "output_w": 30,
        "is_last": True,
        "followed_by_add": False,
    }
    assert {name: facts[name] for name in expected} == expected


def test_asymmetric_pads_count_with_their_larger_side() -> None:
    attrs = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 1, 2, 0)}
    facts = last(one("AveragePool", MAP, out=(1, 8, 17, 16), **attrs))
    assert (facts["pad_h"], facts["pad_w"]) == (2, 1)


def test_the_aligned_size_is_the_smaller_of_two_layouts() -> None:
    # H x W to 8 x C to 4: 10 * 16 * 4 = 640; H x W x C to 32: 10 * 9 * 32 = 2880
    assert last(one("Sigmoid", (1, 3, 10, 9)))["input_aligned_elements"] == 640
    # 10 * 8 * 32 = 2560 against 10 * 1 * 32 = 320
    assert last(one("Sigmoid", (1, 32, 10, 1)))["input_aligned_elements"] == 320


def test_symbolic_dims_follow_the_batch() -> None:
    build = one("Abs", (Sym(4), 8, 2, 2))
    assert last(build)["input_n"] == 4
    assert last(build, batch=3)["input_n"] == 12


def test_a_conv_read_twice_is_not_followed_by_an_add() -> None:
    build = Build()
    conv = build.conv(build.input(*MAP), 8, (1, 1))
    build.node("Add", (conv, build.input(*MAP, name="shortcut")), MAP, "add")
    graph = build.graph("add")
    assert node_facts(graph, graph.nodes[conv])["followed_by_add"] is True
    as_output = build.graph("add", conv)
    assert node_facts(as_output, as_output.nodes[conv])["followed_by_add"] is False
    build.node("Relu", (conv,), MAP, "relu")
    graph = build.graph("add", "relu")
    assert node_facts(graph, graph.nodes[conv])["followed_by_add"] is False


def test_an_add_of_a_constant_is_no_residual_add() -> None:
    build = Build()
    conv = build.conv(build.input(*MAP), 8, (1, 1))
    build.node("Add", (conv, build.weight(8, 1, 1)), MAP, "add")
    graph = build.graph()
    assert node_facts(graph, graph.nodes[conv])["followed_by_add"] is False


def test_gather_elements_reach_no_further_than_the_input_on_the_other_axes() -> None:
    assert last(with_constant("GatherElements", 1, 20, 16, 16, dtype="int64", axis=1))["indices_fit"] is True
    assert last(with_constant("GatherElements", 1, 8, 17, 16, dtype="int64", axis=1))["indices_fit"] is False


def test_resize_factors_and_changed_dims() -> None:
    facts = last(one("Resize", MAP, out=(1, 8, 32, 8), mode="nearest"))
    assert (facts["resize_factor_h"], facts["resize_factor_w"]) == (2.0, 0.5)
    assert last(one("Expand", (8, 1, 1), out=(4, 8, 16, 1)))["changed_dims"] == 2
