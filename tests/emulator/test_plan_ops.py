"""Every operator that bayes-e runs on the BPU: it lowers, runs, equals the reference, and is near the float op."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from qworkbench.calibration.method import CalibrationMethod
from qworkbench.calibration.observe import collect
from qworkbench.emulator.builder import build_plan
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.execute import execute
from qworkbench.emulator.lower import elementwise
from qworkbench.graph.execute import run_float
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node, NodeTable, Value
from qworkbench.graph.vocabulary import OPS
from qworkbench.march import get_march
from qworkbench.numerics import reference
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides
from qworkbench.workbench.thresholds import ConfiguredThresholds

SHAPE = (1, 4, 6, 6)


def tensor(*shape, seed=0, low=-2.0, high=2.0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


class OneOp:
    """A graph of one operator between model inputs and the model's output (a 1x1 convolution behind passive ones)."""

    def __init__(self, op, shapes=(SHAPE,), constants=(), low=-2.0, high=2.0, **attrs):
        self.op, self.attrs = op, attrs
        self.inputs = [tensor(*shape, seed=i, low=low, high=high) for i, shape in enumerate(shapes)]
        self.constants = constants

    def graph(self):
        values, names = {}, []
        for i, x in enumerate(self.inputs):
            values[f"x{i}"] = Value(f"x{i}", "input", tuple(x.shape))
            names.append(f"x{i}")
        for i, c in enumerate(self.constants):
            if c is None:
                names.append(None)
                continue
            values[f"c{i}"] = Value(f"c{i}", "constant", tuple(c.shape), str(c.dtype)[6:], data=c)
            names.append(f"c{i}")
        count = len(self.attrs["split"]) if self.op == "Split" else 1
        outputs = ("op",) if count == 1 else tuple(f"op:{i}" for i in range(count))
        node = Node("op", self.op, tuple(names), outputs, self.attrs)
        known = {f"x{i}": x for i, x in enumerate(self.inputs)}
        for name in outputs:
            values[name] = Value(name, "activation", (), producer="op")
        inputs = tuple(known)
        made = run_float(Graph(NodeTable([node]), values, inputs, outputs, outputs), known)
        for name in outputs:
            dtype = str(made[name].dtype).removeprefix("torch.")
            values[name] = Value(name, "activation", tuple(made[name].shape), dtype, producer="op")
        graph = Graph(NodeTable([node]), values, inputs, outputs, outputs)
        graph.check()
        return graph, known


def window(kernel, stride=1, pad=0, **more):
    return {"kernel_shape": (kernel,) * 2, "strides": (stride,) * 2, "pads": (pad,) * 4, **more}


def weight(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9)) * 0.5


CONV = {"dilations": (1, 1), "group": 1}
POSITIVE = {"low": 0.3, "high": 3.0}
TWO = ((1, 4, 6, 6), (1, 4, 6, 6))

