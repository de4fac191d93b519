"""Torch calls outside the vocabulary leave as ONNX operators, and ONNX Runtime computes what torch computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

import qworkbench
from qworkbench.errors import FileFormatError
from qworkbench.graph.torch_frontend import capture
from qworkbench.toolchain.onnx_export import to_onnx

ort = pytest.importorskip("onnxruntime")


def _set(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 0] = 1.0
    return x


CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "where": lambda x: torch.where(x > 0, x, x * 0.1),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.5),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "cumsum": lambda x: torch.cumsum(x, 1),
    "flip": lambda x: torch.flip(x, [3]),
    "unfold": lambda x: nnf.unfold(x, 2),
    "gather": lambda x: torch.gather(x, 1, torch.zeros(1, 2, 8, 8, dtype=torch.long)),
    "prod": lambda x: torch.prod(x, 1),
    "sort": lambda x: torch.sort(x, 1)[0],
    "std": lambda x: x.std(1),
    "setitem": _set,
    "atan2": lambda x: torch.atan2(x, x + 1),
}


class Between(nn.Module):
    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.call = nn.Conv2d(3, 4, 1), call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.conv(x)) * 2


@pytest.mark.parametrize("name", CALLS)
def test_call_computes_the_same_in_onnx_runtime(name, tmp_path, capfd):
    torch.manual_seed(0)
    model, x = Between(CALLS[name]).eval(), torch.randn(1, 3, 8, 8)
    to_onnx(capture(model, x), tmp_path / "m.onnx")
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0], expected, atol=1e-5)
    assert capfd.readouterr().out == ""


def test_call_that_the_opset_lacks_is_named(tmp_path, capfd):
    graph = capture(Between(lambda x: torch.einsum("nchw,ndhw->ncd", x, x)).eval(), torch.randn(1, 3, 8, 8))
    with pytest.raises(FileFormatError, match=r"'_generated_einsum_0' \(torch.einsum\) has no ONNX form at opset 11"):
        to_onnx(graph, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
    assert capfd.readouterr().out == ""
    to_onnx(graph, tmp_path / "m.onnx", opset=12)


def test_code_of_the_user_is_not_traced(tmp_path):
    @qworkbench.wrap
    def twice_or_not(x: Tensor) -> Tensor:
        return x * 2 if float(x.mean()) > 0 else x

    graph = capture(Between(twice_or_not).eval(), torch.randn(1, 3, 8, 8))
    with pytest.raises(FileFormatError, match="code of your own"):
        to_onnx(graph, tmp_path / "m.onnx")
