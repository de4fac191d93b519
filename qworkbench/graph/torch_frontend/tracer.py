"""The tracer: a torch function mode plus patched module calls that write down what ``forward`` does.

It sees every torch function, tensor method, operator and module call as it happens on real or fake tensors. It knows
names, views and in-place writes, but nothing of operators: that is :mod:`convert`'s work. What it cannot see (a tensor
of unknown origin) or must not follow (Python that needs a tensor's content) is an error with the user's line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode

from qworkbench.graph.replay import ModuleCall
from qworkbench.graph.structure import map_leaves
from qworkbench.graph.torch_frontend.functions import (
    ESCAPES,
    IGNORED,
    LIKE,
    TENSOR_PROPERTIES,
    OutOfPlace,
    Swapped,
    plain,
    source_name,
    spelled,
)
from qworkbench.graph.torch_frontend.leaves import NORMS, is_leaf, operator_class
from qworkbench.graph.torch_frontend.location import data_dependent, user_location
from qworkbench.graph.torch_frontend.recorder import Recorder, tensors_in
from qworkbench.graph.torch_frontend.trace import Call


class Tracer(Recorder, TorchFunctionMode):
    """A recorder that notices torch functions while it is entered, and module calls that are handed to it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return func(*args, **kwargs) if self._silent else self._function(func, args, kwargs)

    def _function(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = spelled(func)
        getter = getattr(func, "__name__", "") == "__get__"
        if (getter and name not in TENSOR_PROPERTIES) or name in ("__set__", "_make_subclass"):
            return func(*args, **kwargs)
        if name in IGNORED:
            return None
        if name == "__iter__":
            return iter(self._function(torch.unbind, (args[0], 0), {}))
        if name in ESCAPES:
            return self._escape(func, name, args, kwargs)
        if name in LIKE:
            func, args, kwargs = _plain_factory(name, args, kwargs)
        sources = tensors_in((args, kwargs))
        versions = [(t, t._version) for t in sources if not t.is_inference()]
        given = self.template((args, kwargs))
        result = func(*args, **kwargs)
        fn, swapped, in_place = plain(func)
        changed = next((t for t, version in versions if t._version != version), None)
        if changed is None and in_place and args and isinstance(args[0], Tensor):
            changed = args[0]
        if changed is None and not tensors_in(result):
            return result
        out = kwargs.get("out")
        run: Callable[..., Any] = func
        if isinstance(out, Tensor):
            given[1].pop("out")
        elif changed is not None:
            run = OutOfPlace(func)
        elif swapped:
            run, given = Swapped(func), (given[0][::-1], given[1])
        call = self._function_call(run, fn, source_name(func, fn), given)
        if changed is not None:
            self._written(call, changed)
            if isinstance(result, Tensor) and result is not changed:
                self._ledger.add(result, self.slot_of(changed))
            return result
        return self._made(call, result, sources)

    def _function_call(self, run: Callable[..., Any], fn: str, source: str, given: tuple[Any, Any]) -> Call:
        scope = self._scopes[-1]
        call = Call("", fn, source, run, given[0], given[1], scope=scope, location=user_location())
        if self._method_of is not None:
            module, path = self._method_of
            index = self._calls[path] - 1
            first = not self.trace.calls or self.trace.calls[-1].module_path != path
            first = first or self.trace.calls[-1].call_index != index
            name = self._namer.module(path, index) if first else self._namer.unique(f"{path}.{fn}")
            call.name = name
            call.module_path, call.call_index, call.source_op = path, index, f"{type(module).__name__}.{fn}"
        else:
            call.name = self._namer.function(scope, fn)
        return call

    def _escape(self, func: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        if self._depends((args, kwargs)):
            raise data_dependent(f"{name.strip('_')}()", user_location(), self._scopes[-1])
        from qworkbench.graph.torch_frontend.constants import Constants

        known = Constants(self.trace)
        with torch.utils._python_dispatch._disable_current_modes():
            real = map_leaves(
                lambda leaf: known.tensor(self.slot_of(leaf)) if isinstance(leaf, Tensor) else leaf, (args, kwargs)
            )
            return func(*real[0], **real[1])

    # -- modules ----------------------------------------------------------------------------------------------------
    def module_call(self, original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Stand in for ``nn.Module.__call__``: a leaf becomes one call, anything else is entered."""
        path = self._paths.get(module)
        if self._silent:
            if self._inside_wrapped is not None and path is not None:
                self._inside_wrapped.append(path)
                self._calls[path] += 1
            return original(module, *args, **kwargs)
        if path is None or path == "":
            return original(module, *args, **kwargs)
        if self._method_of is not None:
            return args[0] if len(args) == 1 and not kwargs else original(module, *args, **kwargs)
        if is_leaf(module):
            with self.quiet():
                return self._leaf_call(original, module, path, args, kwargs)
        self._calls[path] += 1
        self._scopes.append(path)
        start = len(self.trace.calls)
        try:
            return original(module, *args, **kwargs)
        finally:
            self._scopes.pop()
            self._adopt(module, path, start)

    def _leaf_call(self, original: Callable[..., Any], module: nn.Module, path: str, args: Any, kwargs: Any) -> Any:
        sources = tensors_in((args, kwargs))
        given = self.template((args, kwargs))
        index = self._calls[path]
        self._calls[path] += 1
        cls = operator_class(module)
        assert cls is not None
        call = Call(
            self._namer.module(path, index),
            cls.__name__,
            f"nn.{cls.__name__}",
            ModuleCall(module),
            given[0],
            given[1],
            scope=path.rpartition(".")[0],
            location=user_location(),
            module=module,
            module_path=path,
            call_index=index,
        )
        versions = [(t, t._version) for t in sources if not t.is_inference()]
        if self._keeps_shape(module, cls, sources):
            result: Any = torch.empty_like(sources[0])
        elif self._repeats_steps(module, cls, args):
            result = _one_step(original, module, args, kwargs)
        else:
            result = original(module, *args, **kwargs)
        changed = next((t for t, version in versions if t._version != version), None)
        if changed is not None:
            self._written(call, changed)
            return result
        return self._made(call, result, sources)

    def _keeps_shape(self, module: nn.Module, cls: type[nn.Module], sources: list[Tensor]) -> bool:
        """Tell whether the result need not be computed: torch decomposes a fake normalisation in 10 ms of Python."""
        hooked = module._forward_hooks or module._forward_pre_hooks
        return cls in NORMS and len(sources) == 1 and isinstance(sources[0], FakeTensor) and not hooked

    def _repeats_steps(self, module: nn.Module, cls: type[nn.Module], args: Any) -> bool:
        """Tell whether one time step shows the shapes of all: torch decomposes a fake recurrent layer step by step."""
        hooked = module._forward_hooks or module._forward_pre_hooks
        fake = bool(args) and isinstance(args[0], FakeTensor) and args[0].dim() in (2, 3)
        return issubclass(cls, nn.RNNBase) and fake and not hooked

    def _adopt(self, module: nn.Module, path: str, start: int) -> None:
        """Give the only call of the base operator inside a subclass of it the module's own name."""
        cls = operator_class(module)
        if cls is None:
            return
        wanted = cls.__name__.lower()
        own = [c for c in self.trace.calls[start:] if c.scope == path and c.module is None]
        kind = [c for c in own if c.fn.replace("_", "") in (wanted, wanted.rstrip("123d"))]
        if len(kind) == 1:
            index = self._calls[path] - 1
            kind[0].name = self._namer.rename(kind[0].name, path if index == 0 else f"{path}#{index}")
            kind[0].module_path, kind[0].call_index = path, index

    @contextmanager
    def method_of(self, module: nn.Module) -> Iterator[None]:
        """While a method of a FloatFunctional runs, its functions carry the module's path."""
        path = self._paths[module]
        self._calls[path] += 1
        before, self._method_of = self._method_of, (module, path)
        try:
            yield
        finally:
            self._method_of = before

    def wrapped(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a wrapped function and write it down as one opaque call."""
        if self._silent:
            return func(*args, **kwargs)
        with self.quiet():
            sources = tensors_in((args, kwargs))
            given = self.template((args, kwargs))
            scope, name = self._scopes[-1], getattr(func, "__name__", "wrapped")
            call = Call(self._namer.function(scope, name), name, f"wrap({name})", func, given[0], given[1])
            call.scope, call.location, call.opaque = scope, user_location(), True
            self._inside_wrapped = []
            try:
                result = func(*args, **kwargs)
            finally:
                call.inner_modules, self._inside_wrapped = tuple(self._inside_wrapped), None
            return self._made(call, result, sources)


def _one_step(original: Callable[..., Any], module: Any, args: Any, kwargs: Any) -> Any:
    """Run the first time step of a recurrent layer and return results of the shapes that all steps have."""
    sequence, *rest = args
    axis = 1 if module.batch_first and sequence.dim() == 3 else 0
    steps = sequence.shape[axis]
    output, state = original(module, sequence.narrow(axis, 0, min(1, steps)), *rest, **kwargs)
    shape = list(output.shape)
    shape[axis] = steps
    return output.new_empty(shape), state


def _plain_factory(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Turn ``zeros_like(x)`` and its kin into factories that know only the shape, so that they do not read `x`."""
    func = getattr(torch, LIKE[name])
    kwargs = {k: v for k, v in kwargs.items() if k not in ("memory_format", "out")}
    if name == "empty":
        return func, args, kwargs
    like, rest = args[0], args[1:]
    kwargs.setdefault("dtype", like.dtype)
    kwargs.setdefault("device", like.device)
    if kwargs["dtype"] is None:
        kwargs["dtype"] = like.dtype
    if name.endswith("_like"):
        rest = (tuple(like.shape), *rest)
    return func, rest, kwargs