CASES = {
    "Conv": OneOp("Conv", constants=(weight(5, 4, 3, 3), weight(5)), **window(3, 1, 1, **CONV)),
    "Conv 3-D": OneOp(
        "Conv",
        ((1, 4, 3, 6, 6),),
        (weight(5, 4, 2, 3, 3), weight(5)),
        kernel_shape=(2, 3, 3),
        strides=(1, 1, 1),
        pads=(1, 1, 1, 1, 1, 1),
        dilations=(1, 1, 1),
        group=1,
    ),
    "ConvTranspose": OneOp(
        "ConvTranspose", constants=(weight(4, 3, 2, 2), weight(3)), **window(2, 2, **CONV, output_padding=(0, 0))
    ),
    "Gemm": OneOp("Gemm", ((1, 12),), (weight(5, 12), weight(5)), transB=True),
    "Gemm transposed": OneOp("Gemm", ((1, 12),), (weight(12, 5), None), transB=False),
    "MatMul": OneOp("MatMul", ((1, 2, 5, 6), (1, 2, 6, 7))),
    "MatMul constant": OneOp("MatMul", ((1, 1, 5, 6),), (weight(1, 1, 6, 7),)),
    "BatchNormalization": OneOp(
        "BatchNormalization",
        constants=(weight(4), weight(4), weight(4), weight(4).abs() + 0.5),
        epsilon=1e-5,
    ),
    **{
        op: OneOp(op)
        for op in "Relu Sigmoid HardSwish Swish Mish Tanh Exp Erf Sin Cos Softplus Softsign Selu Floor Ceil Round Abs "
        "Atan Sign Sinh Cosh Asinh".split()
    },
    **{op: OneOp(op, **POSITIVE) for op in "Log Sqrt Rsqrt Reciprocal".split()},
    **{op: OneOp(op, low=-0.9, high=0.9) for op in "Asin Acos Atanh Tan".split()},
    "Acosh": OneOp("Acosh", low=1.5, high=4.0),
    "HardSigmoid": OneOp("HardSigmoid", alpha=1 / 6, beta=0.5),
    "Gelu": OneOp("Gelu", approximate="none"),
    "Elu": OneOp("Elu", alpha=1.0),
    "LeakyRelu": OneOp("LeakyRelu", alpha=0.1),
    "Clip": OneOp("Clip", min=-0.5, max=1.0),
    "Pow": OneOp("Pow", constants=(torch.tensor(2.0),)),
    "PRelu": OneOp("PRelu", constants=(weight(4),)),
    **{op: OneOp(op, TWO) for op in "Add Sub Mul Max Min".split()},
    "Add constant": OneOp("Add", constants=(weight(1, 4, 1, 1),)),
    "Mul scalar": OneOp("Mul", constants=(torch.tensor(0.7),)),
    "Sub broadcast": OneOp("Sub", ((1, 4, 6, 6), (1, 4, 1, 1))),
    "Div": OneOp("Div", TWO, **POSITIVE),
    **{op: OneOp(op, TWO) for op in "Equal Greater GreaterOrEqual Less LessOrEqual".split()},
    "Greater constant": OneOp("Greater", constants=(torch.tensor(0.25),)),
    "Concat": OneOp("Concat", TWO, axis=1),
    "Split": OneOp("Split", axis=1, split=(2, 2)),
    "Slice": OneOp("Slice", axes=(2,), starts=(1,), ends=(5,), steps=(2,)),
    "Gather": OneOp("Gather", constants=(torch.tensor([2, 0]),), axis=1),
    "Reshape": OneOp("Reshape", shape=(1, 4, 36)),
    "Flatten": OneOp("Flatten", axis=1),
    "Transpose": OneOp("Transpose", perm=(0, 2, 3, 1)),
    "Squeeze": OneOp("Squeeze", ((1, 4, 1, 6),), axes=(2,)),
    "Unsqueeze": OneOp("Unsqueeze", axes=(2,)),
    "Expand": OneOp("Expand", ((1, 4, 1, 6),), shape=(1, 4, 3, 6)),
    "Pad": OneOp("Pad", pads=(0, 0, 1, 1, 0, 0, 2, 1), mode="constant", value=0.5),
    "DepthToSpace": OneOp("DepthToSpace", ((1, 16, 3, 3),), blocksize=2, mode="CRD"),
    "SpaceToDepth": OneOp("SpaceToDepth", blocksize=2, mode="CRD"),
    "MaxPool": OneOp("MaxPool", **window(3, 2, 1, dilations=(1, 1), ceil_mode=False)),
    "AveragePool": OneOp("AveragePool", **window(3, 2, 1, ceil_mode=False, count_include_pad=False)),
    "GlobalAveragePool": OneOp("GlobalAveragePool"),
    "GlobalMaxPool": OneOp("GlobalMaxPool"),
    "Resize": OneOp(
        "Resize", mode="nearest", size=(12, 12), scales=(2.0, 2.0), coordinate_transformation_mode="asymmetric"
    ),
    "Resize linear": OneOp(
        "Resize", mode="linear", size=(12, 12), scales=(2.0, 2.0), coordinate_transformation_mode="half_pixel"
    ),
    **{op: OneOp(op, axes=(1,), keepdims=True) for op in "ReduceMean ReduceSum ReduceMax ReduceMin".split()},
    "ArgMax": OneOp("ArgMax", axis=1, keepdims=True),
    "ArgMin": OneOp("ArgMin", axis=1, keepdims=True),
    "Softmax": OneOp("Softmax", axis=1),
}

