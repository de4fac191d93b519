"""``wrap``: keep a function or method out of the graph; its body becomes one ``Opaque`` node.

The way out for code that cannot be traced: numpy post-processing, loops over data, branches on values. Modules called
inside a wrapped body still count as called. Outside of a capture a wrapped function is the plain function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

P = ParamSpec("P")
R = TypeVar("R")


class Recorder(Protocol):
    """What a running capture offers to wrapped functions."""

    def wrapped(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run `func` and record it as one node."""


recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@overload
def wrap(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def wrap(function: None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def wrap(function: Callable[..., Any] | None = None) -> Any:
    """Mark a function or method as one opaque operator of the graph.

    Parameters
    ----------
    function : callable, optional
        The function or method; absent for the ``@wrap()`` form.

    Examples
    --------
    >>> class Detector(torch.nn.Module):
    ...     def forward(self, x):
    ...         return self.post_process(self.head(x))
    ...     @qworkbench.wrap
    ...     def post_process(self, boxes):
    ...         return torch.from_numpy(numpy_nms(boxes.numpy()))
    """

    def decorate(func: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(func)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            active = recorder.get()
            if active is None:
                return func(*args, **kwargs)
            return cast(R, active.wrapped(func, args, kwargs))

        return call

    return decorate if function is None else decorate(function)
