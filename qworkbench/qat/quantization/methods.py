"""``prepare``: one call for every way of finding a model's operators.

JIT and JIT_STRIP run the model once on example inputs and keep its code; SYMBOLIC traces it with fx and gives a
GraphModule; EAGER replaces modules without looking at the graph.
"""

from __future__ import annotations

import copy
import warnings
from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from qworkbench.errors import FileFormatError, unknown_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.march import require_march
from qworkbench.qat.nn.variants import CONVS
from qworkbench.qat.profiler.model_check import RESULT_FILE, check_qat_model
from qworkbench.qat.quantization.eager import replace_modules
from qworkbench.qat.quantization.fuse import fuse_traced
from qworkbench.qat.quantization.prepare import observe_first, prepare_traced, trained
from qworkbench.qat.quantization.qconfig_dict import Resolver
from qworkbench.qat.quantization.qconfig_setter.resolve import resolver_for
from qworkbench.qat.quantization.recording import record
from qworkbench.qat.quantization.region import is_quant_stub
from qworkbench.qat.quantization.routing import route
from qworkbench.qat.quantization.tracing import is_float_functional, trace


class PrepareMethod(StrEnum):
    """How prepare finds the operators.

    ``JIT`` runs the model once and keeps its code; every operator that ran is quantized. ``JIT_STRIP`` does the same
    between QuantStub and DeQuantStub only. ``SYMBOLIC`` traces with fx. ``EAGER`` replaces modules as they are.
    """

    JIT = "jit"
    JIT_STRIP = "jit-strip"
    EAGER = "eager"
    SYMBOLIC = "symbolic"


def prepare(
    model: nn.Module,
    example_inputs: Any = None,
    qconfig_setter: Any = None,
    method: PrepareMethod | str = PrepareMethod.JIT_STRIP,
    *,
    check_result: str | PathLike[str] | None = RESULT_FILE,
) -> nn.Module:
    """Return `model` fused and ready for calibration or quantization-aware training.

    Parameters
    ----------
    model : Module
        In float; not changed, but the result shares its parameters, so copy it first if both are needed.
    example_inputs : Any
        What ``forward`` takes, a tuple for several arguments. Needed by JIT and JIT_STRIP; choose inputs with which
        every loop runs.
    qconfig_setter : QconfigSetter, tuple of setters, mapping, or None
        None uses the ``qconfig`` attributes; a mapping is a qconfig dict as in :func:`prepare_qat_fx`.
    method : PrepareMethod
    check_result : path or None
        Where the check of the result is written; None writes none. Needs `example_inputs`.

    Raises
    ------
    QATError
        If no march is set, example inputs are missing or do not run, or a qconfig does not suit the march.
    UnknownNameError
        For a method or a module that does not exist.
    """
    march = require_march()
    how = _method(method)
    resolve = resolver_for(qconfig_setter, model, march)
    if how is PrepareMethod.EAGER:
        made: nn.Module = replace_modules(copy.deepcopy(model), resolve, {})
    elif how is PrepareMethod.SYMBOLIC:
        graph = trace(model)
        fuse_traced(graph)
        made = prepare_traced(graph, resolve, training=model.training)
    else:
        made = _recorded(model, example_inputs, resolve, everything=how is PrepareMethod.JIT)
    if check_result is not None and example_inputs is not None:
        found = check_qat_model(made, example_inputs)
        try:
            found.save(Path(check_result))
        except FileFormatError as error:
            warnings.warn(f"the check of the model was not written: {error}", stacklevel=2)
    return made


def _method(method: PrepareMethod | str) -> PrepareMethod:
    known = {m.value: m for m in PrepareMethod} | {m.name: m for m in PrepareMethod}
    name = method.value if isinstance(method, PrepareMethod) else str(method)
    if name not in known:
        raise unknown_name("prepare method", name, [m.name for m in PrepareMethod])
    return known[name]


def _recorded(model: nn.Module, example_inputs: Any, resolve: Resolver, *, everything: bool) -> nn.Module:
    if example_inputs is None:
        raise QATError(
            "JIT and JIT_STRIP run the model once; pass example_inputs=..., or method=PrepareMethod.SYMBOLIC or EAGER"
        )
    recording = record(model, example_inputs)
    fuse_traced(recording.graph)
    prepare_traced(recording.graph, resolve, training=model.training, everything=everything)
    for path in recording.opaque:
        module = recording.model.get_submodule(path)
        if isinstance(module, CONVS) or is_quant_stub(module) or is_float_functional(module):
            new = trained(path, module, resolve)
            if new is not None:
                new.train(module.training)
                recording.model.set_submodule(path, new)
    made = route(recording)
    observe_first(made)
    return made