COMPARED = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
# in codes of the output: one rounding each, more where an op runs as several
STEPS = ("Round", "Floor", "Ceil", "Sign")
LSB = {"Softmax": 6.0, "PRelu": 2.6, "Div": 6.0, "Reciprocal": 5.0, "Rsqrt": 3.0}


def on_bpu():
    march = get_march("bayes-e")
    skipped = ("stub", "transparent")
    found = []
    for name, spec in OPS.items():
        row = march.row(name)
        if row.supported != "no" and spec.family not in skipped and row.quant_class in ("active", "passive", "manual"):
            found.append(name)
    return found


def test_every_operator_that_the_march_supports_has_a_case():
    assert set(on_bpu()) <= {case.op for case in CASES.values()}


def plan_of(case, wide=False):
    graph, feeds = case.graph()
    march = get_march("bayes-e")
    # pin the output, so that tails and passive ops leave as codes; a passive op without a consumer needs run_on_bpu
    dtype = DtypeRequest("int16", None, "int16") if wide else DtypeRequest(output="int8")
    wishes = Overrides(on={"op": "bpu"}, dtypes={"op": dtype})
    placement = place(graph, march, wishes)
    statistics = collect(graph, [feeds])
    plan = build_plan(graph, placement, ConfiguredThresholds(statistics, CalibrationMethod(), {}))
    return graph, feeds, placement, plan


ON_BPU = [name for name, case in CASES.items() if get_march("bayes-e").row(case.op).supported != "no"]


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("name", ON_BPU)
def test_operator_runs_on_the_bpu_like_the_reference_and_near_float(name, wide):
    case = CASES[name]
    graph, feeds, placement, plan = plan_of(case, wide)
    if placement["op"].reason.code == "refused":  # a Concat alone: see the next test
        assert case.op == "Concat"
        return
    assert placement["op"].on == "BPU", placement["op"].reason.sentence
    arrays = {key: x.numpy() for key, x in feeds.items()}
    keys = {key for step in plan.steps for key in step.outputs}
    fast = execute(plan, arrays, keys, ResultCache()).arrays
    slow = execute(plan, arrays, keys, ResultCache(), backend=reference).arrays
    for key in keys:
        np.testing.assert_array_equal(fast[key], slow[key], err_msg=key)
    real = run_float(graph, feeds)
    for value, key in zip(graph.outputs, plan.outputs, strict=True):
        exact, got = real[value].numpy(), fast[key]
        assert (got.shape, got.dtype) == (exact.shape, exact.dtype)
        if case.op in COMPARED or case.op.startswith("Arg"):
            assert np.mean(got != exact) < 0.15
            continue
        single = len(graph.outputs) == 1
        quantity = plan.quantities[plan.results["op"] if single else f"{value}@{'int16' if wide else 'int8'}"]
        step = float(quantity.scale.max())
        # the segmented table interpolates: near to a thousandth of the range, except across a jump
        interpolated = float(np.abs(exact).max()) * (0.05 if case.op in STEPS else 1e-3) if wide else 0.0
        bound = input_error(case, plan, feeds, graph) + LSB.get(case.op, 1.01) * step + interpolated
        assert np.abs(got - exact).max() <= bound


