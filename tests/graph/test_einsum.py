"""Equations that are products of matrices become MatMul or Gemm, bit for bit; every other one stays an Einsum."""

from __future__ import annotations

import random
import string

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.graph.einsum import as_product
from qworkbench.graph.execute import run_float
from qworkbench.graph.torch_frontend import capture
from tests.graph.replay import difference_on, module_of


class Two(nn.Module):
    """An Einsum of two inputs."""

    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation

    def forward(self, a, b):
        return torch.einsum(self.equation, a, b)


def whole(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Whole numbers, whose sums of products are exact in float32 in any order."""
    return torch.from_numpy(rng.integers(-8, 9, shape).astype(np.float32))


def random_product(seed: int) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """An equation that is a product of matrices, with everything shuffled."""
    chance = random.Random(seed)
    letters = chance.sample(string.ascii_letters, 8)
    batch, (k, m, n), more = letters[: chance.randrange(4)], letters[3:6], letters[6:]
    rows, columns = [m], [n]
    if not batch:
        chance.choice((rows, columns)).extend(more[: chance.randrange(3)])
    a, b, out = [*batch, *rows, k], [*batch, k, *columns], [*batch, *rows, *columns]
    for word in (a, b, out):
        chance.shuffle(word)
    sizes = {letter: chance.randrange(2, 6) for letter in letters}
    words = ["".join(word) for word in (a, b, out)]
    if chance.random() < 0.5:
        a, b, words = b, a, [words[1], words[0], words[2]]
    return f"{words[0]}, {words[1]} -> {words[2]}", tuple(sizes[x] for x in a), tuple(sizes[x] for x in b)


NAMED = {
    "ij,jk->ik": ["MatMul"],
    "ij,jk": ["MatMul"],
    "bij,bjk->bik": ["MatMul"],
    "bhqd,bhkd->bhqk": ["Transpose", "MatMul"],
    "bhqk,bhkd->bqhd": ["MatMul", "Transpose"],
    "...qd,...kd->...qk": ["Transpose", "MatMul"],
    "bqhd,bkhd->bhqk": ["Transpose", "Transpose", "MatMul"],
    "bij,bjk->bki": ["MatMul", "Transpose"],
}
OTHER = (
    "bi,i->bi", "bij,bij->b", "bij,bj->bi", "ii,ij->j", "bij,bjk->ik", "ijk,jkl->il", "i,j->ij", "bij,ckj->bcik",
    "bij->bji", "ij,jk,kl->il", "bhqd,bkd->bhqk",
)  # fmt: skip


def shapes_of(equation: str, rank: int = 4) -> list[tuple[int, ...]]:
    sizes = {letter: 2 + place for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    return [(*((3,) * (rank - 2) if "..." in t else ()), *(sizes[x] for x in t.replace("...", ""))) for t in terms]


def float_result(graph, *inputs: torch.Tensor) -> torch.Tensor:
    (value,) = graph.outputs
    return run_float(graph, dict(zip(graph.inputs, inputs, strict=True)))[value]


@pytest.mark.parametrize("equation", NAMED)
def test_products_of_matrices_become_matmul_between_transpositions(equation):
    rng = np.random.default_rng(0)
    a, b = (whole(rng, *shape) for shape in shapes_of(equation))
    graph = capture(Two(equation).eval(), (a, b))
    assert [node.op for node in graph.nodes] == NAMED[equation]
    last = list(graph.nodes)[-1]
    assert (last.name, last.parent) == ("_generated_einsum_0", None)
    assert all(node.parent == last.name for node in graph.nodes if node is not last)
    torch.testing.assert_close(float_result(graph, a, b), torch.einsum(equation, a, b), rtol=0, atol=0)


@pytest.mark.parametrize("equation", OTHER)
def test_every_other_equation_stays_an_einsum_that_torch_runs(equation):
    rng = np.random.default_rng(0)
    sizes = dict.fromkeys(string.ascii_letters, 3)
    terms = equation.partition("->")[0].split(",")
    given = [whole(rng, *(sizes[x] for x in term)) for term in terms]

    class Any(nn.Module):
        def forward(self, *tensors):
            return torch.einsum(equation, *tensors)

    model = Any().eval()
    graph = capture(model, tuple(given))
    assert [node.op for node in graph.nodes] == ["Einsum"]
    assert torch.equal(float_result(graph, *given), model(*given))


@pytest.mark.parametrize("seed", range(60))
def test_random_products_give_the_bits_of_torch(seed):
    equation, first, second = random_product(seed)
    rng = np.random.default_rng(seed)
    a, b = whole(rng, *first), whole(rng, *second)
    graph = capture(Two(equation).eval(), (a, b))
    ops = [node.op for node in graph.nodes]
    assert "Einsum" not in ops
    assert ops.count("MatMul") == 1
    assert torch.equal(float_result(graph, a, b), torch.einsum(equation, a, b))
    a, b = torch.randn(first), torch.randn(second)
    torch.testing.assert_close(float_result(graph, a, b), torch.einsum(equation, a, b), rtol=1e-5, atol=1e-5)


def test_axes_that_are_broadcast_are_none():
    assert as_product("bij,bjk->bik", (2, 3, 4), (2, 4, 5)) is not None
    assert as_product("bij,bjk->bik", (2, 3, 4), (1, 4, 5)) is None
    assert as_product("...ij,...jk->...ik", (2, 3, 4), (4, 5)) is not None  # one matrix for every batch
    assert as_product("...ij,...jk->...ik", (7, 2, 3, 4), (2, 4, 5)) is None


@pytest.mark.parametrize("equation", ["ij", "i.j,jk->ik", "ij,jk->iz", "ij,jk->ii", "ij,jkl->ik", "1j,jk->1k", ",->"])
def test_what_is_no_equation_of_two_such_operands_is_none(equation):
    assert as_product(equation, (2, 3), (3, 4)) is None


X = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1))
W = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
WITH_WEIGHTS = {
    "bchw,cd->bdhw": ((4, 5), False),
    "bchw,dc->bdhw": ((5, 4), True),
    "cd,bchw->bdhw": ((4, 5), False),
}


@pytest.mark.parametrize("equation", WITH_WEIGHTS)
def test_a_matrix_of_weights_makes_it_a_gemm_of_the_live_parameter(equation):
    shape, turned = WITH_WEIGHTS[equation]

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(shape))

        def forward(self, x):
            pair = (self.weight, x) if equation.startswith("cd") else (x, self.weight)
            return torch.einsum(equation, *pair)

    model = Mixed().eval()
    graph = capture(model, X)
    assert [node.op for node in graph.nodes] == ["Transpose", "Gemm", "Transpose"]
    gemm = next(node for node in graph.nodes if node.op == "Gemm")
    assert (gemm.inputs[1], gemm.attrs["transB"]) == ("weight", turned)
    assert difference_on(graph, model, Y) < 1e-6


def test_operands_may_come_as_a_list_and_the_batch_stays_free():
    model = module_of(lambda s, x: torch.einsum("bchw,bcvw->bchv", [x, x.relu()]))
    graph = capture(model, X)
    assert [node.op for node in graph.nodes] == ["Relu", "Transpose", "MatMul"]
    assert difference_on(graph, model, Y) < 1e-6


def test_an_attention_written_with_einsum_runs_on_the_bpu():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 1)
            self.out = nn.Conv2d(8, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            scores = torch.einsum("bhqd,bhkd->bhqk", x, x)
            return self.out(torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), x))

    images = torch.randn(4, 3, 6, 8)
    wb = q.Workbench(Attention().eval(), images[:1], calibration=images)
    products = [node.name for node in wb.graph.nodes if node.op == "MatMul"]
    assert len(products) == 2
    assert all(wb.placement[name].on == "BPU" for name in products)
    assert wb.run().table["cosine"].min() > 0.99
