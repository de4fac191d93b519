from __future__ import annotations

import pytest
import torch
from torch import nn

from qworkbench.errors import QWorkbenchError, UnknownNameError
from qworkbench.graph.execute import run_float
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.float_kernels import KERNELS
from qworkbench.graph.torch_frontend import capture
from qworkbench.graph.vocabulary import OPS
from tests.graph.replay import module_of
from tests.models.zoo import ZOO


@pytest.fixture(scope="module")
def unet():
    model, example = ZOO["unet"]()
    graph = capture(model, example)
    return graph, feeds_of(graph, example)


def test_every_operator_of_the_vocabulary_has_a_float_kernel():
    assert set(OPS) == set(KERNELS)


def test_keep_frees_everything_else_and_changes_no_result(unet):
    graph, feeds = unet
    everything = run_float(graph, feeds)
    kept = run_float(graph, feeds, keep=["pool", *graph.outputs])
    assert set(kept) == {"pool", *graph.outputs}
    assert all(torch.equal(kept[name], everything[name]) for name in kept)


def test_liveness_frees_a_value_after_its_last_user(unet):
    graph, feeds = unet
    import weakref

    alive: dict[str, weakref.ref] = {}
    most = 0

    def count(node, made):
        nonlocal most
        alive.update({name: weakref.ref(t) for name, t in zip(node.outputs, made, strict=True)})
        most = max(most, sum(ref() is not None for ref in alive.values()))

    run_float(graph, feeds, keep=graph.outputs, on_node=count)
    assert most <= 5 < len(graph.nodes)


def test_a_cone_on_top_of_kept_activations_equals_a_whole_run(unet):
    graph, feeds = unet
    everything = run_float(graph, feeds)
    cone = graph.cone(["up2"])
    seen = []
    again = run_float(graph, {}, only=cone, env=everything, on_node=lambda n, _: seen.append(n.name))
    assert set(seen) == cone
    assert 0 < len(cone) < len(graph.nodes)
    assert all(torch.equal(again[name], everything[name]) for name in everything)


def test_missing_operand_names_node_and_value(unet):
    graph, _ = unet
    with pytest.raises(QWorkbenchError, match=r"'head' reads 'dec1\.2', which this run has not made"):
        run_float(graph, {}, only=["head"])


def test_unknown_value_to_keep_is_said_with_the_nearest(unet):
    graph, feeds = unet
    with pytest.raises(UnknownNameError, match="'pool'"):
        run_float(graph, feeds, keep=["poll"])


def test_no_gradient_is_recorded(unet):
    graph, feeds = unet
    assert not any(t.requires_grad for t in run_float(graph, feeds).values())


def test_unequal_pads_and_scales_match_their_definition():
    x = torch.arange(36.0).view(1, 1, 6, 6)
    kernel = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (1, 0, 0, 1), "ceil_mode": False}
    padded = torch.nn.functional.pad(x, (0, 1, 1, 0))
    pooled = KERNELS["AveragePool"]({**kernel, "count_include_pad": True}, x)
    assert torch.equal(pooled, torch.nn.functional.avg_pool2d(padded, 2))
    counted = KERNELS["AveragePool"]({**kernel, "count_include_pad": False}, torch.ones_like(x))
    assert torch.equal(counted, torch.ones_like(counted))
    largest = KERNELS["MaxPool"]({**kernel, "dilations": (1, 1)}, -x)
    assert largest[0, 0, 0, 0] == 0


def test_depth_to_space_undoes_space_to_depth_in_both_orders():
    x = torch.randn(2, 3, 4, 6)
    for mode in ("CRD", "DCR"):
        attrs = {"blocksize": 2, "mode": mode}
        assert torch.equal(KERNELS["DepthToSpace"](attrs, KERNELS["SpaceToDepth"](attrs, x)), x)


def test_slice_runs_backward_and_past_the_end():
    x = torch.arange(6.0)[None]
    attrs = {"axes": (1,), "starts": (5,), "ends": (-100,), "steps": (-2,)}
    assert KERNELS["Slice"](attrs, x).tolist() == [[5, 3, 1]]
    attrs = {"axes": (1,), "starts": (4,), "ends": (2**63 - 1,), "steps": (1,)}
    assert KERNELS["Slice"](attrs, x).tolist() == [[4, 5]]


def test_opaque_with_a_size_that_follows_the_batch_runs_at_any_batch():
    model = module_of(lambda s, x: s.c(x) * len(x), c=nn.Conv2d(1, 1, 1))
    graph = capture(model, torch.randn(1, 1, 4, 4))
    for batch in (1, 4):
        x = torch.randn(batch, 1, 4, 4)
        assert torch.equal(run_float(graph, {"x": x})[graph.outputs[0]], model(x).detach())
