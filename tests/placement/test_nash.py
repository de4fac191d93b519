"""The nash marches: what is public holds, what is not says so, and every form of number follows its parameter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qworkbench.march import get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides

NASH = ("nash-e", "nash-m", "nash-p", "nash-h", "nash-b")
each = pytest.mark.parametrize("march", NASH)


def placed(graph, march, *, parameters=None, **wishes):
    return place(graph, get_march(march).with_parameters(parameters or {}), Overrides(**wishes))


@pytest.fixture(scope="module")
def head(captured):
    """conv, tanh, conv + relu, softmax, concat of the last two: something for every class."""

    def forward(m, x):
        x = m.b(torch.tanh(m.a(x))).relu()
        return torch.cat([x.softmax(1), -x], 1)

    return captured(forward, (1, 3, 8, 8), a=nn.Conv2d(3, 8, 3, padding=1), b=nn.Conv2d(8, 4, 1))


@pytest.fixture(scope="module")
def plain(captured):
    return captured(
        lambda m, x: m.b(m.relu(m.a(x))), (1, 3, 8, 8), a=nn.Conv2d(3, 8, 3), relu=nn.ReLU(), b=nn.Conv2d(8, 4, 1)
    )


@each
def test_an_op_that_no_public_list_has_says_unknown_and_what_is_assumed(head, march):
    placement = placed(head, march)
    tanh, neg = placement["_generated_tanh_0"], placement["_generated_neg_0"]
    assert tanh.on == "BPU"
    assert "Tanh is unknown on this march, assumed on the BPU, as on bayes-e" in tanh.reason.sentence
    assert (neg.on, neg.reason.code) == ("CPU", "unknown")
    assert neg.reason.sentence.endswith("is unknown on this march, assumed on the CPU, as on bayes-e.")
    asked = placed(head, march, on={"_generated_neg_0": "bpu"})["_generated_neg_0"]
    assert asked.reason.sentence.startswith("run_on_bpu is refused")


@each
def test_a_convolution_is_known_by_its_class_and_its_limits_are_named_as_assumed(plain, march):
    reason = placed(plain, march)["a"].reason
    assert "unknown" not in reason.sentence
    assert any("shape limits are not public" in fact.text for fact in reason.facts)


@pytest.mark.parametrize(
    ("march", "dtype", "dequantized"),
    [
        ("nash-e", "int32", True),
        ("nash-m", "int32", True),
        ("nash-p", "float32", False),
        ("nash-h", "float32", False),
        ("nash-b", "float32", False),
    ],
)
def test_the_tail_leaves_as_int32_with_a_dequantize_or_as_float32(plain, march, dtype, dequantized):
    placement = placed(plain, march)
    assert (placement["b"].dtype, placement["b"].reason.code) == (dtype, f"tail_{dtype}")
    assert any(b.kind == "dequantize" for b in placement.boundaries) is dequantized


@pytest.mark.parametrize("march", ["nash-p", "nash-h"])
def test_float16_is_the_default_of_everything_but_multiply_accumulate(head, march):
    placement = placed(head, march)
    assert (placement["a"].input_dtype, placement["a"].dtype) == ("int8", "float16")
    softmax = placement["_generated_softmax_0"]
    assert (softmax.on, softmax.dtype, softmax.reason.code) == ("BPU", "float16", "float16")
    assert placement["_generated_cat_0"].on == "BPU"
    assert "needs no threshold" in softmax.reason.sentence


@pytest.mark.parametrize("march", ["nash-e", "nash-m", "nash-b"])
def test_int8_is_the_default_of_the_others(head, march):
    placement = placed(head, march)
    assert placement["a"].dtype == placement["_generated_tanh_0"].dtype == "int8"
    assert placement["_generated_softmax_0"].reason.code == "manual"


@pytest.mark.parametrize("march", ["nash-e", "nash-m"])
def test_float16_on_request_is_for_vector_ops_only(head, march):
    wish = DtypeRequest(output="float16")
    placement = placed(head, march, dtypes={"_generated_tanh_0": wish, "a": wish})
    assert placement["_generated_tanh_0"].dtype == "float16"
    assert placement["a"].dtype == "int8"
    assert "the tensor unit of" in placement["a"].notes[0]


def test_float16_on_a_march_without_it_is_answered(plain):
    placement = placed(plain, "bayes-e", dtypes={"a": DtypeRequest(output="float16")})
    assert placement["a"].dtype == "int8"
    assert "computes in integers only" in placement["a"].notes[0]


@pytest.mark.parametrize(("march", "weight"), [("nash-e", "int8"), ("nash-m", "int8"), ("nash-p", "int16")])
def test_dual_int16_is_a_switch_of_the_march(plain, march, weight):
    wish = {"a": DtypeRequest(input="int16", weight="int16", output="int16")}
    placement = placed(plain, march, dtypes=wish)
    assert placement["a"].weight_dtype == weight
    assert any("dual_int16" in note for note in placement["a"].notes) is (weight == "int8")
    assert placed(plain, march, dtypes=wish, parameters={"dual_int16": True})["a"].weight_dtype == "int16"


def test_one_side_in_int16_needs_no_switch(plain):
    placement = placed(plain, "nash-m", dtypes={"b": DtypeRequest(weight="int16")})
    assert (placement["b"].input_dtype, placement["b"].weight_dtype, placement["b"].notes) == ("int8", "int16", ())


def test_a_matmul_takes_int16_on_one_side_where_dual_int16_is_off(captured):
    graph = captured(
        lambda m, x: m.c(m.a(x) @ m.b(x)), (1, 3, 8, 8), **{n: nn.Conv2d(3, 3, 1) for n in ("a", "b", "c")}
    )
    both = {"_generated_matmul_0": DtypeRequest(input="int16")}
    placement = placed(graph, "nash-m", dtypes=both)
    assert sorted((placement["a"].dtype, placement["b"].dtype)) == ["int16", "int8"]
    assert "takes int16 on one side only" in placement["_generated_matmul_0"].notes[0]
    everywhere = placed(graph, "nash-p", dtypes={**both, "a": both["_generated_matmul_0"]})
    assert everywhere["_generated_matmul_0"].input_dtype == "int16"


def test_one_input_of_several_can_be_asked_for(captured):
    graph = captured(
        lambda m, x: m.c(m.a(x) @ m.b(x)), (1, 3, 8, 8), **{n: nn.Conv2d(3, 3, 1) for n in ("a", "b", "c")}
    )
    placement = placed(graph, "nash-m", dtypes={"_generated_matmul_0": DtypeRequest(slots=((1, "int16"),))})
    assert (placement["a"].dtype, placement["b"].dtype) == ("int8", "int16")


def test_an_int16_request_for_an_op_on_the_cpu_is_answered(head):
    for march in ("bayes-e", "nash-m"):
        placement = placed(head, march, dtypes={"_generated_neg_0": DtypeRequest(output="int16", input="int16")})
        (note,) = placement["_generated_neg_0"].notes
        assert "int16 asked for output and input" in note
        assert "runs on the CPU in float32" in note


def test_a_request_at_a_quantization_stub_is_one_for_its_tensor(captured):
    from qworkbench.nn import QuantStub

    graph = captured(lambda m, x: m.a(m.quant(x)), (1, 3, 8, 8), quant=QuantStub(), a=nn.Conv2d(3, 4, 3))
    placement = placed(graph, "bayes-e", dtypes={"quant": DtypeRequest(output="int16")})
    assert placement["a"].input_dtype == "int16"


@each
def test_assumptions_name_what_nash_leaves_open(plain, march):
    names = {name for name, *_ in placed(plain, march).assumptions}
    assert {"classes", "tail_lut_int16", "run_on_bpu_passive"} <= names
    assert ("dual_int16" in names) is (march in ("nash-e", "nash-m", "nash-b"))


@pytest.mark.parametrize("march", ["nash-e", "nash-m", "nash-b"])
@pytest.mark.parametrize("name", ["_generated_softmax_0", "_generated_cat_0"])
def test_float16_is_offered_as_a_way_to_the_bpu_without_quantization(head, march, name):
    before = placed(head, march)[name]
    assert before.on == "CPU"
    (edit,) = next(way.edits for way in before.reason.ways if way.text.startswith("float16"))
    assert edit == {"kind": "SetDtype", "node": name, "output": "float16"}
    after = placed(head, march, dtypes={name: DtypeRequest(output="float16")})[name]
    assert (after.on, after.dtype) == ("BPU", "float16")
