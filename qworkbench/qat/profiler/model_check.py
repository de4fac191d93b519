"""``check_qat_model``: fusion, shared modules and dtypes of a prepared model, as ``model_check_result.txt``.

The text is that of the workbench's own model check (:class:`qworkbench.analysis.check.ModelCheck`); here it is read off
the prepared modules and one run.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from qworkbench.analysis.check import RESULT_FILE, ModelCheck
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.profiler.lineage import Flow
from qworkbench.qat.profiler.watch import Call, arguments, kept_states, operators, watching
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import FakeQuantize, FakeQuantState
from qworkbench.qat.quantization.observer import FixedScaleObserver
from qworkbench.qat.quantization.region import is_dequant_stub

__all__ = ["RESULT_FILE", "check_qat_model"]

_LAYERS = ["Module Name", "Module Type", "Input dtype", "out dtype", "ch_axis", "observer"]
_DEFAULT_AVERAGING = 0.01
_PREPARED = (qat.ReadsInputs, qat.QuantStub, qat.DeQuantStub)


def check_qat_model(model: nn.Module, example_inputs: Any) -> ModelCheck:
    """Return the check of a prepared model.

    Parameters
    ----------
    model : Module
        From a prepare call; its observers, buffers and mode stay as they are.
    example_inputs : Any
        What ``forward`` takes, a tuple for several arguments.

    Returns
    -------
    ModelCheck
        ``str`` of it is the text; ``save()`` writes ``model_check_result.txt``.

    Raises
    ------
    QATError
        If the model was not prepared or does not run.
    """
    if not any(isinstance(module, _PREPARED) for module in model.modules()):
        raise QATError(f"{type(model).__name__} was not prepared; call prepare first")
    calls, flow = _run(model, example_inputs)
    layers, weights, unusual = [], [], []
    written: dict[int, str] = {}
    for call in calls:
        if call.name != call.path or isinstance(call.module, nn.Identity):
            continue
        module = call.module
        kind = str(type(module))
        reads = _written(call.inputs[0], written, flow) if call.inputs else "torch.float32"
        steps = getattr(module, "input_post_process", None)
        if steps is not None and len(steps) and not isinstance(steps[0], nn.Identity):
            reads = _dtype_of(steps[0])
        passes = not isinstance(module, _PREPARED)
        post = getattr(module, "activation_post_process", None)
        out = "torch.float32" if is_dequant_stub(module) else reads if passes else _dtype(module)
        written[id(call.output)] = out
        axis: Any = post.observer.ch_axis if isinstance(post, FakeQuantize) else "qconfig = None"
        layers.append([call.path, kind, reads, out, axis, _observer(post)])
        if isinstance(module, qat.QuantizedOperator):
            fake = module.weight_fake_quant
            weights.append([call.path, kind, _dtype_of(fake), _axis(fake), _observer(fake)])
        unusual += [[call.path, kind, text] for text in _notes(module, post, reads)]
    outputs = pd.DataFrame(layers, columns=_LAYERS)
    read, wrote = Counter(outputs["Input dtype"]), Counter(outputs["out dtype"])
    counts = Counter(call.path for call in calls)
    called = [[path, counts[path]] for path, module in operators(model) if not isinstance(module, nn.Identity)]
    return ModelCheck(
        fusable=pd.DataFrame(_fusable(calls), columns=["name", "type"]),
        calls=pd.DataFrame(called, columns=["name", "called times"]),
        outputs=outputs,
        weights=pd.DataFrame(weights, columns=["Module Name", "Module Type", "weight dtype", "ch_axis", "observer"]),
        dtypes=pd.DataFrame(
            [[d, read[d], wrote[d]] for d in sorted({*read, *wrote})], columns=["dtype", "read by", "written by"]
        ),
        unusual=pd.DataFrame(unusual, columns=["Module Name", "Module Type", "Msg"]),
    )


def _written(tensor: Tensor, written: dict[int, str], flow: Flow) -> str:
    while id(tensor) not in written and id(tensor) in flow.source:
        tensor = flow.source[id(tensor)][1]
    return written.get(id(tensor), "torch.float32")


def _run(model: nn.Module, example_inputs: Any) -> tuple[list[Call], Flow]:
    args, kwargs = arguments(model, example_inputs)
    with kept_states(model) as fakes, torch.no_grad(), Flow() as flow, watching(model) as calls:
        for _, fake in fakes:
            fake.set_state(FakeQuantState._FLOAT)
        try:
            model(*args, **kwargs)
        except Exception as error:
            raise QATError(f"{type(model).__name__} does not run on the example inputs: {error}") from error
    return calls, flow


def _dtype(module: nn.Module) -> str:
    return _dtype_of(getattr(module, "activation_post_process", None))


def _dtype_of(post: nn.Module | None) -> str:
    if isinstance(post, FakeQuantize):
        return post.dtype
    return f"torch.{post.dtype}" if isinstance(post, FakeCast) else "torch.float32"


def _axis(fake: nn.Module | None) -> Any:
    return fake.observer.ch_axis if isinstance(fake, FakeQuantize) else "qconfig = None"


def _observer(post: nn.Module | None) -> str:
    if isinstance(post, FakeQuantize):
        return type(post.observer).__name__
    return "FakeCast" if isinstance(post, FakeCast) else ""


def _notes(module: nn.Module, post: nn.Module | None, reads: str) -> list[str]:
    found = []
    if isinstance(post, FakeQuantize):
        if isinstance(post.observer, FixedScaleObserver):
            found.append(f"Fixed scale {post.observer.scale}")
        elif post.observer.averaging_constant != _DEFAULT_AVERAGING:
            found.append(f"averaging_constant {post.observer.averaging_constant}")
    if isinstance(module, qat.QuantizedOperator) and reads == "torch.float32":
        found.append("reads float32: it lies before a QuantStub, or the op before it has no qconfig")
    return found


def _fusable(calls: list[Call]) -> list[list[str]]:
    """Return convolutions and the module behind them that they could take, one after the other."""
    readers: dict[int, list[Call]] = {}
    for call in calls:
        for tensor in call.inputs:
            readers.setdefault(id(tensor), []).append(call)
    times = Counter(call.path for call in calls)
    rows = []
    for call in calls:
        module = call.module
        after = readers.get(id(call.output), [])
        if not isinstance(module, qat.QuantizedOperator) or module.relu is not None or len(after) != 1:
            continue
        other = after[0]
        norm = isinstance(other.module, nn.modules.batchnorm._BatchNorm) and not module.variant.add
        add = other.method == "add" and not module.variant.add and len(other.inputs) == 2
        relu = isinstance(other.module, (nn.ReLU, nn.ReLU6))
        if (norm or add or relu) and times[call.path] == times[other.path] == 1:
            rows += [[call.path, str(type(module))], [other.path, str(type(other.module))]]
    return rows
