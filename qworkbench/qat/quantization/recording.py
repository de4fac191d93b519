"""One real run of a model, written down as a graph of its operators, while its code stays the user's.

The graph is what fusion and preparation work on; it is never executed. Branches are those that the example took, loops
have as many rounds as they had then.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization.calls import is_leaf
from qworkbench.qat.quantization.recorder import Recorder
from qworkbench.qat.quantization.scopes import Key
from qworkbench.qat.quantization.tracing import METHODS, is_float_functional
from qworkbench.qat.utils.fx_helper import skeleton


@dataclass
class Recording:
    """What one run showed.

    Attributes
    ----------
    model : Module
        Containers of the user's classes around the original operators, and the generated modules.
    graph : GraphModule
        Of the operators; shares them.
    entries : dict of str to dict of Key to str
        Per container (by path), the child that each call of a function goes to.
    calls : dict of str to int
        How often each operator was called; 0 for those that were not.
    opaque : set of str
        Operators that only wrapped code calls.
    """

    model: nn.Module
    graph: fx.GraphModule
    entries: dict[str, dict[Key, str]]
    calls: dict[str, int]
    opaque: set[str]


def own_containers(model: nn.Module) -> nn.Module:
    """Return `model` with containers of its own around the same operators; their hooks and tables are copies."""
    memo: dict[int, nn.Module] = {}
    made = skeleton(model, is_leaf, memo)
    for container in {id(m): m for m in memo.values() if not is_leaf(m)}.values():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called"):
            container.__dict__[name] = container.__dict__[name].copy()
    return made


def record(model: nn.Module, example_inputs: Any) -> Recording:
    """Run `model` once on `example_inputs` and return what it did; parameters, buffers and random state stay.

    Parameters
    ----------
    model : Module
        Not changed.
    example_inputs : Any
        A tuple or list of positional arguments, a dict of keyword arguments where ``forward`` has such names, or the
        one argument.

    Raises
    ------
    QATError
        If the model does not run on them.
    """
    runtime = own_containers(model)
    args, kwargs = call_arguments(model, example_inputs)
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    recorder = Recorder(runtime)
    recorder.take_inputs((args, kwargs))
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), _watching(recorder), recorder:
            result = runtime(*args, **kwargs)
    except Exception as error:
        raise QATError(
            f"{type(model).__name__} does not run on the example inputs: {str(error).strip() or type(error).__name__}; "
            "give what forward takes, a tuple for several arguments"
        ) from error
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
    recorder.finish(result)
    made = fx.GraphModule(runtime, recorder.graph, class_name=type(model).__name__)
    return Recording(runtime, made, recorder.entries, recorder.calls, recorder.opaque)


def call_arguments(model: nn.Module, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the keyword arguments that example inputs stand for."""
    if isinstance(given, (tuple, list)):
        return tuple(given), {}
    if isinstance(given, dict):
        names = inspect.signature(model.forward).parameters
        if given and set(given) <= set(names):
            return (), dict(given)
    return (given,), {}


@contextmanager
def _watching(recorder: Recorder) -> Iterator[None]:
    """Let `recorder` see every module call and every method of a FloatFunctional."""
    original = nn.Module.__call__
    shadowed: list[tuple[nn.Module, str]] = []

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return recorder.module(module, args, kwargs, original)

    try:
        for path, module in recorder.model.named_modules():
            for name in METHODS if is_float_functional(module) else ():
                if hasattr(module, name):
                    module.__dict__[name] = functools.partial(_method, recorder, path, name, getattr(module, name))
                    shadowed.append((module, name))
        nn.Module.__call__ = call  # type: ignore[method-assign]
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]
        for module, name in shadowed:
            module.__dict__.pop(name, None)


def _method(recorder: Recorder, path: str, name: str, call: Any, *args: Any, **kwargs: Any) -> Any:
    return recorder.method(path, name, args, kwargs, call)
