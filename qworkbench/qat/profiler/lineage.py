"""Which tensor a function was given to make another: how values move between the operators of a run.

The functions between operators (``view``, ``topk`` ...) belong to no module; no hook sees them, a function mode does.
Knows nothing of quantization.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

RANKINGS = ("topk", "sort", "argsort", "argmax", "argmin", "msort")


class Lineage(TorchFunctionMode):
    """Remembers, by identity, the tensor behind each result; both are kept alive, so that no identity is given twice.

    Attributes
    ----------
    source : dict of int to (Tensor, Tensor)
        ``id(result)`` to the result and the tensor that it was made of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.source: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func` and note what it was given."""
        value = func(*args, **(kwargs or {}))
        given = self.given(getattr(func, "__name__", ""), args)
        if given is not None:
            for leaf in pytree.tree_leaves(value):
                if isinstance(leaf, Tensor) and leaf is not given:
                    self.note(leaf, given)
        return value

    @abstractmethod
    def given(self, function: str, args: tuple[Any, ...]) -> Tensor | None:
        """Return the tensor that counts as the source of what `function` returns; None to note nothing."""

    @abstractmethod
    def note(self, result: Tensor, given: Tensor) -> None:
        """Keep `given` as the source of `result`."""


class Flow(Lineage):
    """The first tensor that each function was given; the first function that returned a tensor made it."""

    def given(self, function: str, args: tuple[Any, ...]) -> Tensor | None:
        """Every function but the reading of an attribute counts."""
        if function == "__get__":
            return None
        return next((t for t in pytree.tree_leaves(args) if isinstance(t, Tensor)), None)

    def note(self, result: Tensor, given: Tensor) -> None:
        """Keep the first source."""
        self.source.setdefault(id(result), (result, given))


class Rankings(Lineage):
    """What rankings were taken of: their results jump at the smallest error, their inputs can be compared."""

    def given(self, function: str, args: tuple[Any, ...]) -> Tensor | None:
        """Return the ranked tensor."""
        return args[0] if function in RANKINGS and args and isinstance(args[0], Tensor) else None

    def note(self, result: Tensor, given: Tensor) -> None:
        """Keep the last source."""
        self.source[id(result)] = (result, given)
