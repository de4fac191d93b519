"""How an example becomes the arguments of ``forward``, and the names that its tensors get.

A tensor is the first argument; a tuple is the positional arguments; a dict is keyword arguments if ``forward`` has
them, else one dict argument. Capture and calibration share this reading, so the same sample fits both.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qworkbench.graph.structure import leaves

Form = Literal["positional", "keywords"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How samples of a captured model are read.

    Attributes
    ----------
    form : "positional" | "keywords"
        Whether the sample spreads over positional or keyword arguments.
    single : bool
        The whole sample is one argument (a dict or a tuple of tensors).
    parameters : tuple of str
        Names of the positional parameters of ``forward``.
    names : Mapping of str to str
        Input name of the graph for each dotted place of a tensor.
    args, kwargs
        The example's arguments with a ``Slot`` for each tensor.
    """

    form: Form
    single: bool
    parameters: tuple[str, ...]
    names: Mapping[str, str]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None


def _accepts(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def reading(forward: Callable[..., Any], example: Any) -> tuple[Form, bool]:
    """Decide how `example` is passed to `forward`: ``(form, single)`` of :class:`InputSpec`."""
    signature = inspect.signature(forward)
    if isinstance(example, Mapping):
        named = {
            name
            for name, p in signature.parameters.items()
            if p.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        }
        text_keys = all(isinstance(key, str) for key in example)
        if text_keys and set(example) <= named and _accepts(signature, (), example):
            return "keywords", False
        if not _accepts(signature, (example,), {}) and text_keys and _accepts(signature, (), example):
            return "keywords", False
        return "positional", True
    if isinstance(example, (tuple, list)):
        fits = _accepts(signature, tuple(example), {})
        return "positional", not fits and _accepts(signature, (example,), {})
    return "positional", True


def arguments(form: Form, single: bool, sample: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Spread `sample` over ``(args, kwargs)``."""
    if form == "keywords":
        return (), dict(sample)
    return ((sample,) if single else tuple(sample)), {}


def positional_names(forward: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the positional parameters of `forward`."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(name for name, p in inspect.signature(forward).parameters.items() if p.kind in kinds)


def labelled(parameters: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return ``(dotted place, leaf)`` of every leaf: ``x``, ``data.img``, ``feats.0``, ``arg3``."""
    found: list[tuple[str, Any]] = []
    for i, arg in enumerate(args):
        top = parameters[i] if i < len(parameters) else f"arg{i}"
        found += [(".".join((top, *path)), leaf) for path, leaf in leaves(arg)]
    found += [(".".join(path), leaf) for path, leaf in leaves(dict(kwargs))]
    return found
