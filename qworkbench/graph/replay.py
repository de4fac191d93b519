"""Calls that are carried through a graph as they were made: the content of ``Node.call``.

A :class:`Replay` holds the function and its arguments with a slot for every tensor; sizes that follow the batch stay
symbolic, so the call fits any batch. A leaf module is called in evaluation mode whatever mode the user left it in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qworkbench.graph.structure import fill, leaves

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Replay:
    """A recorded call: ``func(*args, **kwargs)`` with tensors and batch filled in.

    Attributes
    ----------
    func : callable
        Works out of place: the tensors that it gets are not changed.
    args, kwargs
        Arguments with ``Slot(i)`` for the i-th tensor input of the node and ``Sym`` for batch sizes.
    batch : int
        Batch size that ``Sym`` stands for when the caller names none.
    """

    func: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    batch: int = 1

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the call at the example's batch size."""
        return self.at(self.batch, tensors)

    def at(self, batch: int, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Run the call at `batch` and return every tensor of its result, in order."""
        import torch

        result = self.func(*fill(self.args, tensors, batch), **fill(self.kwargs, tensors, batch))
        return tuple(leaf for _, leaf in leaves(result) if isinstance(leaf, torch.Tensor))


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """Calls a module in evaluation mode without changing its inputs."""

    module: torch.nn.Module

    @property
    def __name__(self) -> str:
        """Class name of the module."""
        return type(self.module).__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return ``module(*args, **kwargs)`` as in evaluation mode."""
        import torch

        from qworkbench.graph.structure import map_leaves

        if any(getattr(m, "inplace", False) for m in self.module.modules()):
            args, kwargs = map_leaves(lambda v: v.clone() if isinstance(v, torch.Tensor) else v, (args, kwargs))
        flags = [(m, m.training) for m in self.module.modules() if m.training]
        for m, _ in flags:
            m.training = False
        try:
            return self.module(*args, **kwargs)
        finally:
            for m, flag in flags:
                m.training = flag
