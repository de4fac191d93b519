"""How far the integers are from training, op by op, in steps of the output's scale (LSB).

Two distances per call of an op: its own error, the training op being fed the very codes that the integer op read, and
the accumulated one, each model running on its own. One op is documented to be 0-1 LSB off; sums up to 2, the int16
reciprocal up to 5.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.nn.quantized.common import Quantized, float_of
from qworkbench.qat.qtensor import QTensor
from qworkbench.qat.quantization.convert import convert_fx
from qworkbench.qat.quantization.fake_quantize import FakeQuantState, set_fake_quantize
from qworkbench.qat.quantization.tracing import METHODS

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("op", "call", "type", "dtype", "scale", "own max", "own mean", "accumulated max", "accumulated mean")


@dataclass(frozen=True)
class _Call:
    path: str
    call: int
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


def fixed_point_error(model: fx.GraphModule, *inputs: Any, converted: nn.Module | None = None) -> pd.DataFrame:
    """Return how far the converted model is from the model in training, one row per call of an op, in LSB.

    Parameters
    ----------
    model : GraphModule
        Prepared, and calibrated or trained; not changed.
    *inputs
        What ``model(*inputs)`` takes.
    converted : Module, optional
        Its integer form; made by ``convert_fx`` otherwise.

    Returns
    -------
    pandas.DataFrame
        Columns ``op`` (path of the module), ``call``, ``type``, ``dtype``, ``scale``, and the largest and the mean
        error in LSB: ``own`` on the same input codes, ``accumulated`` from the model's input on.

    Raises
    ------
    QATError
        If `model` was not prepared or no data was seen.
    """
    import pandas as pd

    if not any(isinstance(m, qat.QuantStub) for m in model.modules()):
        raise QATError(
            f"{type(model).__name__} has nothing in training; give the prepared model, not the converted one"
        )
    integers = convert_fx(model) if converted is None else converted
    trained = copy.deepcopy(model).eval()
    set_fake_quantize(trained, FakeQuantState.VALIDATION)
    with torch.no_grad():
        with _calls(integers, Quantized) as found:
            integers(*inputs)
        with _calls(trained, (qat.QuantizedOperator, qat.QuantStub, qat.FloatFunctional, qat.Operation)) as wanted:
            trained(*inputs)
        whole = {(c.path, c.call): c.output for c in wanted}
        modules = dict(trained.named_modules())
        rows = [row for call in found if (row := _row(call, modules, whole)) is not None]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(call: _Call, modules: dict[str, nn.Module], whole: dict[tuple[str, int], Any]) -> tuple[Any, ...] | None:
    op = modules.get(call.path)
    out = call.output
    if not isinstance(out, QTensor) or op is None or (call.path, call.call) not in whole:
        return None
    if not isinstance(op, (qat.QuantizedOperator, qat.QuantStub, qat.FloatFunctional, qat.Operation)):
        return None
    args, kwargs = (_real(part) for part in (call.args, call.kwargs))
    own: Tensor = getattr(op, call.method)(*args, **kwargs)
    scale = out.q_scale()
    errors = [_lsb(out, other) for other in (own, whole[call.path, call.call])]
    dtype = str(out.int_repr().dtype).removeprefix("torch.")
    numbers = [value for error in errors for value in (float(error.max()), float(error.mean()))]
    kind = op.operation if isinstance(op, qat.Operation) else op
    name = kind.function if isinstance(kind, qat.FunctionCall) else type(kind).__name__
    name = call.method if isinstance(op, qat.FloatFunctional) else name
    return (call.path, call.call, name, dtype, float(scale.max()), *numbers)


def _lsb(codes: QTensor, other: Tensor) -> Tensor:
    scale = codes.q_scale()
    if scale.numel() > 1:
        shape = [1] * codes.ndim
        shape[codes.q_per_channel_axis()] = -1
        scale = scale.reshape(shape)
    return (codes.dequantize().double() - other.double()).abs() / scale


def _real(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _real(part) for key, part in value.items()}
    return float_of(value)


@contextmanager
def _calls(model: nn.Module, kinds: Any) -> Iterator[list[_Call]]:
    """Note every call of a module of `kinds`, and of the methods of a FloatFunctional."""
    found: list[_Call] = []
    counts: dict[str, int] = {}
    shadowed: list[tuple[nn.Module, str]] = []

    def noting(path: str, method: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            number = counts.get(path, 0)
            counts[path] = number + 1
            y = run(*args, **kwargs)
            found.append(_Call(path, number, method, args, kwargs, y))
            return y

        return call

    try:
        for path, module in model.named_modules():
            if not isinstance(module, kinds):
                continue
            functional = getattr(module, "float_functional", False)
            for method in METHODS if functional else ("forward",):
                module.__dict__[method] = noting(path, method, getattr(module, method))
                shadowed.append((module, method))
        yield found
    finally:
        for module, method in shadowed:
            module.__dict__.pop(method, None)
