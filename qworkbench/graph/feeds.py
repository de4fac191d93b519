"""Between what a user holds and what a graph runs on: samples become feeds, activations become the model's outputs.

Reads samples exactly as capture read the example, so one calibration set fits both; refuses what does not fit with
the shape, the rule and the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qworkbench.errors import CalibrationError, unknown_name
from qworkbench.graph.execute import batch_of
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym, Value
from qworkbench.graph.signature import InputSpec, arguments, labelled
from qworkbench.graph.structure import fill, leaves


def feeds_of(graph: Graph, sample: Any) -> dict[str, Tensor]:
    """Turn a `sample` into the feeds of `graph`.

    Parameters
    ----------
    graph : Graph
    sample : Tensor, ndarray, tuple, list or dict
        What the model is called with: the only input; all inputs in order; inputs by name; or the same structure as
        the example of the capture. Any batch size where the graph's batch is symbolic.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    CalibrationError
        Wrong number of inputs, rank, non-batch size, batch or dtype.
    """
    found = _by_name(graph, sample)
    feeds = {name: _checked(graph.values[name], found[name]) for name in graph.inputs}
    batches = {
        name: feeds[name].shape[axis] // dim.factor
        for name in graph.inputs
        for axis, dim in enumerate(graph.values[name].shape)
        if isinstance(dim, Sym)
    }
    if len(set(batches.values())) > 1:
        sizes = ", ".join(f"{name} {size}" for name, size in batches.items())
        raise CalibrationError(f"inputs must share one batch size, got {sizes}")
    return feeds


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray))


def _by_name(graph: Graph, sample: Any) -> dict[str, Any]:
    if isinstance(sample, Mapping) and set(graph.inputs) <= set(sample):
        return {name: sample[name] for name in graph.inputs}
    spec: InputSpec | None = graph.in_spec if isinstance(graph.in_spec, InputSpec) else None
    if isinstance(sample, Mapping):
        if spec is not None:
            args, kwargs = arguments("positional" if spec.single else spec.form, spec.single, sample)
            places = dict(labelled(spec.parameters, args, kwargs))
            if all(place in places for place in spec.names):
                return {name: places[place] for place, name in spec.names.items()}
        unknown = [key for key in sample if key not in graph.inputs]
        if unknown:
            raise CalibrationError(str(unknown_name("input", str(unknown[0]), graph.inputs)))
        missing = [name for name in graph.inputs if name not in sample]
        raise CalibrationError(f"the sample lacks input {missing[0]!r}; the model takes {', '.join(graph.inputs)}")
    tensors = [leaf for _, leaf in leaves(sample) if _is_tensor(leaf)]
    if not tensors:
        raise CalibrationError(
            f"a sample must be a tensor, an array, or a tuple or dict of them, got {type(sample).__name__}"
        )
    if len(tensors) != len(graph.inputs):
        raise CalibrationError(
            f"the model takes {len(graph.inputs)} inputs ({', '.join(graph.inputs)}), the sample holds {len(tensors)}"
        )
    return dict(zip(graph.inputs, tensors, strict=True))


def _checked(value: Value, given: Any) -> Tensor:
    if not _is_tensor(given):
        raise CalibrationError(f"input {value.name!r} must be a tensor or an array, got {type(given).__name__}")
    tensor = torch.from_numpy(np.ascontiguousarray(given)) if isinstance(given, np.ndarray) else given.detach()
    wanted = ", ".join(str(d) for d in value.shape)
    got = tuple(tensor.shape)
    if len(got) != len(value.shape):
        hint = "; add the batch axis with x[None]" if len(got) == len(value.shape) - 1 else ""
        raise CalibrationError(f"input {value.name!r} must have shape ({wanted}), got {got}{hint}")
    for size, dim in zip(got, value.shape, strict=True):
        if isinstance(dim, Sym):
            if size == 0 or size % dim.factor:
                raise CalibrationError(f"input {value.name!r} must have shape ({wanted}), got {got}")
        elif size != dim:
            raise CalibrationError(
                f"input {value.name!r} must have shape ({wanted}), got {got}; resize the data or capture with this size"
            )
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype != value.dtype:
        cast = f"x.astype({value.dtype!r})" if isinstance(given, np.ndarray) else f"x.to(torch.{value.dtype})"
        raise CalibrationError(f"input {value.name!r} must be {value.dtype}, got {dtype}; use {cast}")
    return tensor


def outputs_of(graph: Graph, env: Mapping[str, Tensor]) -> Any:
    """Rebuild what the model returned from the values in `env`.

    Parameters
    ----------
    graph : Graph
    env : Mapping of str to Tensor
        Must hold the graph's outputs; constant outputs are taken from the graph.

    Returns
    -------
    object
        The structure of the model's return value (tensor, tuple, dict ...); for a graph without one, a tensor if it
        has a single output, else a dict by output name.
    """
    tensors = [env[name] if name in env else graph.tensor(name) for name in graph.outputs]
    if graph.out_spec is not None:
        return fill(graph.out_spec, tensors, batch_of(graph, env))
    return tensors[0] if len(tensors) == 1 else dict(zip(graph.output_names, tensors, strict=True))
