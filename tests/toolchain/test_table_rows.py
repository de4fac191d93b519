"""The rows of the vendor's table, rule by rule, on small graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from qworkbench.errors import QWorkbenchError
from qworkbench.march import get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides
from qworkbench.toolchain.naming import shortened
from qworkbench.toolchain.table import TableOptions, vendor_table
from tests.march.builder import Build

POINT = (1, 1)


@pytest.fixture
def net():
    """A feature map ``x`` to start from: not an image, so no preprocess row."""
    build = Build()
    build.input(1, 8, 8, 8)
    return build


def table(build, *outputs, options=None, march="bayes-e", **wishes):
    graph = build.graph(*outputs)
    march = get_march(march)
    return vendor_table(graph, place(graph, march, Overrides(**wishes)), march, options=options)


def rows(*given, **options):
    return [(row.node, row.type) for row in table(*given, **options)]


def test_image_inputs_get_a_preprocess_row_first():
    build = Build()
    build.input(1, 3, 8, 8, name="images")
    build.conv("images", 4, POINT)
    first, second = table(build)
    assert (first.node, first.on, first.subgraph, first.type, first.dtype) == (
        "HZ_PREPROCESS_FOR_images",
        "BPU",
        "id(0)",
        "HzSQuantizedPreprocess",
        "int8",
    )
    assert second.first_input == "images"
    assert rows(build, options=TableOptions(image_inputs=())) == [("conv0", "HzSQuantizedConv")]


def test_feature_inputs_get_none(net):
    net.conv("x", 4, POINT)
    assert rows(net) == [("conv0", "HzSQuantizedConv")]
    assert rows(net, options=TableOptions(image_inputs=("x",)))[0] == ("HZ_PREPROCESS_FOR_x", "HzSQuantizedPreprocess")


def test_convolution_batch_norm_and_relu_are_one_row_named_after_the_convolution(net):
    conv = net.conv("x", 8, POINT)
    stats = [net.weight(8) for _ in range(4)]
    norm = net.node("BatchNormalization", (conv, *stats), (1, 8, 8, 8), epsilon=1e-5)
    relu = net.node("Relu", (norm,), (1, 8, 8, 8))
    net.conv(relu, 4, POINT)
    found = table(net)
    assert [row.node for row in found] == ["conv0", "conv3"]
    assert found[0].source == relu


def test_residual_add_fuses_into_a_bare_convolution_and_stays_elementwise_behind_a_table(net):
    a = net.conv("x", 8, POINT)
    fused = net.node("Add", ("x", a), (1, 8, 8, 8))
    b = net.conv(fused, 8, POINT)
    gate = net.node("Swish", (b,), (1, 8, 8, 8))
    apart = net.node("Add", (fused, gate), (1, 8, 8, 8))
    net.conv(apart, 4, POINT)
    assert rows(net) == [
        (a, "HzSQuantizedConv"),
        (b, "HzSQuantizedConv"),
        (gate, "HzLut"),
        (apart, "HzSElementwiseAdd"),
        (net.nodes[-1].name, "HzSQuantizedConv"),
    ]
    assert {row.node: row.first_input for row in table(net)}[apart] == fused


def test_add_is_an_identity_convolution_on_a_march_without_elementwise_add():
    build = Build()
    build.input(1, 8, 8, 8)
    conv = build.conv("x", 8, POINT)
    gate = build.node("Sigmoid", (conv,), (1, 8, 8, 8))
    build.conv(build.node("Add", (gate, "x"), (1, 8, 8, 8), "sum"), 4, POINT)
    row = next(row for row in table(build, march="bernoulli2") if row.source == "sum")
    assert (row.node, row.type, row.first_input) == ("UNIT_CONV_FOR_sum", "HzSQuantizedConv", "x")


def test_table_at_the_end_is_int16_and_two_layers(net):
    conv = net.conv("x", 8, POINT)
    net.node("Swish", (conv,), (1, 8, 8, 8), "tail")
    assert [(row.node, row.type, row.dtype) for row in table(net)] == [
        (conv, "HzSQuantizedConv", "int8"),
        ("tail", "HzLut2Layer", "int16"),
    ]
    asked = {"tail": DtypeRequest("int8", None, "int8")}
    assert [row.type for row in table(net, dtypes=asked)] == ["HzSQuantizedConv", "HzLut"]


def test_gemm_leaves_a_cpu_reshape_and_swallows_the_flatten_before_it(net):
    pool = net.node("GlobalAveragePool", ("x",), (1, 8, 1, 1), "pool")
    flat = net.node("Flatten", (pool,), (1, 8), "flat", axis=1)
    net.node("Gemm", (flat, net.weight(10, 8)), (1, 10), "fc", transB=True)
    found = table(net)
    assert [(row.node, row.on, row.subgraph, row.type, row.dtype) for row in found] == [
        ("pool", "BPU", "id(0)", "HzSQuantizedGlobalAveragePool", "int8"),
        ("fc", "BPU", "id(0)", "HzSQuantizedConv", "int8"),
        ("fc_transpose_output_reshape", "CPU", "--", "Reshape", "float"),
    ]


def test_flatten_is_swallowed_through_a_dropout_and_kept_before_a_gemm_on_the_cpu(net):
    flat = net.node("Flatten", (net.conv("x", 8, (8, 8)),), (1, 8), "flat", axis=1)
    drop = net.node("Dropout", (flat,), (1, 8), "drop", ratio=0.5)
    net.node("Gemm", (drop, net.weight(10, 8)), (1, 10), "fc", transB=True)
    assert [row.node for row in table(net)] == ["conv0", "fc", "fc_transpose_output_reshape"]
    assert [(row.node, row.on) for row in table(net, on={"fc": "cpu"})] == [
        ("conv0", "BPU"),
        ("flat", "CPU"),
        ("fc", "CPU"),
    ]


def test_gemm_in_the_middle_leaves_no_reshape(net):
    flat = net.node("Flatten", (net.conv("x", 8, (8, 8)),), (1, 8), axis=1)
    first = net.node("Gemm", (flat, net.weight(16, 8)), (1, 16), "fc1", transB=True)
    relu = net.node("Relu", (first,), (1, 16))
    net.node("Gemm", (relu, net.weight(4, 16)), (1, 4), "fc2", transB=True)
    assert [row.node for row in table(net)] == ["conv0", "fc1", "fc2", "fc2_transpose_output_reshape"]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_arithmetic_of_two_features_is_elementwise(net, op):
    gate = net.node("Sigmoid", ("x",), (1, 8, 8, 8))
    net.conv(net.node(op, ("x", gate), (1, 8, 8, 8), "mix"), 4, POINT)
    assert ("mix", f"HzSElementwise{op}") in rows(net)


def test_of_two_reshapes_in_a_row_the_first_goes(net):
    first = net.node("Reshape", ("x",), (1, 8, 64), "first")
    second = net.node("Reshape", (first,), (1, 16, 4, 8), "second")
    net.conv(second, 4, POINT)
    assert rows(net) == [("second", "Reshape"), ("conv2", "HzSQuantizedConv")]


@pytest.mark.parametrize(
    ("heads", "perm", "left"),
    [
        (2, (0, 2, 3, 1), ["split"]),  # (1, 8, 64) -> (1, 64, 8) -> (1, 64, 2, 4) -> (1, 2, 4, 64): only a reshape
        (2, (0, 3, 2, 1), ["turn", "split", "back"]),  # the heads and their width change places
        (8, (0, 3, 1, 2), ["turn", "split", "back"]),
    ],
)
def test_two_transposes_go_where_the_reshape_between_them_does_it_alone(net, heads, perm, left):
    flat = net.node("Slice", ("x",), (1, 8, 8, 8), "cut", axes=(1,), starts=(0,), ends=(8,), steps=(1,))
    flat = net.node("Reshape", (flat,), (1, 8, 64), "flat")
    flat = net.node("Sigmoid", (flat,), (1, 8, 64), "table")
    turned = net.node("Transpose", (flat,), (1, 64, 8), "turn", perm=(0, 2, 1))
    shape = (1, 64, heads, 8 // heads)
    parted = net.node("Reshape", (turned,), shape, "split")
    back = net.node("Transpose", (parted,), tuple(shape[axis] for axis in perm), "back", perm=perm)
    net.conv(net.node("Sigmoid", (back,), tuple(shape[axis] for axis in perm), "last"), 4, POINT)
    names = [name for name, _ in rows(net)]
    assert [name for name in names if name in ("turn", "split", "back")] == left


def test_mul_by_a_constant_scalar_is_a_convolution(net):
    half = net.weight(name="half", data=torch.tensor(0.5))
    per_channel = net.weight(1, 8, 1, 1)
    scaled = net.node("Mul", ("x", half), (1, 8, 8, 8), "scaled")
    net.conv(net.node("Mul", (scaled, per_channel), (1, 8, 8, 8), "vector"), 4, POINT)
    assert rows(net)[:2] == [("scaled", "HzSQuantizedConv"), ("vector", "HzSElementwiseMul")]


def test_div_is_a_reciprocal_table_and_a_mul(net):
    powers = net.node("Exp", ("x",), (1, 8, 8, 8), "exp")
    total = net.node("ReduceSum", (powers,), (1, 1, 8, 8), "sum", axes=(1,), keepdims=True)
    net.conv(net.node("Div", (powers, total), (1, 8, 8, 8), "div"), 4, POINT)
    found = table(net)
    assert [(row.node, row.type, row.first_input) for row in found[1:4]] == [
        ("sum", "HzSQuantizedReduceSum", "exp"),
        ("div_reciprocal", "HzLut", "sum"),
        ("div_mul", "HzSElementwiseMul", "exp"),
    ]
    assert [row.source for row in found[2:4]] == [None, "div"]


def test_div_by_a_constant_needs_no_reciprocal(net):
    two = net.weight(name="two", data=torch.tensor(2.0))
    net.conv(net.node("Div", ("x", two), (1, 8, 8, 8), "div"), 4, POINT)
    assert rows(net)[0] == ("div_mul", "HzSQuantizedConv")


def test_softmax_on_the_bpu_is_its_chain(net):
    soft = net.node("Softmax", (net.conv("x", 8, POINT),), (1, 8, 8, 8), "soft", axis=1)
    net.conv(soft, 4, POINT)
    on_cpu = table(net)
    assert [(row.node, row.on, row.subgraph, row.type) for row in on_cpu] == [
        ("conv0", "BPU", "id(0)", "HzSQuantizedConv"),
        ("soft", "CPU", "--", "Softmax"),
        (net.nodes[-1].name, "BPU", "id(1)", "HzSQuantizedConv"),
    ]
    # the list allows axis 3 of an ONNX Softmax only
    net.nodes[1].attrs["axis"] = 3
    found = table(net, on={"soft": "bpu"})[1:-1]
    assert [row.type for row in found] == [
        "HzQuantizedReduceMax",
        "HzSElementwiseSub",
        "HzLut",
        "HzSQuantizedReduceSum",
        "HzLut",
        "HzSElementwiseMul",
    ]
    assert all("_FROM_QUANTIZED_SOFTMAX" in row.name for row in found)
    assert found[-1].name.endswith("_mul")
    assert found[-2].name.endswith("_reciprocal")


@pytest.mark.parametrize(
    ("op", "shape", "attrs", "type_"),
    [
        (
            "MaxPool",
            (1, 8, 8, 8),
            {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1,) * 4, "dilations": (1, 1), "ceil_mode": False},
            "HzQuantizedMaxPool",
        ),
        (
            "AveragePool",
            (1, 8, 7, 7),
            {
                "kernel_shape": (2, 2),
                "strides": (1, 1),
                "pads": (0,) * 4,
                "ceil_mode": False,
                "count_include_pad": True,
            },
            "HzSQuantizedConv",
        ),
        (
            "Resize",
            (1, 8, 16, 16),
            {"mode": "nearest", "size": (16, 16), "coordinate_transformation_mode": "asymmetric"},
            "HzQuantizedResizeUpsample",
        ),
        ("ReduceMax", (1, 1, 8, 8), {"axes": (1,), "keepdims": True}, "HzQuantizedReduceMax"),
        ("ReduceSum", (1, 1, 8, 8), {"axes": (1,), "keepdims": True}, "HzSQuantizedReduceSum"),
        ("ReduceMean", (1, 1, 8, 8), {"axes": (1,), "keepdims": True}, "HzSQuantizedReduceMean"),
        ("Transpose", (1, 8, 8, 8), {"perm": (0, 1, 3, 2)}, "Transpose"),
        ("DepthToSpace", (1, 2, 16, 16), {"blocksize": 2, "mode": "CRD"}, "DepthToSpace"),
        ("Exp", (1, 8, 8, 8), {}, "HzLut"),
    ],
)
def test_types_of_single_operators(net, op, shape, attrs, type_):
    start = net.conv("x", 8, POINT)
    net.conv(net.node(op, (start,), shape, "one", **attrs), 4, POINT)
    assert ("one", type_) in rows(net)


def test_squeeze_and_unsqueeze_are_printed_as_reshape(net):
    start = net.conv("x", 8, POINT)
    five = net.node("Unsqueeze", (start,), (1, 1, 8, 8, 8), "five", axes=(1,))
    net.conv(net.node("Squeeze", (five,), (1, 8, 8, 8), "four", axes=(1,)), 4, POINT)
    assert rows(net)[1:3] == [("five", "Reshape"), ("four", "Reshape")]


def test_matmul_of_features_and_transposed_convolution(net):
    net.node("MatMul", ("x", "x"), (1, 8, 8, 8), "product")
    net.conv("product", 8, (2, 2), stride=(2, 2), op="ConvTranspose")
    net.conv(net.nodes[-1].name, 4, POINT)
    assert [type_ for _, type_ in rows(net)] == ["HzSQuantizedMatmul", "HzSQuantizedConvTranspose", "HzSQuantizedConv"]


def forked(net):
    """Two readers of one tensor and a Concat of it with a branch of its own."""
    a = net.conv("x", 8, POINT)
    b = net.conv(a, 8, POINT)
    joined = net.node("Concat", (b, a), (1, 16, 8, 8), "join", axis=1)
    net.conv(joined, 4, POINT)
    return a, b


def test_requantize_stands_before_the_concat_for_the_input_with_a_scale_of_its_own(net):
    a, _ = forked(net)
    assert [node for node, _ in rows(net)][2:4] == [f"{a}_output_0_calibrated_Requantize", "join"]
    row = table(net)[2]
    assert (row.on, row.subgraph, row.type, row.dtype) == ("BPU", "id(0)", "HzRequantize", "int8")
    assert row.source is row.first_input is None


def test_requantize_is_named_after_the_tensor_of_the_file(net):
    a, _ = forked(net)
    graph = replace(net.graph(), tensor_names={a: "417"})
    march = get_march("bayes-e")
    assert "417_calibrated_Requantize" in [row.node for row in vendor_table(graph, place(graph, march), march)]


def test_equal_thresholds_need_no_requantize(net):
    a, _ = forked(net)
    kept = TableOptions(thresholds={a: 3.0, "join": 3.5})
    assert "HzRequantize" in [type_ for _, type_ in rows(net, options=kept)]
    equal = TableOptions(thresholds={a: 3.0, "join": 3.0})
    assert "HzRequantize" not in [type_ for _, type_ in rows(net, options=equal)]
    unknown = TableOptions(thresholds={"join": 3.0})
    assert "HzRequantize" in [type_ for _, type_ in rows(net, options=unknown)]


def test_transposes_at_the_ends_leave_no_row(net):
    turned = net.node("Transpose", ("x",), (1, 8, 8, 8), "in", perm=(0, 3, 1, 2))
    net.node("Transpose", (net.conv(turned, 4, POINT),), (1, 8, 8, 4), "out", perm=(0, 2, 3, 1))
    assert [node for node, _ in rows(net)] == ["conv1"]
    kept = rows(net, options=TableOptions(removed_at_ends=()))
    assert [node for node, _ in kept] == ["in", "conv1", "out"]


def test_transpose_sinks_through_a_softmax_in_pieces_into_the_next_one(net):
    start = net.conv("x", 8, POINT)
    turned = net.node("Transpose", (start,), (1, 8, 8, 8), "above", perm=(0, 3, 1, 2))
    peak = net.node("ReduceMax", (turned,), (1, 1, 8, 8), "max", axes=(1,), keepdims=True)
    shifted = net.node("Sub", (turned, peak), (1, 8, 8, 8), "sub")
    back = net.node("Transpose", (shifted,), (1, 8, 8, 8), "below", perm=(0, 2, 1, 3))
    net.conv(back, 4, POINT)
    assert [node for node, _ in rows(net)] == ["conv0", "max", "sub", "below", net.nodes[-1].name]
    net.nodes[4].attrs["perm"] = (0, 2, 3, 1)
    assert [node for node, _ in rows(net)] == ["conv0", "max", "sub", net.nodes[-1].name]


def test_transpose_stays_where_something_below_cares_about_the_layout(net):
    start = net.conv("x", 8, POINT)
    turned = net.node("Transpose", (start,), (1, 8, 8, 8), "above", perm=(0, 3, 1, 2))
    summed = net.node("Add", (turned, "x"), (1, 8, 8, 8), "add")
    net.conv(net.node("Transpose", (summed,), (1, 8, 8, 8), "below", perm=(0, 2, 3, 1)), 4, POINT)
    assert {"above", "below"} <= {node for node, _ in rows(net)}


def test_rows_on_the_cpu_have_no_subgraph_and_their_onnx_type(net):
    conv = net.conv("x", 8, POINT)
    net.node("Softmax", (conv,), (1, 8, 8, 8), "soft", axis=1)
    row = table(net)[-1]
    assert (row.node, row.on, row.subgraph, row.type, row.dtype) == ("soft", "CPU", "--", "Softmax", "float")


def test_names_above_fifty_characters_are_cut_to_their_tail():
    assert shortened("x" * 50) == "x" * 50
    cut = shortened("/model.6/cv2/act/Mul_output_0_calibrated_Requantize")
    assert cut == "...el.6/cv2/act/Mul_output_0_calibrated_Requantize"
    assert len(cut) == 50


def test_a_placement_of_another_march_is_refused(net):
    net.conv("x", 4, POINT)
    graph = net.graph()
    placement = place(graph, get_march("bayes"))
    with pytest.raises(QWorkbenchError, match="placement is for bayes, the table is asked for bayes-e"):
        vendor_table(graph, placement, get_march("bayes-e"))
