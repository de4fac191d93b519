"""Inputs in another dtype than their producer writes: which operators get a quantization of their own in front.

``ConvDtypeTemplate(input_dtype=qint16)`` under a float16 model, or ``get_qconfig(in_dtype=torch.float16)`` behind
integers. Where the producer writes the dtype that is asked for, nothing is added; where nothing is asked and a float16
value meets an operator on integers, it is quantized in front of it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

from qworkbench.qat.dtype import FLOAT_NAMES
from qworkbench.qat.march import check_dual, require_march
from qworkbench.qat.nn import qat
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.fuse_patterns import operands, owner_of
from qworkbench.qat.quantization.qconfig import Factory, factory_dtype
from qworkbench.qat.quantization.region import scale_source


def dtype_written(module: nn.Module | None) -> str | None:
    """Return the dtype of a prepared module's output; None where it is float32 or unknown."""
    return dtype_of(getattr(module, "activation_post_process", None))


def quantize_inputs(made: fx.GraphModule) -> None:
    """Give prepared modules whose qconfig names an input dtype what brings their inputs to it."""
    modules = dict(made.named_modules())
    for node in made.graph.nodes:
        path = str(node.target) if node.op == "call_module" else owner_of(node)
        module = modules.get(path) if path is not None else None
        if not isinstance(module, qat.ReadsInputs) or module.input_post_process is not None:
            continue
        read = _tensors(operands(node))
        if isinstance(module, qat.QuantizedOperator):
            read = read[:1]
        steps: list[nn.Module] = []
        for value, asked in zip(read, module.qconfig.inputs(len(read)), strict=True):
            given = dtype_written(scale_source(value, made))
            factory = _integers_of(module, modules) if asked is None and given == "float16" else asked
            wanted = factory_dtype(factory)
            same = factory is None or given == wanted or (given is None and wanted == "float32")
            steps.append(nn.Identity() if same or factory is None else factory())
        if any(not isinstance(step, nn.Identity) for step in steps):
            weight = getattr(module, "weight", None)
            module.input_post_process = nn.ModuleList(steps).to(None if weight is None else weight.device)


def _integers_of(module: Any, modules: dict[str, nn.Module]) -> Factory | None:
    """Return what brings a float16 input to integers: as the operator writes them itself, or else the first that does.

    None for an operator that computes in float.
    """
    if factory_dtype(module.qconfig.weight) == "float16" or factory_dtype(module.qconfig.activation) in FLOAT_NAMES:
        return None
    others = (other.qconfig for other in modules.values() if isinstance(other, qat.ReadsInputs))
    for qconfig in (module.qconfig, *others):
        if qconfig.activation is not None and factory_dtype(qconfig.activation) not in FLOAT_NAMES:
            chosen: Factory = qconfig.activation
            return chosen
    return None


def check_gemms(made: fx.GraphModule) -> None:
    """Raise for an operator with int16 input and int16 weight where the march has no such product.

    Raises
    ------
    QATError
    """
    modules = dict(made.named_modules())
    for node in made.graph.nodes:
        module: Any = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(module, qat.QuantizedOperator) or dtype_of(module.weight_fake_quant) != "qint16":
            continue
        steps = module.input_post_process
        own = None if steps is None else dtype_of(steps[0])
        if (own or dtype_written(scale_source(node.args[0], made))) == "qint16":
            check_dual(require_march(), str(node.target))


def dtype_of(post: nn.Module | None) -> str | None:
    """Return the dtype that a fake quantization or cast writes, or None."""
    return post.dtype if isinstance(post, (FakeQuantize, FakeCast)) else None


def _tensors(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found.extend(_tensors(value) if isinstance(value, (list, tuple)) else [value])
    return [value for value in found if isinstance(value, (fx.Node, Tensor))]
