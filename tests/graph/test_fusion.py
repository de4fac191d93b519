from __future__ import annotations

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.errors import EditError
from qworkbench.graph.difference import changed_nodes
from qworkbench.graph.edits import insert_unit_conv
from qworkbench.graph.fusion import FusedGroup, find_fusions, grow
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import module_of
from tests.graph.test_capture_naming import ModelForFusion
from tests.models.zoo import ZOO

X = torch.randn(1, 3, 8, 8)


def groups_of(forward, **modules):
    example = modules.pop("example", X)
    return find_fusions(capture(module_of(forward, **modules), example))


def conv(stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(3, 3, 3, stride, 1)


def test_documented_model_is_one_group_named_by_its_add():
    graph = capture(ModelForFusion(), (X, torch.randn(1, 3, 6, 6)))
    assert find_fusions(graph) == (
        FusedGroup(
            name="_generated_add_0",
            anchor="conv",
            bn="bn",
            add="_generated_add_0",
            residual="quanty",
            activation="relu",
            members=("conv", "bn", "_generated_add_0", "relu"),
            tail="relu",
        ),
    )


@pytest.mark.parametrize("order", ["first", "second"])
def test_add_takes_the_convolution_on_either_side(order):
    forward = (lambda s, x: s.c(x) + x) if order == "first" else (lambda s, x: x + s.c(x))
    (group,) = groups_of(forward, c=conv())
    assert (group.residual, group.tail, group.activation) == ("x", "_generated_add_0", None)


@pytest.mark.parametrize(
    ("anchor", "example"),
    [
        (nn.Conv2d(3, 3, 1), X),
        (nn.ConvTranspose2d(3, 3, 2, 2), X),
        (nn.Linear(8, 8), X),
        (nn.Conv3d(3, 3, 1), torch.randn(1, 3, 2, 4, 4)),
    ],
)
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-2, 3)])
def test_every_anchor_fuses_with_every_clipping_activation(anchor, example, activation):
    (group,) = groups_of(lambda s, x: s.r(s.c(x)), c=anchor, r=activation, example=example)
    assert group.members == ("c", "r")
    assert group.name == "c"


@pytest.mark.parametrize(
    ("why", "forward"),
    [
        ("inner value has two users", lambda s, x: s.both(s.c(x))),
        ("inner value is a model output", lambda s, x: s.two(s.c(x))),
        ("add of a constant", lambda s, x: s.c(x) + 1),
        ("add that broadcasts", lambda s, x: s.c(x) + x.mean((2, 3), keepdim=True)),
        ("add of itself", lambda s, x: s.twice(s.c(x))),
        ("other activation", lambda s, x: torch.sigmoid(s.c(x))),
        ("batch normalisation first", lambda s, x: s.c(s.bn(x))),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_nothing_fuses_where(why, forward):
    helpers = {
        "both": module_of(lambda s, y: F.relu(y) * y),
        "two": module_of(lambda s, y: (F.relu(y), y)),
        "twice": module_of(lambda s, y: y + y),
    }
    assert groups_of(forward, c=conv(), r=nn.ReLU(), bn=nn.BatchNorm2d(3), **helpers) == ()


@pytest.mark.parametrize(("stride", "fused"), [(1, True), (2, True), (3, False)])
def test_residual_needs_a_stride_of_1_or_2(stride, fused):
    groups = groups_of(lambda s, x: s.c(x) + F.max_pool2d(x, 1, s.c.stride), c=nn.Conv2d(3, 3, 1, stride))
    assert bool(groups) is fused


def test_stride_3_still_absorbs_normalisation_and_activation():
    (group,) = groups_of(lambda s, x: s.r(s.bn(s.c(x))), c=nn.Conv2d(3, 3, 1, 3), bn=nn.BatchNorm2d(3), r=nn.ReLU())
    assert group.members == ("c", "bn", "r")


def test_identity_and_dropout_between_members_are_looked_through():
    (group,) = groups_of(
        lambda s, x: s.r(s.i(s.bn(s.d(s.c(x))))),
        c=conv(),
        d=nn.Dropout(),
        bn=nn.BatchNorm2d(3),
        i=nn.Identity(),
        r=nn.ReLU(),
    )
    assert group.members == ("c", "d", "bn", "i", "r")
    assert (group.bn, group.activation, group.tail) == ("bn", "r", "r")


def test_add_of_two_convolutions_belongs_to_the_first():
    first, second = groups_of(
        lambda s, x: s.r(s.b1(s.c1(x)) + s.b2(s.c2(x))),
        c1=conv(),
        c2=conv(),
        b1=nn.BatchNorm2d(3),
        b2=nn.BatchNorm2d(3),
        r=nn.ReLU(),
    )
    assert (first.anchor, first.residual, first.members) == ("c1", "b2", ("c1", "b1", "_generated_add_0", "r"))
    assert (second.name, second.members) == ("c2", ("c2", "b2"))


def test_shared_convolution_fuses_per_call():
    groups = groups_of(lambda s, x: s.r(s.c(s.r(s.c(x)))), c=conv(), r=nn.ReLU())
    assert [g.members for g in groups] == [("c", "r"), ("c#1", "r#1")]


@pytest.mark.parametrize("name", sorted(ZOO))
def test_groups_do_not_overlap_and_inner_values_have_one_user(name):
    graph = capture(*ZOO[name]())
    groups = find_fusions(graph)
    members = [m for g in groups for m in g.members]
    assert len(members) == len(set(members))
    for group in groups:
        for member in group.members[:-1]:
            value = graph.nodes[member].output
            assert len(graph.users(value)) == 1
            assert value not in graph.outputs
    assert find_fusions(graph) == groups


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "inception", "unet"])
def test_groups_that_grow_from_those_before_an_edit_are_those_from_nothing(name):
    rng = random.Random(name)
    graphs = [capture(*ZOO[name]())]
    grown = [grow(graphs[0])]
    for index in range(12):
        old = rng.randrange(len(graphs))
        while True:
            try:
                node = rng.choice(graphs[old].nodes.names())
                new = insert_unit_conv(graphs[old], node, rng.choice(["before", "after"]), index)
                break
            except EditError:
                continue
        for before, known in ((graphs[old], grown[old]), (graphs[-1], grown[-1])):
            found = grow(new, known, changed_nodes(before, new))
            assert tuple(g.group for g in found.values() if g.group is not None) == find_fusions(new)
        graphs.append(new)
        grown.append(found)
