"""Where a function is called from while a model's own ``forward`` runs: the key that recording and running share.

A call's key is the container whose ``forward`` makes it, the function's name, and its number among the calls of that
name since the container was entered. What operators and wrapped functions do inside is not counted. Knows nothing of
what is done with a call.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from qworkbench.qat.errors import QATError

Key = tuple[str, str, int]


@dataclass
class Frame:
    """A container that is being executed, or a dynamic block inside of it."""

    owner: nn.Module
    block: str = ""
    counts: Counter[str] = field(default_factory=Counter)


class ScopedMode(TorchFunctionMode):
    """Sees each torch function that the model's own code calls, with its key; base of recording and of running."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.paused = 0
        self.entered: Counter[tuple[int, str]] = Counter()

    def __enter__(self) -> Any:
        """Become the mode of this thread."""
        _stack().append(self)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        """Leave."""
        _stack().remove(self)
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Hand a call of the model's own code to :meth:`called`."""
        kwargs = kwargs or {}
        if self.paused or not self.frames:
            return func(*args, **kwargs)
        frame = self.frames[-1]
        name = getattr(func, "__name__", str(func))
        if name == "__get__":
            if getattr(func.__self__, "__name__", "") in ("shape", "ndim"):
                self.looked_at(args[0])
            return func(*args, **kwargs)
        number = frame.counts[name]
        frame.counts[name] += 1
        return self.called(frame.owner, (frame.block, name, number), func, args, kwargs)

    def called(self, owner: nn.Module, key: Key, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call."""
        raise NotImplementedError

    def looked_at(self, tensor: Any) -> None:
        """Hear that the model's code reads the shape of `tensor`."""


class _Stacks(threading.local):
    def __init__(self) -> None:
        self.modes: list[ScopedMode] = []


_stacks = _Stacks()


def _stack() -> list[ScopedMode]:
    return _stacks.modes


@contextmanager
def unheard() -> Iterator[None]:
    """Hide what runs inside from the innermost mode: an operator that is called by a method has no hooks to say so."""
    mode = active()
    if mode is not None:
        mode.paused += 1
    try:
        yield
    finally:
        if mode is not None:
            mode.paused -= 1


def active() -> ScopedMode | None:
    """Return the innermost mode of this thread, or None."""
    stack = _stack()
    return stack[-1] if stack else None


@contextmanager
def paused() -> Iterator[None]:
    """Leave what runs inside alone: neither recorded nor quantized by its key."""
    mode = active()
    if mode is None:
        yield
        return
    mode.paused += 1
    try:
        yield
    finally:
        mode.paused -= 1


@contextmanager
def dynamic_block(owner: nn.Module | None = None, name: str = "block") -> Iterator[None]:
    """Mark code of ``forward`` that runs a varying number of times, or only sometimes.

    Functions inside are counted from the block's start, so each execution uses the same quantization, operators
    inside can be fused although they run several times, and what follows the block is not renumbered by it.

    Parameters
    ----------
    owner : Module, optional
        The module whose ``forward`` has the block (``self``); checked where it is given.
    name : str
        Tells several blocks of one ``forward`` apart.

    Examples
    --------
    >>> def forward(self, x):
    ...     x = self.quant(x)
    ...     for _ in range(self.steps):
    ...         with dynamic_block(self, "step"):
    ...             x = self.relu(self.conv(x)) + x
    ...     return self.dequant(x)
    """
    mode = active()
    if mode is None or mode.paused or not mode.frames:
        yield
        return
    holder = mode.frames[-1].owner
    if owner is not None and owner is not holder:
        raise QATError(
            f"dynamic_block got a {type(owner).__name__} inside the forward of a {type(holder).__name__}; pass self"
        )
    mode.entered[id(holder), name] += 1
    mode.frames.append(Frame(holder, name))
    try:
        yield
    finally:
        mode.frames.pop()


class Tracer:
    """The name under which documents give :func:`dynamic_block`, too."""

    dynamic_block: Callable[..., Any] = staticmethod(dynamic_block)
