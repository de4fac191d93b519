"""``convert_fx``: a trained model with fake quantization becomes one that computes on integers."""

from __future__ import annotations

import copy
from typing import Any

from torch import fx, nn

from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.nn.quantized import functions, operators
from qworkbench.qat.quantization.constants import mark_constants
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.tracing import regraphed

_TRAINED = (qat.QuantizedOperator, qat.QuantStub, qat.DeQuantStub, qat.FloatFunctional, qat.Operation)


def convert_fx(model: fx.GraphModule) -> fx.GraphModule:
    """Return the integer form of a prepared and calibrated or trained model, in eval mode.

    The result is a torch.fx.GraphModule that can be edited, recompiled, saved and loaded. Its modules run on the
    kernels of the emulator.

    Parameters
    ----------
    model : GraphModule
        From :func:`prepare_qat_fx`; not changed.

    Raises
    ------
    QATError
        If the model was not prepared, a tensor was never observed, or an op has no integer form.
    """
    if not any(isinstance(m, _TRAINED) for m in model.modules()):
        raise QATError(f"{type(model).__name__} was not prepared; call prepare_qat_fx first")
    made = _copied(model)
    done: dict[int, nn.Module] = {}
    for path, module in list(made.named_modules(remove_duplicate=False)):
        if isinstance(module, _TRAINED):
            new = done.get(id(module)) or _integer(path, module)
            done[id(module)] = new
            made.set_submodule(path, new)
    for node in made.graph.nodes:
        if node.op == "get_attr" and str(node.target) in dict(made.named_buffers()):
            _constant(made, str(node.target))
    mark_constants(made)
    made.eval()
    made.graph.lint()
    made.recompile()
    return made


def _copied(model: fx.GraphModule) -> fx.GraphModule:
    """Return a deep copy of the model and its graph."""
    root = nn.Module()
    memo: dict[int, Any] = {}
    for table in ("_modules", "_parameters", "_buffers"):
        setattr(root, table, copy.deepcopy(getattr(model, table), memo))
    return regraphed(model, root)


def convert_module(path: str, module: nn.Module) -> nn.Module:
    """Return the integer form of the prepared operator at `path`."""
    return _integer(path, module)


def _integer(path: str, module: Any) -> nn.Module:
    made: Any = _operator(path, module)
    steps = getattr(module, "input_post_process", None)
    if steps is not None:
        made.inputs = nn.ModuleList(functions.brings(step, path) for step in steps)
    return made  # type: ignore[no-any-return]


def _operator(path: str, module: Any) -> nn.Module:
    if isinstance(module, qat.QuantizedOperator):
        if isinstance(module.weight_fake_quant, FakeCast):
            return operators.FloatOperator(module, path)
        return operators.OPERATORS[module.variant](module, path)
    if isinstance(module, qat.DeQuantStub):
        return functions.DeQuantStub()
    if isinstance(module, qat.QuantStub):
        return functions.QuantStub(module.activation_post_process, path)
    if isinstance(module, qat.Operation):
        return functions.operation(module, path)
    if isinstance(module.activation_post_process, FakeCast):
        return functions.CastFunctional(module.activation_post_process, path)
    found = functions.FloatFunctional(module.activation_post_process, path)
    if found.scale is None:
        raise QATError(f"{path!r} has no output scale; only convolutions have a high-precision output")
    return found


def _constant(made: fx.GraphModule, path: str) -> None:
    """Make a buffer that the graph reads a parameter: the mark of a constant operand."""
    parent, _, name = path.rpartition(".")
    holder = made.get_submodule(parent)
    tensor = holder._buffers.pop(name)
    if tensor is not None:
        holder.register_parameter(name, nn.Parameter(tensor, requires_grad=False))
