from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.errors import CaptureError
from qworkbench.graph.execute import run_float
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import difference_on, module_of
from tests.models.zoo import ZOO

X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class Busy(nn.Module):
    """Changes everything that a forward can change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.register_buffer("seen", torch.zeros(1))
        self.calls = 0
        self.cache: dict[str, torch.Tensor] = {}
        self.history: list[torch.Tensor] = []

    def forward(self, x):
        self.calls += 1
        self.seen += 1
        y = self.conv(x)
        self.history.append(y)
        self.last = y
        if "grid" not in self.cache:
            self.cache["grid"] = torch.arange(6.0)
        return y + self.cache["grid"]


def test_capture_leaves_modes_buffers_and_attributes_as_they_were():
    model = Busy().train()
    model.conv[1].eval()
    before = copy.deepcopy(model.state_dict())
    capture(model, X)
    assert [m.training for m in model.modules()] == [True, True, True, False, True]
    assert (model.calls, model.cache, model.history, hasattr(model, "last")) == (0, {}, [], False)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert type(model).__call__ is nn.Module.__call__
    assert nn.Module.__call__.__module__ == "torch.nn.modules.module"


def test_state_is_restored_after_a_refusal_too():
    def forward(self, x):
        self.calls += 1
        return x * x.sum().item()

    model = module_of(forward).train()
    model.calls = 0
    with pytest.raises(CaptureError):
        capture(model, X)
    assert (model.calls, model.training) == (0, True)


def test_no_fake_tensor_stays_in_the_users_model_or_in_the_graph():
    model, example = ZOO["detector"]()
    graph = capture(model, example)
    assert model.grids == {}
    assert all(type(v.data) is torch.Tensor for v in graph.values.values() if v.data is not None)


def test_grid_cached_by_the_first_forward_is_folded_into_a_constant():
    graph = capture(Busy().eval(), X)
    assert [n.op for n in graph.nodes] == ["Conv", "BatchNormalization", "Relu", "Add"]
    assert graph.values[list(graph.nodes)[-1].inputs[1]].kind == "constant"


def test_training_only_branches_do_not_enter_the_graph_and_statistics_stay():
    model = module_of(lambda s, x: F.dropout(s.bn(x), 0.5, s.training) * (2 if s.training else 1), bn=nn.BatchNorm2d(4))
    model.train()
    graph = capture(model, X)
    assert [n.op for n in graph.nodes] == ["BatchNormalization", "Dropout", "Mul"]
    assert torch.equal(model.bn.running_mean, torch.zeros(4))


def test_graph_runs_as_in_evaluation_mode_whatever_mode_the_model_is_in():
    model = nn.Sequential(nn.LSTM(4, 5, 2, dropout=0.5, batch_first=True)).eval()
    sample = torch.randn(2, 6, 4)
    graph = capture(model, sample)
    with torch.no_grad():
        want = model(sample)[0]
    model.train()
    got = run_float(graph, {"input": sample}, keep=graph.outputs)[graph.outputs[0]]
    assert torch.equal(got, want)
    assert all(m.training for m in model.modules())


def test_weights_are_live_references_into_the_users_module():
    model = nn.Sequential(nn.Conv2d(4, 2, 1))
    graph = capture(model, X)
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(3)
    assert torch.equal(run_float(graph, {"input": X})["0"], torch.full((2, 2, 6, 6), 3.0))
    assert graph.tensor("0.weight") is model[0].weight


def test_packed_projections_of_attention_are_live_rows_of_one_parameter():
    model = module_of(lambda s, x: s.attention(x, x, x)[0], attention=nn.MultiheadAttention(8, 2, batch_first=True))
    graph = capture(model, torch.randn(1, 5, 8))
    rows = graph.tensor(graph.nodes["attention.k_proj"].inputs[1])
    assert torch.equal(rows, model.attention.in_proj_weight[8:16])
    assert rows.requires_grad


def test_weight_and_spectral_normalisation_are_plain_convolutions():
    parametrised = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))
    model = nn.Sequential(parametrised, nn.utils.spectral_norm(nn.Conv2d(4, 4, 3))).eval()
    graph = capture(model, X)
    assert [(n.name, n.op) for n in graph.nodes] == [("0", "Conv"), ("1", "Conv")]
    assert difference_on(graph, model, X * 2) == 0


def test_modules_called_on_another_thread_do_not_enter_the_trace():
    other = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        thread = threading.Thread(target=other, args=(torch.zeros(1, 4, 2, 2),))
        thread.start()
        thread.join()
        return self.c(x)

    assert [n.name for n in capture(module_of(forward, c=nn.Conv2d(4, 4, 1)), X).nodes] == ["c"]


def test_capture_works_inside_inference_mode():
    model = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(inplace=True))
    with torch.inference_mode():
        assert [n.op for n in capture(model, X * 1).nodes] == ["Conv", "Relu"]
