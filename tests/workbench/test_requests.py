"""Requested versus effective, node_info in both forms, the rules of input_batch, and the order of inputs.

Tests named after a question are the answers of the PTQ FAQ.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.errors import CalibrationError, EditError, QWorkbenchError, UnknownNameError
from qworkbench.graph.batching import (
    BatchRangeError,
    CalibrationShapeError,
    FirstDimensionError,
    FixedBatchError,
    MissingShapeError,
    SeveralInputsError,
)


class Fixed(nn.Module):
    """A model whose reshape says 1, so that it computes one sample only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).reshape(1, 4, 36)


class Three(nn.Module):
    """Three inputs that are used in another order than they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 4, 1) for _ in range(3))

    def forward(self, input1, input2, input3):
        return self.c(input3) - 2 * self.b(input2) + 3 * self.a(input1)


@pytest.fixture(scope="module")
def three():
    inputs = tuple(torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(i)) for i in range(3))
    return q.Workbench(Three().eval(), inputs, calibration=[inputs]), inputs


# -- node_info ---------------------------------------------------------------------------------------------------------
def test_node_info_as_text_asks_for_output_dtypes(wb):
    wb.node_info("mix:int16; block:int16")
    assert wb.placement["mix"].dtype == wb.placement["block"].dtype == "int16"
    assert len(wb.journal) == 1


def test_node_info_as_a_mapping_places_and_types(wb):
    wb.node_info(
        {
            "softmax": {"ON": "BPU", "InputType": "int16", "OutputType": "int16"},
            "_generated_cat_0": {"InputType0": "int16"},
        }
    )
    table = wb.requests()
    assert table.loc["softmax", ["on", "effective_on", "effective_input", "effective_output"]].tolist() == [
        "bpu",
        "BPU",
        "int16",
        "int16",
    ]
    assert table.loc["_generated_cat_0", "input"] == "0: int16"
    assert wb.run().table["cosine"].min() > 0.99


def test_single_inputs_outrank_input_type_in_either_order(wb):
    wb.node_info({"_generated_cat_0": {"InputType0": "int16", "InputType": "int8"}})
    wish = wb.config.dtypes["_generated_cat_0"]
    assert (wish.input, wish.slots) == ("int8", ((0, "int16"),))


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ("mix", "'mix' is not 'node:int16'"),
        ({"mix": "int16"}, "must be 'node:int16;...' or a mapping"),
        ({"mix": {"ON": "GPU"}}, "ON must be BPU or CPU, got 'GPU'"),
        ({"mix": {"OutputTyp": "int16"}}, "did you mean 'OutputType'"),
        ({"mixx": {"ON": "CPU"}}, "did you mean 'mix'"),
        ("mix:int4", "it has int8 and int16"),
        ({"mix": {"InputType3": "int16"}}, "slot must lie in 0..0, got 3"),
    ],
)
def test_a_wrong_node_info_is_one_clear_error_and_changes_nothing(wb, info, words):
    before = wb.config
    with pytest.raises(QWorkbenchError, match=words.replace("(", r"\(").replace(".", r"\.")):
        wb.node_info(info)
    assert wb.config is before


# -- requested and effective -------------------------------------------------------------------------------------------
def test_int16_requests_update_the_neighbours_they_need(wb):
    wb.edit(q.SetDtype("act", "int16"))
    assert (wb.placement["act"].input_dtype, wb.placement["mix"].dtype) == ("int16", "int16")
    assert wb.requests().loc["act", "followed"]


def test_an_int16_request_that_falls_back_says_what_takes_effect(make_workbench):
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(4, 4, 1) for _ in range(3))

        def forward(self, x):
            return self.c(self.a(x) @ self.b(x))

    wb = make_workbench(Product().eval(), torch.randn(1, 4, 4, 4))
    wb.node_info("_generated_matmul_0:int16")
    row = wb.requests().loc["_generated_matmul_0"]
    assert (row["output"], row["effective_output"], row["followed"]) == ("int16", "int8", False)
    assert "gives int8 only on bayes-e" in row["why"]


def test_int16_for_an_op_on_the_cpu_is_told_and_takes_effect_on_the_bpu(wb):
    wb.edit(q.SetDtype("softmax", "int16"))
    row = wb.requests().loc["softmax"]
    assert (row["effective_on"], row["effective_output"], row["followed"]) == ("CPU", "float32", False)
    assert "runs on the CPU in float32" in row["why"]
    wb.edit(q.SetPlacement("softmax", "bpu"))
    assert wb.requests().loc["softmax", "followed"]
    assert wb.placement["softmax"].dtype == "int16"


def test_a_refused_run_on_bpu_is_a_row_with_its_reason(wb):
    wb.edit(q.SetPlacement("_generated_cat_1", "bpu"))
    row = wb.requests().loc["_generated_cat_1"]
    assert (row["on"], row["effective_on"], row["followed"]) == ("bpu", "CPU", False)
    assert row["why"].startswith("run_on_bpu is refused")


# -- how to compile to get a multi-batch model -------------------------------------------------------------------------
def test_how_to_compile_a_multi_batch_model_dynamic_with_input_batch(wb, samples):
    wb.edit(q.SetBatch(8))
    assert wb.input_shapes == {"x": (1, 3, 8, 8)}
    wb.check_calibration_shapes(samples[:1])
    with pytest.raises(CalibrationShapeError, match="1x3x8x8, but this sample has 8x3x8x8; input_batch 8 does not"):
        wb.check_calibration_shapes(samples[:8])
    assert wb.config.machine.parameter("input_batch") == 8


def test_how_to_compile_a_multi_batch_model_dynamic_with_a_first_dimension(wb, samples):
    wb.edit(q.SetBatch(first=4))
    assert wb.input_shapes == {"x": (4, 3, 8, 8)}
    wb.check_calibration_shapes(samples[:4])
    with pytest.raises(CalibrationShapeError, match="4x3x8x8"):
        wb.check_calibration_shapes(samples[:1])
    with pytest.raises(FirstDimensionError, match="begins with 4"):
        wb.edit(q.SetBatch(2))


def test_how_to_compile_a_multi_batch_model_that_does_not_support_it(make_workbench):
    wb = make_workbench(Fixed().eval(), torch.randn(1, 3, 8, 8))
    with pytest.raises(FixedBatchError, match="does not compute several samples at once"):
        wb.edit(q.SetBatch(4))
    with pytest.raises(FixedBatchError, match="computes batches of 1 only"):
        wb.edit(q.SetBatch(first=4))


def test_how_to_compile_a_multi_batch_model_of_several_inputs(three):
    with pytest.raises(SeveralInputsError, match="has 3"):
        three[0].edit(q.SetBatch(2))


def test_how_to_compile_a_multi_batch_model_that_is_not_dynamic(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def workbench(last, *shape):
        weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
        nodes = [
            helper.make_node("Conv", ["image", "weight"], ["y"], name="conv"),
            helper.make_node(last, ["y", "to"] if shape else ["y"], ["z"], name="last"),
        ]
        constants = [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.asarray(shape, np.int64), "to"),
        ]
        graph = helper.make_graph(
            nodes,
            "fixed",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
            [onnx.ValueInfoProto(name="z")],
            constants if shape else constants[:1],
        )
        path = tmp_path / f"{last}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), path)
        return q.Workbench(path)

    wb = workbench("Flatten")
    one = wb.estimate("O0").nodes["macs"].sum()
    wb.edit(q.SetBatch(4))
    assert wb.input_shapes == {"image": (1, 3, 8, 8)}
    assert wb.estimate("O0").nodes["macs"].sum() == 4 * one
    with pytest.raises(FixedBatchError, match="does not compute several samples at once"):
        workbench("Reshape", 1, 144).edit(q.SetBatch(4))


@pytest.mark.parametrize("batch", [0, -1, 129])
def test_input_batch_lies_between_1_and_128(wb, batch):
    with pytest.raises(BatchRangeError, match=f"from 1 to 128, got {batch}"):
        wb.edit(q.SetBatch(batch))


def test_a_dynamic_model_needs_an_input_shape_in_numbers(wb):
    with pytest.raises(MissingShapeError, match="must be given in whole numbers"):
        wb.edit(q.SetBatch(first=-1))


def test_the_batch_is_saved_undone_and_told(wb, mixed_model, samples, tmp_path):
    wb.edit(q.SetBatch(8))
    assert wb.diff() == ["batching: input_batch 1, first 0 -> input_batch 8, first 0"]
    again = q.Workbench.open(wb.save(tmp_path / "state.qwb.json"), mixed_model, samples[:1])
    assert again.config.batching.input_batch == 8
    wb.undo()
    assert wb.config.batching.compiled == 1


# -- is it normal for the order of model inputs to change --------------------------------------------------------------
def test_is_it_normal_for_the_order_of_inputs_to_change_by_name_is_always_right(three):
    wb, inputs = three
    wb.edit(q.SetInputOrder("quantized", "input2;input1;input3"), q.SetInputOrder("compiled", "input3;input2;input1"))
    assert wb.input_orders == {
        "original": ("input1", "input2", "input3"),
        "quantized": ("input2", "input1", "input3"),
        "compiled": ("input3", "input2", "input1"),
    }
    expected = wb.run(inputs).outputs
    by_name = dict(zip(("input1", "input2", "input3"), inputs, strict=True))
    for stage, order in wb.input_orders.items():
        given = wb.named_inputs([by_name[name] for name in order], stage)
        for name, array in wb.run(given).outputs.items():
            np.testing.assert_array_equal(array, expected[name])
    shuffled = {name: by_name[name] for name in ("input3", "input1", "input2")}
    for name, array in wb.run(shuffled).outputs.items():
        np.testing.assert_array_equal(array, expected[name])


def test_a_wrong_order_of_inputs_is_refused(three):
    wb, inputs = three
    with pytest.raises(UnknownNameError, match="no input 'input4'"):
        wb.edit(q.SetInputOrder("compiled", "input4;input2;input1"))
    with pytest.raises(EditError, match="names each of input1, input2, input3 once"):
        wb.edit(q.SetInputOrder("compiled", "input2;input1"))
    with pytest.raises(UnknownNameError, match="did you mean 'compiled'"):
        wb.named_inputs(inputs, "compile")
    with pytest.raises(CalibrationError, match="takes 3 inputs"):
        wb.named_inputs(inputs[:2])
