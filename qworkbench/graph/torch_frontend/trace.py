"""What a tracer writes down: values and calls, torch names and torch arguments, no operators yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qworkbench.graph.node import Shape, ValueKind

if TYPE_CHECKING:
    import torch

Location = tuple[str, int]


@dataclass(slots=True)
class TracedValue:
    """One tensor of a trace.

    Attributes
    ----------
    kind : "input" | "activation" | "parameter" | "buffer" | "constant"
    name : str
        Input name or dotted parameter path; empty for activations and constants.
    tensor : Tensor or None
        Content of parameters, buffers and constants.
    depends : bool
        Whether it depends on the model's inputs.
    """

    kind: ValueKind
    shape: Shape
    dtype: torch.dtype
    name: str = ""
    tensor: torch.Tensor | None = None
    depends: bool = False


@dataclass(slots=True)
class Call:
    """One function, method or leaf-module call.

    Attributes
    ----------
    name : str
        Unique name by the naming rules.
    fn : str
        Plain name of the function: ``add`` for ``+``, ``torch.add``, ``x.add`` and ``x.add_``; class name of a module.
    source_op : str
        ``torch.cat``, ``nn.Conv2d``, ``operator.add`` ... as the user would look it up.
    func : callable
        Out-of-place function that repeats the call on real tensors.
    args, kwargs, result
        Templates with a ``Slot`` (index into the trace's values) for each tensor.
    module : torch.nn.Module or None
        The leaf module that was called.
    inner_modules : tuple of str
        Paths of modules called inside a wrapped body.
    """

    name: str
    fn: str
    source_op: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None
    scope: str = ""
    location: Location | None = None
    module: torch.nn.Module | None = None
    module_path: str | None = None
    call_index: int = 0
    depends: bool = False
    opaque: bool = False
    inner_modules: tuple[str, ...] = ()


@dataclass(slots=True)
class Trace:
    """A whole run of ``forward``."""

    values: list[TracedValue] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    result: Any = None
    module_calls: dict[str, int] = field(default_factory=dict)
