"""Running the two models of an analysis on one sample: with the same names, quantizing but not observing, watched."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from qworkbench.qat.profiler.lineage import Flow
from qworkbench.qat.profiler.watch import Call, arguments, kept_states, watching
from qworkbench.qat.quantization.fake_quantize import FakeQuantState
from qworkbench.qat.quantization.prepare import calls_to_modules
from qworkbench.qat.quantization.recording import record
from qworkbench.qat.quantization.routing import is_routed, route
from qworkbench.qat.quantization.tracing import trace


def named_like(prepared: nn.Module, float_model: nn.Module, data: Any) -> nn.Module:
    """Return a copy of `float_model` with the names that preparing gave to functions (``_generated_add_0``)."""
    float_model = copy.deepcopy(float_model).eval()
    if isinstance(prepared, fx.GraphModule):
        made = trace(float_model)
        calls_to_modules(made)
        made.recompile()
        return made
    if is_routed(prepared):
        args, kwargs = arguments(float_model, data)
        return route(record(float_model, kwargs or args))
    return float_model


@contextmanager
def quantizing(model: nn.Module) -> Iterator[None]:
    """Let `model` quantize with the scales it has and observe nothing; it is put back afterwards."""
    with kept_states(model) as fakes:
        for _, fake in fakes:
            fake.set_state(FakeQuantState.VALIDATION if fake.observed else FakeQuantState._FLOAT)
        yield


def watched(model: nn.Module, data: Any) -> tuple[list[Call], Flow]:
    """Return what each operator of `model` computes on `data`, and how the values moved between them."""
    args, kwargs = arguments(model, data)
    with torch.no_grad(), Flow() as flow, watching(model) as calls:
        model(*args, **kwargs)
    return calls, flow
