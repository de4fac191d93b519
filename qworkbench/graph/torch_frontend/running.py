"""Running ``forward``: once plainly for the reference, then under the tracer at a chosen batch size.

Module calls are intercepted by replacing ``nn.Module.__call__`` for the time of a trace; the replacement acts only on
the tracing thread and one capture runs at a time.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from qworkbench.errors import CaptureError
from qworkbench.graph import wrap
from qworkbench.graph.structure import leaves, map_leaves
from qworkbench.graph.torch_frontend.leaves import FLOAT_FUNCTIONAL, FLOAT_FUNCTIONAL_METHODS
from qworkbench.graph.torch_frontend.location import at, data_dependent, error_location
from qworkbench.graph.torch_frontend.taint import Taint
from qworkbench.graph.torch_frontend.trace import Trace
from qworkbench.graph.torch_frontend.tracer import Tracer

_one_capture = threading.RLock()


@dataclass(frozen=True)
class Example:
    """The arguments of the example: tensors cloned outside of inference mode, `batch` is axis 0 of the first."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    names: tuple[str, ...]
    batch: int

    def copies(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return fresh arguments that a model may change."""
        args, kwargs = map_leaves(lambda v: v.clone() if isinstance(v, Tensor) else v, (self.args, self.kwargs))
        return args, kwargs

    def resized(self, batch: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments with `batch` rows, the example's rows repeated, wherever axis 0 is the batch."""

        def resize(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or not self.is_batched(leaf):
                return leaf.clone() if isinstance(leaf, Tensor) else leaf
            return leaf[torch.arange(batch, device=leaf.device) % self.batch].clone()

        args, kwargs = map_leaves(resize, (self.args, self.kwargs))
        return args, kwargs

    def is_batched(self, tensor: Tensor) -> bool:
        """Tell whether axis 0 of an input is the batch."""
        return tensor.dim() > 0 and tensor.shape[0] == self.batch


class _Noting:
    """Recorder of the reference run: notes only that a wrapped function was called."""

    def __init__(self) -> None:
        self.seen = False

    def wrapped(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.seen = True
        return func(*args, **kwargs)


def run_forward(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the model; the frame of this function is where the search for the user's line ends."""
    return model(*args, **kwargs)


@contextmanager
def _plain_inference() -> Iterator[None]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def reference(model: nn.Module, example: Example) -> tuple[Any, bool]:
    """Run the model on the example: ``(what it returned, whether a wrapped function took part)``.

    Raises
    ------
    CaptureError
        Quoting the model's own exception in one line.
    """
    args, kwargs = example.copies()
    noting = _Noting()
    token = wrap.recorder.set(noting)
    try:
        with _plain_inference():
            return run_forward(model, args, kwargs), noting.seen
    except CaptureError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        where = at(error_location(error.__traceback__))
        raise CaptureError(
            f"the model fails on the example with {type(error).__name__}: {first}{where}; "
            "call model(example) to see it whole, then capture with an example that works"
        ) from error
    finally:
        wrap.recorder.reset(token)


def trace(
    model: nn.Module,
    example: Example,
    *,
    batch: int | None,
    fake: bool,
    observe: Callable[[str, Any], None] | None = None,
) -> Trace:
    """Run the model under the tracer.

    Parameters
    ----------
    batch : int or None
        Rows of the batched inputs; None for the example as it is.
    fake : bool
        Whether tensors carry shapes only (no memory, no data) or real content.
    observe : callable, optional
        Called with the name of each call and its result.

    Raises
    ------
    CaptureError
        If the model's Python needs the content of a tensor, or a tensor comes from code that cannot be seen.
    """
    args, kwargs = example.copies() if batch is None else example.resized(batch)
    with _one_capture, contextlib.ExitStack() as stack:
        stack.enter_context(_plain_inference())
        taint = None
        if fake:
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            args, kwargs = map_leaves(lambda v: mode.from_tensor(v) if isinstance(v, Tensor) else v, (args, kwargs))
            stack.enter_context(mode)
        inputs = [leaf for _, leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not fake:
            taint = Taint(inputs)
            stack.enter_context(taint)
        tracer = Tracer(model, taint, observe)
        for name, tensor in zip(example.names, inputs, strict=True):
            tracer.add_input(name, tensor)
        stack.enter_context(_patched_calls(tracer, model))
        token = wrap.recorder.set(tracer)
        try:
            with tracer:
                result = run_forward(model, args, kwargs)
            return tracer.finish(result)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            what = str(getattr(error, "func", "an operation whose result size depends on data"))
            raise data_dependent(what, error_location(error.__traceback__), "") from error
        finally:
            wrap.recorder.reset(token)


@contextmanager
def _patched_calls(tracer: Tracer, model: nn.Module) -> Iterator[None]:
    original, thread = nn.Module.__call__, threading.get_ident()

    @functools.wraps(original)
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread:
            return original(self, *args, **kwargs)
        return tracer.module_call(original, self, args, kwargs)

    functional = [m for m in model.modules() if type(m).__name__ == FLOAT_FUNCTIONAL]
    for module in functional:
        for name in FLOAT_FUNCTIONAL_METHODS:
            method = getattr(module, name, None)
            if callable(method):
                vars(module)[name] = _named_method(tracer, module, method)
    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]
        for module in functional:
            for name in FLOAT_FUNCTIONAL_METHODS:
                vars(module).pop(name, None)


def _named_method(tracer: Tracer, module: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with tracer.method_of(module):
            return method(*args, **kwargs)

    return run
