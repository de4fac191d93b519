"""Moves of numbers by numpy are the float kernels' moves, however arrays lie; what is prepared fits any batch."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.emulator.kernels.surface import is_surface, new_surface
from qworkbench.emulator.kernels.values import new_array
from qworkbench.emulator.moves import MOVES, move_of
from qworkbench.emulator.node_call import WIRED, NodeCall
from qworkbench.graph.execute import prepared
from qworkbench.graph.node import Node, Sym

rng = np.random.default_rng(7)


def _node(op: str, outputs: int = 1, **attrs: Any) -> Node:
    return Node("moved", op, ("x",), tuple(f"y{i}" for i in range(outputs)), attrs)


CASES = [
    ("Reshape", (2, 3, 4), {"shape": (4, 6)}),
    ("Reshape", (2, 3, 4), {"shape": (2, -1)}),
    ("Reshape", (2, 16, 3, 4), {"shape": (2, 16, -1)}),
    ("Reshape", (0, 4), {"shape": (-1, 2)}),
    ("Reshape", (1, 1), {"shape": ()}),
    ("Flatten", (2, 16, 3, 4), {"axis": 1}),
    ("Flatten", (2, 16, 1, 1), {"axis": 1}),
    ("Flatten", (2, 3, 4), {"axis": 0}),
    ("Flatten", (2, 3, 4), {"axis": -1}),
    ("Transpose", (2, 16, 3, 4), {"perm": (0, 2, 3, 1)}),
    ("Transpose", (2, 3, 4), {"perm": (0, -1, 1)}),
    ("Transpose", (2, 16, 3, 4), {"perm": (0, 1, 2, 3)}),
    ("Squeeze", (1, 3, 1, 4), {"axes": (0, 2)}),
    ("Squeeze", (1, 3, 1, 4), {"axes": (-2, 1)}),
    ("Squeeze", (1, 3, 1, 4), {}),
    ("Unsqueeze", (2, 3), {"axes": (0, 3)}),
    ("Unsqueeze", (2, 3), {"axes": (-1,)}),
    ("Unsqueeze", (2, 3), {"axes": (-2, 1)}),
    ("Gather", (2, 3, 4), {"axis": 1, "index": 2}),
    ("Gather", (2, 16, 5, 6), {"axis": 0, "index": -1}),
    ("Gather", (2, 16, 5, 6), {"axis": -1, "index": 3}),
    ("Slice", (2, 16, 5, 6), {"axes": (1,), "starts": (3,), "ends": (11,), "steps": (1,)}),
    ("Slice", (2, 16, 5, 6), {"axes": (2, 3), "starts": (-4, 0), "ends": (99, -1), "steps": (2, 3)}),
    ("Slice", (2, 16, 5, 6), {"axes": (3,), "starts": (-1,), "ends": (-99,), "steps": (-1,)}),
    ("Slice", (2, 16, 5, 6), {"axes": (3,), "starts": (9,), "ends": (1,), "steps": (-2,)}),
    ("Slice", (2, 3), {"axes": (1,), "starts": (2,), "ends": (2,), "steps": (1,)}),
    ("Split", (2, 48, 5, 6), {"axis": 1, "split": (16, 32)}),
    ("Split", (2, 48, 5, 6), {"axis": 1, "split": (5, 0, 43)}),
    ("Split", (2, 48, 5, 6), {"axis": 1, "split": (5, 43)}),
    ("Split", (2, 112, 2, 6), {"axis": 1, "split": (16, 32, 64)}),
    ("Split", (2, 48, 5, 6), {"axis": -1, "split": (2, 4)}),
    ("Expand", (1, 3, 1), {"shape": (2, 3, 4)}),
    ("Expand", (3, 1), {"shape": (2, -1, 4)}),
]


def _laid(shape: tuple[int, ...], how: str, dtype: str) -> np.ndarray | None:
    """Return random codes of `shape` as they may lie between steps."""
    codes = rng.integers(-128, 128, shape).astype(dtype)
    if how == "surface" and len(shape) == 4:
        surface = new_surface(shape, dtype, 1)
        surface[...] = codes
        codes = surface
    elif how == "permuted":
        codes = np.ascontiguousarray(codes.transpose()).transpose()
    elif how != "in order":
        return None
    codes.flags.writeable = False
    return codes


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float32"])
@pytest.mark.parametrize("how", ["in order", "surface", "permuted"])
@pytest.mark.parametrize(("op", "shape", "attrs"), CASES)
def test_a_move_by_numpy_is_the_move_of_the_float_kernel(
    op: str, shape: tuple[int, ...], attrs: dict[str, Any], how: str, dtype: str
) -> None:
    x = _laid(shape, how, dtype)
    if x is None:
        pytest.skip("a surface has four axes")
    index = [torch.tensor(attrs["index"])] if op == "Gather" else []
    expected = prepared(_node(op, **attrs), 1)([torch.from_numpy(np.array(x)), *index])
    move = move_of(op, attrs, shape)
    assert move is not None, "numpy does all of these"
    for _ in range(2):
        made = move(x)
        assert len(made) == len(expected)
        for mine, theirs in zip(made, expected, strict=True):
            assert mine.dtype == x.dtype
            assert mine.shape == tuple(theirs.shape)
            assert np.array_equal(mine, theirs.numpy())
            assert min(mine.strides, default=0) >= 0


def test_channels_of_a_surface_lie_on_surfaces_again() -> None:
    x = _laid((1, 48, 5, 6), "surface", "int8")
    assert x is not None
    move = move_of("Split", {"axis": 1, "split": (16, 32)}, x.shape)
    assert move is not None
    assert all(is_surface(part) for part in move(x))


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("Reshape", {"shape": (5, 7)}),
        ("Reshape", {"shape": (-1, 5)}),
        ("Reshape", {"shape": (-1, -1)}),
        ("Transpose", {"perm": (0, 0, 1)}),
        ("Squeeze", {"axes": (4,)}),
        ("Unsqueeze", {"axes": (7,)}),
        ("Split", {"axis": 1, "split": (2, 2)}),
        ("Split", {"axis": 3, "split": (2, 2)}),
        ("Slice", {"axes": (0,), "starts": (0,), "ends": (1,), "steps": (-1,)}),
        ("Expand", {"shape": (2, 4, 4)}),
        ("Expand", {"shape": (3, 4)}),
        ("Expand", {"shape": (-1, 2, 3, 4)}),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_by_both(op: str, attrs: dict[str, Any]) -> None:
    assert move_of(op, attrs, (2, 3, 4)) is None
    call, x = NodeCall(_node(op, **attrs), [WIRED]), np.zeros((2, 3, 4), np.int8)
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        call([x], 1)


@pytest.mark.parametrize("index", [torch.tensor(1), torch.tensor(-4), torch.tensor([1]), torch.tensor([[2, 0]])])
def test_entries_are_taken_as_the_float_kernel_does(index: torch.Tensor) -> None:
    node, x = (
        Node("picked", "Gather", ("x", "i"), ("y",), {"axis": 1}),
        rng.integers(-128, 128, (2, 3, 4)).astype("int8"),
    )
    x.flags.writeable = False
    (y,) = NodeCall(node, [WIRED, index])([x], 1)
    (expected,) = prepared(node, 1)([torch.from_numpy(np.array(x)), index])
    assert np.array_equal(y, expected.numpy())
    assert np.may_share_memory(y, x) == (index.ndim == 0 and index >= -3)


def test_no_rows_of_anything_are_flattened_by_torch() -> None:
    (y,) = NodeCall(_node("Flatten", axis=1), [WIRED])([np.zeros((0, 3, 4), np.int8)], 1)
    assert y.shape == (0, 12)


def test_every_move_is_tested() -> None:
    assert {op for op, *_ in CASES} == set(MOVES)


def test_a_prepared_call_follows_batch_and_shape() -> None:
    call = NodeCall(_node("Reshape", shape=(Sym(1), -1)), [WIRED])
    for batch, size in ((1, 4), (3, 4), (3, 5), (1, 4)):
        x = np.arange(batch * size * 2).reshape(batch, size, 2)
        x.flags.writeable = False
        (y,) = call([x], batch)
        assert np.array_equal(y, x.reshape(batch, -1))


def test_a_call_travels_with_its_constants() -> None:
    node = Node("normal", "LayerNormalization", ("x", "w", None), ("y",), {"normalized_shape": (4,), "epsilon": 1e-5})
    call, x = NodeCall(node, [WIRED, torch.full((4,), 2.0), None]), rng.normal(size=(3, 4)).astype(np.float32)
    (here,) = call([x], 1)
    (there,) = pickle.loads(pickle.dumps(call))([x], 1)
    assert np.array_equal(here, there)
    assert np.array_equal(here, nn.functional.layer_norm(torch.from_numpy(x), (4,), torch.full((4,), 2.0)).numpy())


def test_strides_of_axes_of_one_entry_do_not_change_a_sum() -> None:
    node = Node("product", "MatMul", ("a", "b"), ("y",), {})
    a, b = new_array((2, 64, 64), np.float32), new_array((2, 1, 64), np.float32)
    a[...], b[...] = rng.normal(size=a.shape), rng.normal(size=b.shape)
    turned = b.transpose(0, 2, 1)
    plain = turned.reshape(-1).reshape(turned.shape)
    assert turned.flags.c_contiguous
    assert turned.strides != plain.strides
    call = NodeCall(node, [WIRED, WIRED])
    assert np.array_equal(call([a, turned], 2)[0], call([a, plain], 2)[0])


def test_float_results_are_rounded_to_float16_where_asked() -> None:
    x = np.float32([[1 / 3, 2 / 3]])
    (y,) = NodeCall(_node("Transpose", perm=(1, 0)), [WIRED], half=True)([x], 1)
    assert np.array_equal(y, x.T.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("op", ["Transpose", "Identity"])
def test_what_is_kept_is_not_the_memory_of_the_caller(op: str) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = NodeCall(_node(op, perm=(1, 0)), [WIRED])([x], 1)
    kept = y.copy()
    x[:] = 7
    assert np.array_equal(y, kept)


class _Turned(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


def test_an_input_written_in_place_leaves_kept_results_alone() -> None:
    torch.manual_seed(3)
    x = torch.rand(1, 8, 5)
    first = x.clone()
    wb = q.Workbench(_Turned(), x, calibration=first.clone())
    wanted = {name: np.array(value) for name, value in wb.run(x).outputs.items()}
    x.fill_(0.25)
    again = wb.run(first).outputs
    for name, value in wanted.items():
        assert np.array_equal(value, np.asarray(again[name]))
