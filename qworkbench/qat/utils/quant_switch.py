"""Switch fake quantization off for a part of a forward pass, to find the part that loses accuracy.

Inside a ``forward`` that fx traces, a switch becomes a node of the graph, so that it acts where the code has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

_tracers: list[Any] = []


def push_tracer(tracer: Any) -> None:
    """Let switches be written down by `tracer` instead of acting, until :func:`pop_tracer`."""
    _tracers.append(tracer)


def pop_tracer() -> None:
    """End what :func:`push_tracer` began."""
    _tracers.pop()


def recorded(function: Callable[[], None]) -> bool:
    """Make a call of `function` a node where a model is being traced; tell whether it was."""
    if not _tracers:
        return False
    _tracers[-1].create_node("call_function", function, (), {})
    return True


class GlobalFakeQuantSwitch:
    """``disable()`` before and ``enable()`` behind a block of ``forward``: what runs between stays in float."""

    _on = [True]  # noqa: RUF012 (one switch for all, as the API has it)

    @classmethod
    def disable(cls) -> None:
        """Values pass every FakeQuantize unchanged from here on."""
        if not recorded(fake_quant_off):
            cls._on[0] = False

    @classmethod
    def enable(cls) -> None:
        """Every FakeQuantize does again what its state says."""
        if not recorded(fake_quant_on):
            cls._on[0] = True

    @classmethod
    def state(cls) -> bool:
        """Tell whether fake quantization is enabled."""
        return cls._on[0]


@fx.node.has_side_effect
def fake_quant_off() -> None:
    """Switch fake quantization off; what a traced model calls."""
    GlobalFakeQuantSwitch.disable()


@fx.node.has_side_effect
def fake_quant_on() -> None:
    """Switch fake quantization on; what a traced model calls."""
    GlobalFakeQuantSwitch.enable()
