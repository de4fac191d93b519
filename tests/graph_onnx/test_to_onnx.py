"""The float graph as a file: valid ONNX, the same names, and onnxruntime computes the graph's numbers from it."""

from __future__ import annotations

import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import qworkbench as q
from qworkbench.errors import FileFormatError
from qworkbench.graph.edits import insert_unit_conv
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.graph.torch_frontend import capture
from qworkbench.toolchain import onnx_export
from qworkbench.toolchain.onnx_export import to_onnx
from tests.graph_onnx.files import distance, model, node, normal
from tests.models.zoo import ZOO

CARRIES = {"detector", "lstm", "gru"}


def written(graph, path, sample, opset=11, tolerance=1e-5):
    """Write, check with onnx, compare with onnxruntime, read again."""
    to_onnx(graph, path, opset=opset)
    onnx.checker.check_model(str(path), full_check=True)
    assert distance(graph, path, feeds_of(graph, sample)) <= tolerance
    return read_onnx(path)


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize("name", sorted(set(ZOO) - CARRIES))
def test_captured_network_is_written_with_its_names(name, opset, tmp_path):
    net, example = ZOO[name]()
    graph = capture(net, example)
    again = written(graph, tmp_path / "net.onnx", torch.cat([example, -example]), opset)
    assert set(graph.nodes.names()) <= set(again.nodes.names())
    same = {n.name: n.op for n in graph.nodes if n.op not in ("Dropout", "Softmax")}
    assert {name: again.nodes[name].op for name in same} == same


@pytest.mark.parametrize("name", sorted(CARRIES))
def test_calls_that_torch_exports_are_written_in_its_operators(name, tmp_path):
    net, example = ZOO[name]()
    graph = capture(net, example)
    to_onnx(graph, tmp_path / "net.onnx")
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    assert distance(graph, tmp_path / "net.onnx", feeds_of(graph, example)) <= 1e-5


class Pieces(nn.Module):
    """Everything that opset 11 has no operator for."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.group = nn.GroupNorm(2, 8)
        self.bare_group = nn.GroupNorm(4, 8, affine=False)
        self.layer = nn.LayerNorm(8)
        self.bare_layer = nn.LayerNorm(8, elementwise_affine=False)
        self.linear = nn.Linear(8, 6)
        self.plain = nn.Linear(6, 8, bias=False)
        self.prelu = nn.PReLU(8)
        self.instance = nn.InstanceNorm2d(8)

    def forward(self, x):
        y = F.hardswish(self.bare_group(self.group(self.conv(x))))
        y = F.mish(self.prelu(self.instance(y))) + F.silu(y)
        y = F.pixel_unshuffle(F.pixel_shuffle(y, 2), 2)
        y = F.interpolate(F.interpolate(y, scale_factor=2.0), size=(5, 7), mode="bilinear")
        y = F.pad(y, (1, 0, 2, 1), value=0.5)
        z = self.bare_layer(self.layer(y.permute(0, 2, 3, 1)))
        z = F.gelu(self.linear(z)) + F.gelu(self.linear(z), approximate="tanh")
        z = self.plain(z)
        small = (z >= 0.1).to(z.dtype) * z.clamp(-1, 2)
        scale = torch.rsqrt(small.abs().amax((1, 2), keepdim=True) + 1)
        return z.softmax(1), (small * scale).sum((1, 2)), z.argmax(-1), z.mean(1).chunk(2, -1)[1]


@pytest.mark.parametrize("opset", [11, 12, 13, 14, 17, 18, 20])
def test_operators_without_a_name_in_an_opset_are_written_as_their_pieces(opset, tmp_path):
    torch.manual_seed(0)
    net, x = Pieces().eval(), torch.randn(2, 3, 6, 6)
    graph = capture(net, x)
    again = written(graph, tmp_path / "pieces.onnx", x, opset)
    kinds = "Swish HardSwish Mish Gelu LayerNormalization GroupNormalization Gemm".split()
    for op in kinds:
        names = {n.name for n in graph.nodes if n.op == op}
        assert names
        assert {n.name for n in again.nodes if n.op == op} >= names
    if opset == 11:
        held = {n.op_type for n in onnx.load(tmp_path / "pieces.onnx").graph.node}
        assert not held & {"HardSwish", "Mish", "Gelu", "LayerNormalization", "GroupNormalization", "GreaterOrEqual"}


def test_unit_convolutions_are_written_and_change_no_number(tmp_path):
    net, example = ZOO["resnet18"]()
    graph = insert_unit_conv(capture(net, example), "maxpool", "after", 0)
    again = written(graph, tmp_path / "unit.onnx", example)
    assert (again.nodes["_unitconv_0"].op, again.nodes["_unitconv_0"].attrs["group"]) == ("Conv", 8)


def test_a_read_file_is_written_again(tmp_path):
    weights = {"w": normal(1, 20, 3), "r": normal(1, 20, 5), "b": normal(1, 40), "s": normal(5)}
    nodes = [
        node("LSTM", "xwrb", ("y", "h"), "/rnn/LSTM", hidden_size=5),
        node("Squeeze", "h", "z", "/Squeeze", axes=[0]),
        node("Einsum", "zs", "e", "/Einsum", equation="bi,i->bi"),
        node("TopK", "ek", ("v", "i"), "/TopK"),
        node("ReduceL2", "e", "l", "/Length", axes=[1]),
    ]
    import numpy as np

    content = model(nodes, {"x": ("L", 2, 3)}, ("v", "i", "l"), {**weights, "k": np.array([2])}, 12)
    graph = read_onnx(content)
    again = written(graph, tmp_path / "again.onnx", torch.randn(4, 2, 3), 12)
    assert again.nodes.names() == graph.nodes.names()
    assert again.output_names == ("v", "i", "l")


def test_an_operator_of_a_newer_opset_names_the_opset_to_ask_for(tmp_path):
    graph = read_onnx(model([node("Trilu", "x", "y", "half")], {"x": (4, 4)}, ("y",), opset=17))
    with pytest.raises(FileFormatError, match=r"'half' \(Trilu\).*opset=17"):
        to_onnx(graph, tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()


def test_what_has_no_onnx_form_is_named(tmp_path):
    uneven = capture(nn.AdaptiveAvgPool2d(3), torch.ones(1, 2, 7, 7))
    with pytest.raises(FileFormatError, match="unequal size"):
        to_onnx(uneven, tmp_path / "none.onnx")


def test_a_path_or_size_that_cannot_be_written(tmp_path, monkeypatch):
    graph = capture(nn.Linear(3, 2), torch.ones(1, 3))
    with pytest.raises(FileFormatError, match="cannot write"):
        to_onnx(graph, tmp_path / "none" / "net.onnx")
    with pytest.raises(FileFormatError, match="opset must be 11 to 20, got 9"):
        to_onnx(graph, tmp_path / "net.onnx", opset=9)
    monkeypatch.setattr(onnx_export, "LARGEST", 10)
    with pytest.raises(FileFormatError, match="2 GB"):
        to_onnx(graph, tmp_path / "net.onnx")


def test_the_workbench_writes_its_edited_graph(tmp_path):
    net, example = ZOO["resnet18"]()
    wb = q.Workbench(net, example)
    wb.edit(q.InsertUnitConv("maxpool", "after"))
    path = wb.to_onnx(tmp_path / "edited.onnx")
    assert "_unitconv_0" in read_onnx(path).nodes
    assert onnx.load(path).opset_import[0].version == 11
    assert distance(wb.graph, path, {wb.graph.inputs[0]: example}) <= 1e-5
