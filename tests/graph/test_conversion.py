"""Torch calls become the vocabulary's operators with its attribute conventions, and compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.graph.node import Sym
from qworkbench.graph.torch_frontend import capture
from qworkbench.graph.vocabulary import OPS
from tests.graph.replay import difference_on, module_of

X = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1))
B = Sym(1)

CASES = {
    "conv same pads end": (
        lambda s, x: F.conv2d(x, torch.ones(2, 4, 2, 2), padding="same"),
        "Conv",
        {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 0, 1, 1), "dilations": (1, 1), "group": 1},
    ),
    "conv pads": (
        lambda s, x: F.conv2d(x, torch.ones(4, 1, 3, 1), stride=2, padding=(2, 0), groups=4),
        "Conv",
        {"kernel_shape": (3, 1), "strides": (2, 2), "pads": (2, 0, 2, 0), "dilations": (1, 1), "group": 4},
    ),
    "slice": (
        lambda s, x: x[:, 1:-1, ::2],
        "Slice",
        {"axes": (1, 2), "starts": (1, 0), "ends": (3, 6), "steps": (1, 2)},
    ),
    "batch slice": (lambda s, x: x[:1], "Slice", {"axes": (0,), "starts": (0,), "ends": (1,), "steps": (1,)}),
    "integer index": (lambda s, x: x[..., -1], "Gather", {"axis": 3}),
    "tensor index": (lambda s, x: x[:, torch.tensor([2, 0, -1])], "Gather", {"axis": 1}),
    "select": (lambda s, x: x.select(-3, 1), "Gather", {"axis": 1}),
    "view": (lambda s, x: x.view(x.shape[0], -1, 6), "Reshape", {"shape": (B, 24, 6)}),
    "merge batch": (lambda s, x: x.reshape(-1, 6), "Reshape", {"shape": (Sym(24), 6)}),
    "flatten": (lambda s, x: x.flatten(1), "Flatten", {"axis": 1}),
    "flatten middle": (lambda s, x: x.flatten(2), "Reshape", {"shape": (B, 4, 36)}),
    "transpose": (lambda s, x: x.transpose(-1, 1), "Transpose", {"perm": (0, 3, 2, 1)}),
    "movedim": (lambda s, x: x.movedim(1, -1), "Transpose", {"perm": (0, 2, 3, 1)}),
    "squeeze": (lambda s, x: x[:, :1].squeeze(1), "Squeeze", {"axes": (1,)}),
    "unsqueeze": (lambda s, x: x.unsqueeze(-1), "Unsqueeze", {"axes": (4,)}),
    "pad": (
        lambda s, x: F.pad(x, (1, 2, 3, 0), value=0.5),
        "Pad",
        {"pads": (0, 0, 3, 1, 0, 0, 0, 2), "mode": "constant", "value": 0.5},
    ),
    "pad reflect": (
        lambda s, x: F.pad(x, (1, 0, 2, 1), "reflect"),
        "Pad",
        {"pads": (0, 0, 2, 1, 0, 0, 1, 0), "mode": "reflect", "value": 0.0},
    ),
    "mean": (lambda s, x: x.mean((-1, 1)), "ReduceMean", {"axes": (1, 3), "keepdims": False}),
    "max of all": (lambda s, x: x.max(), "ReduceMax", {"axes": (0, 1, 2, 3), "keepdims": False}),
    "argmax": (lambda s, x: x.argmax(-3), "ArgMax", {"axis": 1, "keepdims": False}),
    "softmax": (lambda s, x: x.softmax(-1), "Softmax", {"axis": 3}),
    "concat": (lambda s, x: torch.cat([x, x * 2], -3), "Concat", {"axis": 1}),
    "split": (lambda s, x: x.split([1, 3], 1)[1], "Split", {"axis": 1, "split": (1, 3)}),
    "max pool": (
        lambda s, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        "MaxPool",
        {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1), "ceil_mode": True},
    ),
    "adaptive to one": (lambda s, x: F.adaptive_avg_pool2d(x, 1), "GlobalAveragePool", {}),
    "adaptive divisible": (
        lambda s, x: F.adaptive_avg_pool2d(x, (3, None)),
        "AveragePool",
        {
            "kernel_shape": (2, 1),
            "strides": (2, 1),
            "pads": (0, 0, 0, 0),
            "ceil_mode": False,
            "count_include_pad": True,
        },
    ),
    "adaptive uneven": (lambda s, x: F.adaptive_avg_pool2d(x, 4), "AdaptiveAvgPool", {"output_size": (4, 4)}),
    "resize by scale": (
        lambda s, x: F.interpolate(x, scale_factor=1.6, mode="bilinear"),
        "Resize",
        {
            "mode": "linear",
            "size": (9, 9),
            "scales": (1.6, 1.6),
            "coordinate_transformation_mode": "pytorch_half_pixel",
        },
    ),
    "resize by size": (
        lambda s, x: F.interpolate(x, size=9, mode="bicubic", align_corners=True),
        "Resize",
        {"mode": "cubic", "size": (9, 9), "scales": None, "coordinate_transformation_mode": "align_corners"},
    ),
    "nearest exact": (
        lambda s, x: F.interpolate(x, scale_factor=2, mode="nearest-exact"),
        "Resize",
        {"mode": "nearest", "size": (12, 12), "scales": (2.0, 2.0), "coordinate_transformation_mode": "half_pixel"},
    ),
    "pixel shuffle": (lambda s, x: F.pixel_shuffle(x, 2), "DepthToSpace", {"blocksize": 2, "mode": "CRD"}),
    "pixel unshuffle": (lambda s, x: F.pixel_unshuffle(x, 2), "SpaceToDepth", {"blocksize": 2, "mode": "CRD"}),
    "clamp": (lambda s, x: x.clamp(min=0), "Clip", {"min": 0.0, "max": None}),
    "relu6": (lambda s, x: F.relu6(x), "Clip", {"min": 0.0, "max": 6.0}),
    "hardsigmoid": (lambda s, x: F.hardsigmoid(x), "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "gelu": (lambda s, x: F.gelu(x, approximate="tanh"), "Gelu", {"approximate": "tanh"}),
    "product with weight": (lambda s, x: x @ torch.ones(6, 2), "Gemm", {"transB": False}),
    "reflected": (lambda s, x: 1 - x, "Sub", {}),
    "scalar power": (lambda s, x: x**2, "Pow", {}),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator_and_attributes(case):
    forward, op, attrs = CASES[case]
    model = module_of(forward)
    graph = capture(model, X)
    node = list(graph.nodes)[-1]
    assert (node.op, dict(node.attrs)) == (op, attrs)
    assert set(attrs) == set(OPS[op].attrs)
    assert difference_on(graph, model, Y) == 0


CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}


class Steps(nn.Module):
    """A cell from the zero state, and once more from what it gave."""

    def __init__(self, kind, bias):
        super().__init__()
        self.cell = kind(6, 5, bias=bias)

    def forward(self, x):
        state = self.cell(x[:, 1], self.cell(x[:, 0]))
        return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_a_recurrent_cell_is_opened_up_with_and_without_a_state(cell, bias):
    model = Steps(CELLS[cell], bias).eval()
    graph = capture(model, torch.randn(2, 3, 6))
    assert "Opaque" not in {n.op for n in graph.nodes}
    assert sum(n.op == "Gemm" for n in graph.nodes) == 3
    assert difference_on(graph, model, torch.randn(5, 3, 6)) < 1e-6


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, padding, mask):
        return self.attention(x, x, x, key_padding_mask=padding, attn_mask=mask)


@pytest.mark.parametrize("kind", [torch.bool, torch.float32])
@pytest.mark.parametrize("per_head", [True, False])
def test_attention_with_masks_is_opened_up(kind, per_head):
    padding = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1]]).to(kind)
    mask = torch.ones(4, 4).triu(1).to(kind)
    mask = mask.expand(4, 4, 4).contiguous() if per_head else mask
    model = Masked().eval()
    example = (torch.randn(2, 4, 8), padding, mask)
    graph = capture(model, example)
    assert "Opaque" not in {n.op for n in graph.nodes}
    assert {"MatMul", "Softmax", "Gemm"} <= {n.op for n in graph.nodes}
    assert difference_on(graph, model, example) < 1e-6


COMPOSITES = {
    "stack": (lambda s, x: torch.stack([x, x], -1), ["Unsqueeze", "Unsqueeze", "Concat"]),
    "unbind": (lambda s, x: x[:, :2].unbind(1)[1], ["Slice", "Split", "Squeeze"]),
    "index and new axis": (lambda s, x: x[:, None, 0], ["Gather", "Unsqueeze"]),
    "glu": (lambda s, x: F.glu(x, 1), ["Split", "Sigmoid", "Mul"]),
    "roll": (lambda s, x: x.roll(2, 3), ["Slice", "Slice", "Concat"]),
    "flip": (lambda s, x: x.flip(2, 3), ["Slice"]),
    "flip_tuple": (lambda s, x: torch.flip(x, (-1, 1)), ["Slice"]),
    "fliplr": (lambda s, x: torch.fliplr(input=x), ["Slice"]),
    "flipud": (lambda s, x: torch.flipud(x[0]), ["Gather", "Slice"]),
    "channel shuffle": (lambda s, x: F.channel_shuffle(x, 2), ["Reshape", "Transpose", "Reshape"]),
    "normalize": (lambda s, x: F.normalize(x), ["ReduceL2", "Clip", "Div"]),
    "add with alpha": (lambda s, x: torch.add(x, x, alpha=0.5), ["Mul", "Add"]),
    "max along an axis": (lambda s, x: x.max(1).values, ["ReduceMax"]),
    "attention": (
        lambda s, x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        ["Transpose", "Mul", "MatMul", "Add", "Softmax", "MatMul"],
    ),
    "masked attention": (
        lambda s, x: F.scaled_dot_product_attention(x, x, x, torch.ones(6, 6).tril().bool()),
        ["Transpose", "Mul", "MatMul", "Where", "Softmax", "MatMul"],
    ),
}


@pytest.mark.parametrize("case", COMPOSITES, ids=str)
def test_composites_are_opened_and_the_last_node_keeps_the_name(case):
    forward, expected = COMPOSITES[case]
    model = module_of(forward)
    graph = capture(model, X)
    assert [n.op for n in graph.nodes] == expected
    last = list(graph.nodes)[-1]
    assert all(n.name.startswith(n.parent) for n in graph.nodes if n.parent)
    assert last.parent is None or case == "unbind"
    assert difference_on(graph, model, Y) < 1e-6


CARRIED = {
    "Where": lambda s, x: torch.where(x > 0, x, 0.1),
    "TopK": lambda s, x: x.topk(2, 1)[0],
    "CumSum": lambda s, x: x.cumsum(1),
    "GridSample": lambda s, x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False),
    "Einsum": lambda s, x: torch.einsum("bchw,dchw->bd", x, torch.ones(5, 4, 6, 6)),
    "Cast": lambda s, x: (x * 10).int(),
    "Tile": lambda s, x: x.repeat(1, 2, 1, 1),
    "GatherElements": lambda s, x: x.gather(1, x.argsort(1)),
}


@pytest.mark.parametrize("op", CARRIED)
def test_operators_outside_the_vocabulary_keep_their_onnx_name_and_a_call(op):
    model = module_of(CARRIED[op])
    graph = capture(model, X)
    node = list(graph.nodes)[-1]
    assert node.op == op
    assert node.call is not None
    assert difference_on(graph, model, Y) == 0


def test_unknown_operation_is_opaque_with_its_source_and_reason():
    model = module_of(lambda s, x: torch.special.bessel_j0(x) + x.std(1, keepdim=True))
    graph = capture(model, X)
    first = next(iter(graph.nodes))
    assert (first.op, first.source_op) == ("Opaque", "torch.special_bessel_j0")
    assert "no operator" in first.attrs["why"]
    assert difference_on(graph, model, Y) == 0


@pytest.mark.parametrize(
    "attention",
    [
        nn.MultiheadAttention(8, 2),
        nn.MultiheadAttention(8, 2, batch_first=True, bias=False),
        nn.MultiheadAttention(8, 2, kdim=8, vdim=8, batch_first=True),
    ],
    ids=["sequence first", "no bias", "separate projections"],
)
def test_multihead_attention_is_projections_products_and_a_softmax(attention):
    attention._qkv_same_embed_dim = attention._qkv_same_embed_dim and attention.in_proj_weight is not None
    model = module_of(lambda s, x: s.a(x, x, x), a=attention)
    graph = capture(model, torch.randn(1, 5, 8))
    assert all(n.call is None for n in graph.nodes)
    assert [n.op for n in graph.nodes].count("Gemm") == 4
    assert difference_on(graph, model, torch.randn(3, 5, 8)) < 1e-6


def test_transformer_encoder_layer_is_entered():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = module_of(
        lambda s, x: s.e(x, mask=nn.Transformer.generate_square_subsequent_mask(5)),
        e=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
    )
    graph = capture(model, torch.randn(1, 5, 8))
    assert {n.op for n in graph.nodes} <= set(OPS)
    assert "e.layers.1.linear2" in graph.nodes
    assert difference_on(graph, model, torch.randn(3, 5, 8)) < 2e-6


def test_lstm_cell_in_a_loop_is_opened_per_step():
    def forward(self, x):
        h = c = torch.zeros(x.size(0), 6)
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], (h, c))
        return h

    model = module_of(forward, cell=nn.LSTMCell(8, 6))
    graph = capture(model, torch.randn(1, 3, 8))
    assert graph.call_counts["cell"] == 3
    assert "cell#2.gates" in graph.nodes
    assert difference_on(graph, model, torch.randn(4, 3, 8)) < 1e-6


def test_padding_modes_of_convolutions_become_a_pad():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"))
    graph = capture(model, X)
    assert [(n.name, n.op) for n in graph.nodes] == [("0.pad", "Pad"), ("0", "Conv")]
    assert difference_on(graph, model, Y) == 0