def input_error(case, plan, feeds, graph):
    """How far the float op moves when its inputs are rounded to their codes, and its weight to 8 bits."""
    rounded = {}
    for name, x in feeds.items():
        scale = next((float(s.scale.max()) for key, s in plan.quantities.items() if key.startswith(f"{name}@")), 0.0)
        rounded[name] = torch.round(x / scale) * scale if scale else x
    exact, moved = run_float(graph, feeds), run_float(graph, rounded)
    from_inputs = max(float((exact[v].float() - moved[v].float()).abs().max()) for v in graph.outputs)
    weights = [c for c in case.constants if c is not None and c.is_floating_point() and c.numel() > 1]
    reach = max((float(x.abs().max()) for x in feeds.values()), default=0.0)
    from_weights = sum(
        float(w.abs().max()) / 254 * max(w[0].numel(), w.numel() // w.shape[-1]) * reach for w in weights
    )
    return from_inputs * 1.05 + from_weights


@pytest.mark.parametrize(
    "function", [lambda x: x * 0.3, lambda x: x + 1.5, lambda x: x - 0.25, lambda x: 0.7 - x, lambda x: x / 3]
)
def test_codes_beside_a_number_are_those_of_two_operands(captured, monkeypatch, function):
    graph = captured(lambda m, x: m.b(function(m.a(x))), (1, 3, 8, 8), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(4, 2, 1))
    placement = place(graph, get_march("bayes-e"))
    assert placement.count("CPU") == 0
    x = tensor(1, 3, 8, 8)
    thresholds = ConfiguredThresholds(collect(graph, [x]), CalibrationMethod(), {})
    name = graph.nodes.names()[1]
    found = []
    for kind, two in (("lut", False), (None, True)):
        with monkeypatch.context() as patch:
            if two:
                patch.setattr(elementwise, "beside_a_number", lambda builder, unit: None)
            plan = build_plan(graph, placement, thresholds)
        kinds = [step.kind for step in plan.steps if step.unit == name]
        assert kinds == [kind] if kind else "constant" in kinds
        found.append(execute(plan, {"arg0": x.numpy()}, {plan.results[name]}, ResultCache()).arrays[plan.results[name]])
    np.testing.assert_array_equal(*found)
    assert len(np.unique(found[0])) > 8


def test_concat_and_every_passive_op_in_front_of_a_convolution_pass_codes_through(captured):
    def forward(m, x):
        a, b = m.a(x), m.b(x)
        y = torch.cat([a, b], 1)
        y = F.pixel_unshuffle(y, 2).permute(0, 1, 3, 2)[:, :, 1:]
        return m.c(F.pad(y, (1, 1, 0, 0)))

    graph = captured(forward, (1, 3, 8, 8), a=nn.Conv2d(3, 2, 1), b=nn.Conv2d(3, 2, 1), c=nn.Conv2d(16, 2, 1))
    placement = place(graph, get_march("bayes-e"))
    assert placement.count("CPU") == 0
    x = tensor(1, 3, 8, 8)
    plan = build_plan(graph, placement, ConfiguredThresholds(collect(graph, [x]), CalibrationMethod(), {}))
    arrays = execute(plan, {"arg0": x.numpy()}, set(plan.results.values()), ResultCache()).arrays
    codes = {node.op: arrays[plan.results[node.name]] for node in graph.nodes}
    joined = np.concatenate([arrays[plan.results["a"]], arrays[plan.results["b"]]], 1)
    np.testing.assert_array_equal(codes["Concat"], joined)
    moved = F.pixel_unshuffle(torch.from_numpy(joined.astype(np.int32)).float(), 2).permute(0, 1, 3, 2)[:, :, 1:]
    np.testing.assert_array_equal(codes["Pad"], F.pad(moved, (1, 1, 0, 0)).numpy())


def test_a_padding_value_beyond_int8_is_a_code_in_int16():
    case = OneOp("Pad", pads=(0, 0, 1, 1, 0, 0, 1, 1), mode="constant", value=1.5)
    _, feeds, _, plan = plan_of(case, wide=True)
    got = execute(plan, {k: v.numpy() for k, v in feeds.items()}, set(plan.outputs), ResultCache()).arrays[
        plan.outputs[0]
    ]
    assert got[0, 0, 0, 0] == pytest.approx(1.5, abs=1e-3)
