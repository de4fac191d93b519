"""A node that is not the kernels' but numpy's or torch's, with everything prepared that a run does not change.

A move of numbers is numpy's (:mod:`.moves`), a mean may be ours (:mod:`.float_means`). Everything else is the model's
own float kernel, called on tensors over the memory of the arrays. Knows no plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qworkbench.emulator.float_means import mean_of
from qworkbench.emulator.kernels.memory import LINE
from qworkbench.emulator.kernels.surface import planes_of
from qworkbench.emulator.kernels.values import new_array
from qworkbench.emulator.moves import MOVES, Move, move_of

if TYPE_CHECKING:
    import torch

    from qworkbench.graph.node import Node

WIRED = "wired"  # an operand that comes from the plan, not from the model's constants
Arrays = Sequence[np.ndarray]
Kernel = Callable[[Sequence[Any]], tuple[Any, ...]]
Mean = Callable[[np.ndarray], np.ndarray | None]


class _Loan:
    """Memory of an array that torch may take for writable; it never writes there."""

    def __init__(self, array: np.ndarray) -> None:
        self.held = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}


@cache
def _takers() -> tuple[Callable[[np.ndarray], torch.Tensor], Callable[[np.ndarray], torch.Tensor]]:
    """Return what makes a tensor of a writable array, and of a read-only one."""
    from torch import from_numpy
    from torch.utils.dlpack import from_dlpack

    return from_numpy, from_dlpack


def lent(array: np.ndarray) -> torch.Tensor:
    """Return a tensor over the memory of the C-contiguous `array`, which results share and nobody changes."""
    take, take_fixed = _takers()
    if array.flags.writeable:
        return take(array)
    try:
        return take_fixed(array)
    except BufferError:  # versions that cannot say that memory is read-only
        return take(np.asarray(_Loan(array)))


def _on_a_line(array: np.ndarray) -> np.ndarray:
    """Return `array` where a vector line begins: the order of torch's sums may follow from where numbers lie."""
    if array.dtype.kind != "f" or array.ctypes.data % LINE == 0:
        return array
    moved = new_array(array.shape, array.dtype)
    moved[...] = array
    moved.flags.writeable = False
    return moved


def _strided_by_shape(array: np.ndarray) -> np.ndarray:
    """Return the C-contiguous `array` with the strides of its shape.

    Axes of one entry may have any, and torch's order of sums may follow from them.
    """
    return array.reshape(-1).reshape(array.shape)


class _Known(NamedTuple):
    """What was prepared for the last inputs, for the next ones like them."""

    batch: int
    shape: tuple[int, ...] | None  # where the node is a move or a mean
    move: Move | None
    mean: Mean | None
    run: Kernel | None


def _one_index(node: Node, operands: Sequence[Any]) -> int | None:
    """Return the constant index of a Gather that takes one entry, and drops the axis."""
    if node.op != "Gather" or len(operands) != 2 or operands[1] is None or isinstance(operands[1], str):
        return None
    return int(operands[1]) if operands[1].ndim == 0 else None


class NodeCall:
    """A node beside its operands.

    Parameters
    ----------
    node : Node
    operands : sequence
        One per input of the node: a tensor, None where the input is absent, or ``WIRED``.
    half : bool
        Round float results to float16.
    """

    __slots__ = ("_index", "_known", "_shaped", "half", "node", "operands")

    def __init__(self, node: Node, operands: Sequence[Any], *, half: bool = False) -> None:
        self.node, self.operands, self.half = node, tuple(operands), half
        self._index = _one_index(node, self.operands)
        wired = node.call is None and not half and self.operands[:1] == (WIRED,)
        alone = wired and (len(self.operands) == 1 or self._index is not None)
        self._shaped = alone and (node.op in MOVES or node.op == "ReduceMean")
        self._known: _Known | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.node, self.operands, self.half)

    def __call__(self, x: Arrays, batch: int) -> tuple[np.ndarray, ...]:
        """Return the node's outputs for the arrays of its wired operands, at a batch size.

        Results may share memory with what nobody writes any more, and with nothing else.
        """
        known, shape = self._known, x[0].shape if self._shaped else None
        if known is None or known.batch != batch or known.shape != shape:
            known = self._known = self._prepared(batch, shape)
        if known.move is not None:
            return known.move(x[0].copy() if x[0].flags.writeable else x[0])
        made = None if known.mean is None else known.mean(x[0])
        if made is not None:
            return (made,)
        assert known.run is not None
        return self._through_torch(known.run, x)

    def _prepared(self, batch: int, shape: tuple[int, ...] | None) -> _Known:
        from qworkbench.graph.execute import prepared

        move = mean = None
        if shape is not None:
            op, attributes = self.node.op, self.node.attributes(batch)
            if self._index is not None:
                attributes = {**attributes, "index": self._index}
            move = move_of(op, attributes, shape)
            mean = mean_of(attributes, shape) if op == "ReduceMean" else None
        return _Known(batch, shape, move, mean, prepared(self.node, batch) if move is None else None)

    def _through_torch(self, run: Kernel, x: Arrays) -> tuple[np.ndarray, ...]:
        dense = [_strided_by_shape(array) if array.flags.c_contiguous else planes_of(array) for array in x]
        arrays = [_on_a_line(array) for array in dense]
        given = iter(arrays)
        tensors = [lent(next(given)) if isinstance(one, str) else one for one in self.operands]
        if self.node.call is None:
            outputs = run(tensors)
        else:  # a module's parameters would keep the history of what is done with them
            import torch

            with torch.no_grad():
                outputs = run(tensors)
        if self.half:
            outputs = tuple(t.half().to(t.dtype) if t.is_floating_point() else t for t in outputs)
        made = [np.ascontiguousarray(t.detach().numpy()) for t in outputs]
        shared = [array for array in arrays if array.flags.writeable]
        if shared:
            made = [a.copy() if any(np.may_share_memory(a, other) for other in shared) else a for a in made]
        return tuple(made)


def _rebuilt(node: Node, operands: Sequence[Any], half: bool) -> NodeCall:
    return NodeCall(node, operands, half=half)
