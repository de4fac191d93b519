"""``capture``: the steps from a model and an example to a checked graph, in order.

Fake tensors and a symbolic batch first; where an operation has no fake form, real tensors; where the program itself
depends on the batch, the example's batch. The first graph that agrees with the model is the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qworkbench.errors import CaptureError
from qworkbench.graph.ir import Graph
from qworkbench.graph.signature import InputSpec, arguments, labelled, positional_names, reading
from qworkbench.graph.structure import Slot, map_leaves
from qworkbench.graph.torch_frontend.batch import FIRST, SECOND, merged
from qworkbench.graph.torch_frontend.convert import converted
from qworkbench.graph.torch_frontend.location import WAYS_OUT, at, error_location
from qworkbench.graph.torch_frontend.running import Example, reference, trace
from qworkbench.graph.torch_frontend.selfcheck import TOLERANCE, disagreement, worst
from qworkbench.graph.torch_frontend.state import preserved, unwrapped
from qworkbench.graph.torch_frontend.trace import Trace


def capture(
    model: nn.Module, example: Tensor | tuple[Any, ...] | Mapping[str, Any], *, name: str | None = None
) -> Graph:
    """Capture a torch model as a graph of named operators.

    The model is run in evaluation mode and left as it was. The batch (axis 0 of the first input) stays symbolic where
    the model allows it.

    Parameters
    ----------
    model : nn.Module
    example : Tensor, tuple or dict
        What the model is called with: its argument, its positional arguments, or its keyword arguments (a dict whose
        keys are not parameters of ``forward`` is one argument).
    name : str, optional
        Name of the model; its class name by default.

    Returns
    -------
    Graph
        Checked: its float run agrees with the model on `example` within 1e-5 of the largest output.

    Raises
    ------
    CaptureError
        If `model` is no module, the example holds no tensor or makes the model fail, Python code depends on the
        content of tensors, or the graph does not agree; the text names the user's file and line and the ways out.
    """
    if not isinstance(model, nn.Module):
        raise CaptureError(
            f"the model must be a torch.nn.Module, got {type(model).__name__}; wrap the function in a Module"
        )
    root = unwrapped(model)
    if isinstance(root, torch.jit.ScriptModule):
        raise CaptureError("a TorchScript module hides its operations; pass the Module that it was made from")
    shown, spec = _read(root, example)
    title = name or type(root).__name__
    with preserved(root):
        for module in root.modules():
            module.training = False
        want, uses_wrap = reference(root, shown)
        failure: Exception | None = None
        for fake in (False,) if uses_wrap else (True, False):
            for symbolic in (True, False):
                try:
                    graph = _attempt(root, shown, spec, title, fake=fake, symbolic=symbolic)
                    found = worst(graph, shown, want)
                except CaptureError:
                    raise
                except Exception as error:  # noqa: BLE001 -- the user's code may raise anything
                    failure = failure or error
                    continue
                if found <= TOLERANCE:
                    return graph
                failure = _DisagreementError(graph, found)
        if isinstance(failure, _DisagreementError):
            raise disagreement(failure.graph, root, shown, want, failure.found)
        assert failure is not None
        first = (str(failure).strip().splitlines() or [""])[0]
        what = f"{type(failure).__name__}: {first}{at(error_location(failure.__traceback__))}"
        raise CaptureError(f"the model runs but cannot be traced: {what}; {WAYS_OUT}") from failure


class _DisagreementError(Exception):
    def __init__(self, graph: Graph, found: float) -> None:
        super().__init__(found)
        self.graph, self.found = graph, found


def _read(model: nn.Module, example: Any) -> tuple[Example, InputSpec]:
    example = map_leaves(lambda v: torch.from_numpy(v) if isinstance(v, np.ndarray) else v, example)
    form, single = reading(model.forward, example)
    parameters = positional_names(model.forward)
    args, kwargs = arguments(form, single, example)
    with torch.inference_mode(False):
        args, kwargs = map_leaves(lambda v: v.detach().clone() if isinstance(v, Tensor) else v, (args, kwargs))
    places = [(place, leaf) for place, leaf in labelled(parameters, args, kwargs) if isinstance(leaf, Tensor)]
    if not places:
        raise CaptureError(
            f"the example holds no tensor (got {type(example).__name__}); pass a tensor, a tuple of positional "
            "arguments or a dict of keyword arguments"
        )
    taken = {path for path, _ in model.named_modules(remove_duplicate=False)}
    names = {place: f"{place}_input" if place in taken else place for place, _ in places}
    positions = iter(range(len(places)))
    template = map_leaves(lambda v: Slot(next(positions)) if isinstance(v, Tensor) else v, (args, kwargs))
    batch = next((int(t.shape[0]) for _, t in places if t.dim()), 1)
    spec = InputSpec(form, single, parameters, names, *template)
    return Example(args, kwargs, tuple(names[place] for place, _ in places), batch), spec


def _attempt(model: nn.Module, example: Example, spec: InputSpec, name: str, *, fake: bool, symbolic: bool) -> Graph:
    found: Trace
    if symbolic:
        first = trace(model, example, batch=FIRST, fake=fake)
        second = trace(model, example, batch=SECOND, fake=fake)
        found = merged(first, second)
    else:
        found = trace(model, example, batch=None, fake=fake)
    return converted(found, model, example.batch, spec, name)
