"""The float twin of a prepared or converted model: the same computation with no fake quantization, ready to capture.

Beside it stands what training has decided: scale and dtype of each op's output, scales of the weights. The twin holds
copies of the weights, of a converted model ``code * scale``, so that training may go on. Knows nothing of workbenches.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from qworkbench.nn import DeQuantStub, FloatFunctional, QuantStub
from qworkbench.placement.decided import Decided
from qworkbench.qat.dtype import INTEGER_NAMES
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.nn.intrinsic import Fused
from qworkbench.qat.nn.quantized import functions, operators
from qworkbench.qat.nn.quantized.common import Quantized
from qworkbench.qat.nn.variants import Variant, bare
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.routing import EnterScope, LeaveScope, is_routed
from qworkbench.qat.quantization.tracing import regraphed
from qworkbench.qat.utils.fx_helper import skeleton


@dataclass(frozen=True)
class Twin:
    """A float module, and what was decided for its submodules by their paths."""

    module: nn.Module
    decided: Mapping[str, Decided]


def is_trained(model: object) -> bool:
    """Tell whether `model` was prepared or converted by this package."""
    return isinstance(model, nn.Module) and any(
        isinstance(m, (qat.QuantizedOperator, qat.QuantStub, qat.Operation, qat.FloatFunctional, Quantized))
        for m in model.modules()
    )


def float_twin(model: nn.Module, *, check: bool = True) -> Twin:
    """Return the float twin of a prepared, calibrated, trained or converted `model`, in eval mode.

    Raises
    ------
    QATError
        If a tensor was never observed; not with ``check=False``.
    """
    memo: dict[int, nn.Module] = {}
    decided: dict[str, Decided] = {}
    made = _shell(model, memo)
    done: dict[int, nn.Module] = {}
    for path, module in list(model.named_modules(remove_duplicate=False)):
        found = decision(path, module, check=check)
        if found is None:
            continue
        decided[path] = found
        new = done.get(id(module)) or _float_form(module)
        done[id(module)] = new
        if isinstance(new, Fused):
            new.swapped = getattr(module, "swapped", False)
        if is_routed(module) and not is_routed(new):
            new.register_forward_pre_hook(
                next(h for h in module._forward_pre_hooks.values() if isinstance(h, EnterScope))
            )
            new.register_forward_hook(LeaveScope(), always_call=True)
        made.set_submodule(path, new)
    made.eval()
    return Twin(made, decided)


def _shell(model: nn.Module, memo: dict[int, nn.Module]) -> nn.Module:
    """Return `model` with new containers around the same operators."""

    def keep(module: nn.Module) -> bool:
        return not list(module.children()) or decision("", module, check=False) is not None

    if not isinstance(model, fx.GraphModule):
        return skeleton(model, keep, memo)
    holder = nn.Module()
    holder._modules = {name: None if m is None else skeleton(m, keep, memo) for name, m in model._modules.items()}
    holder._parameters, holder._buffers = model._parameters, model._buffers
    made = regraphed(model, holder)
    made.recompile()
    return made


def decision(path: str, module: nn.Module, *, check: bool = True) -> Decided | None:
    """Return what was decided for `module`; None for one that decides nothing."""
    if isinstance(module, Quantized):
        return _converted(module)
    if isinstance(module, qat.DeQuantStub):
        return Decided("float32")
    if not isinstance(module, (qat.QuantizedOperator, qat.QuantStub, qat.FloatFunctional, qat.Operation)):
        return None
    post = module.activation_post_process
    weight: dict[str, Any] = {}
    fake = getattr(module, "weight_fake_quant", None)
    integer = True
    if isinstance(module, qat.QuantizedOperator):
        integer = isinstance(fake, FakeQuantize)
        if isinstance(fake, FakeQuantize):
            channels = module.out_first(module.weight).shape[0]
            scale = fake.positive_scale.detach().expand(channels).clone()
            weight = {"weight_scale": scale, "weight_dtype": INTEGER_NAMES[fake.dtype]}
            if check and not fake.observed:
                raise _unobserved("weight", path)
    elif isinstance(module, qat.Operation):
        integer = functions.has_integer_form(module)
    if post is None:
        return Decided("int32" if integer else "float32", None, integer, **weight)
    if isinstance(post, FakeCast):
        return Decided(post.dtype, None, False)
    assert isinstance(post, FakeQuantize)
    if check and not post.observed:
        raise _unobserved("output", path)
    return Decided(INTEGER_NAMES[post.dtype], float(post.positive_scale.detach()), integer, **weight)


def _unobserved(what: str, path: str) -> QATError:
    return QATError(
        f"the {what} of {path!r} was never observed, so it has no scale; run the prepared model on data first"
    )


def _converted(module: Quantized) -> Decided:
    if isinstance(module, functions.DeQuantStub):
        return Decided("float32")
    scale = None if module.scale is None else float(module.scale)
    if isinstance(module, operators.Operator):
        name = str(module.weight.dtype).removeprefix("torch.")
        return Decided(module.dtype or "int32", scale, True, module.weight_scale.detach().clone(), name)
    return Decided(module.dtype or "float32", scale, not isinstance(module, functions.FloatOperation))


def _float_form(module: Any) -> nn.Module:
    if isinstance(module, (qat.QuantStub, functions.QuantStub)):
        return QuantStub()
    if isinstance(module, (qat.DeQuantStub, functions.DeQuantStub)):
        return DeQuantStub()
    if isinstance(module, (qat.FloatFunctional, functions.FloatFunctional)):
        return FloatFunctional()
    if isinstance(module, qat.QuantizedOperator):
        bias = None if module.bias is None else _own(module.bias)
        conv = bare(module.variant, module.__dict__, _own(module.weight), bias)
        return _fused(module.variant, conv, copy.deepcopy(module.bn), copy.deepcopy(module.relu))
    if isinstance(module, operators.Operator):
        bias = None if module.bias is None else _own(module.bias)
        conv = bare(module.variant, module.geometry, _own(module.real_weight()), bias)
        relu = {"ReLU": nn.ReLU, "ReLU6": nn.ReLU6}.get(module.relu)
        return _fused(module.variant, conv, None, None if relu is None else relu())
    operation: nn.Module = copy.deepcopy(module.operation)
    return operation


def _own(tensor: Tensor) -> nn.Parameter:
    """Return a copy: training may go on while the twin stays what it was."""
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)


def _fused(variant: Variant, conv: nn.Module, bn: nn.Module | None, relu: nn.Module | None) -> nn.Module:
    return Fused(conv, bn, relu) if bn is not None or relu is not None or variant.add else conv
