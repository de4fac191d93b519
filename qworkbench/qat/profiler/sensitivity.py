"""What each quantizer of a prepared model, switched on alone, does to the model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from qworkbench.analysis.distances import Distance, Metric
from qworkbench.errors import Cancelled
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.profiler.watch import arguments, kept_states, outputs_of, watching
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import FakeQuantState

Progress = Callable[[str, int, int], None]


def sensitivity_of(
    baseline: nn.Module,
    analysed: nn.Module,
    sample: Any,
    metrics: Sequence[Metric],
    *,
    post_process: Callable[[Any], Any] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, pd.DataFrame]:
    """Return, per output, op_name, sensitive_type, op_type, one column per metric, quant_dtype, flops and their share.

    One forward of `analysed` per quantizer: that one on, all others off, compared with the float outputs. The first
    metric orders the table, worst first.

    Raises
    ------
    QATError
        If no quantizer has a scale yet, or nothing can be compared.
    Cancelled
    """
    float_outputs = outputs_of(baseline, sample, post_process)
    if not float_outputs:
        raise QATError("the model has no float output to compare; return the scores before the post-processing")
    flops = flops_of(analysed, sample)
    whole = max(1, sum(flops.values()))
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in float_outputs}
    with kept_states(analysed) as fakes, _casts_off():
        ready = [(name, fake) for name, fake in fakes if fake.observed]
        if not ready:
            raise QATError("nothing is quantized yet: calibrate or train the prepared model first")
        for _, fake in fakes:
            fake.set_state(FakeQuantState._FLOAT)
        for number, (name, fake) in enumerate(ready):
            if cancelled():
                raise Cancelled("the sensitivity was cancelled")
            fake.set_state(FakeQuantState.VALIDATION)
            found = outputs_of(analysed, sample, post_process)
            fake.set_state(FakeQuantState._FLOAT)
            owner, kind = _place(name)
            for output, reference in float_outputs.items():
                distance = Distance()
                distance.add(reference.cpu().numpy(), found[output].cpu().numpy(), metrics)
                rows[output].append(
                    {
                        "op_name": owner,
                        "sensitive_type": kind,
                        "op_type": str(type(analysed.get_submodule(owner))),
                        **{metric.name: distance.value(metric) for metric in metrics},
                        "quant_dtype": fake.dtype,
                        "flops": flops.get(owner, 0),
                        "flops_share": flops.get(owner, 0) / whole,
                    }
                )
            if progress is not None:
                progress(owner, number + 1, len(ready))
    first = metrics[0]
    for held in rows.values():
        held.sort(key=lambda row: -first.badness(row[first.name]))
    return {output: pd.DataFrame(held) for output, held in rows.items()}


def _place(name: str) -> tuple[str, str]:
    """Return the operator of a fake quantization and ``"weight"`` or ``"activation"``."""
    for part, kind in ((".weight_fake_quant", "weight"), (".input_post_process", "activation")):
        if part in name:
            return name[: name.index(part)], kind
    return name.removesuffix(".activation_post_process"), "activation"


@contextmanager
def _casts_off() -> Iterator[None]:
    was = FakeCast._enabled[0]
    FakeCast.disable()
    try:
        yield
    finally:
        FakeCast._enabled[0] = was


def flops_of(model: nn.Module, sample: Any) -> dict[str, int]:
    """Return 2 operations per multiply-accumulate and operator, for the whole sample."""
    args, kwargs = arguments(model, sample)
    with kept_states(model) as fakes, torch.no_grad(), watching(model) as calls:
        for _, fake in fakes:
            fake.set_state(FakeQuantState._FLOAT)
        model(*args, **kwargs)
    found: dict[str, int] = {}
    for call in calls:
        if call.output is not None:
            each = _products(call.module, call.method, call.inputs, call.output)
            found[call.path] = found.get(call.path, 0) + 2 * each
    return found


def _products(module: Any, method: str, inputs: Sequence[Tensor], output: Tensor) -> int:
    if method == "matmul":
        return output.numel() * inputs[0].shape[-1]
    if not isinstance(module, qat.QuantizedOperator):
        return 0
    if module.variant.conv is nn.Linear:
        return output.numel() * module.weight.shape[1]
    source = inputs[0] if module.variant.conv is nn.ConvTranspose2d else output
    return source.numel() * module.weight[0].numel()
