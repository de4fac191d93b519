"""``prepare_qat_fx``: fuse a model and give every quantized operator its fake quantization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from qworkbench.errors import unknown_name
from qworkbench.nn import FloatFunctional
from qworkbench.qat.errors import QATError
from qworkbench.qat.march import require_march
from qworkbench.qat.nn import qat
from qworkbench.qat.nn.composed import Composed, composed
from qworkbench.qat.nn.intrinsic import Fused
from qworkbench.qat.nn.variants import CONVS, Variant
from qworkbench.qat.quantization.fuse import fuse_traced
from qworkbench.qat.quantization.fuse_patterns import owner_of
from qworkbench.qat.quantization.inputs import check_gemms, quantize_inputs
from qworkbench.qat.quantization.qconfig_dict import QConfigResolver, Resolver, with_hybrid
from qworkbench.qat.quantization.region import (
    FUNCTIONS,
    UNTOUCHED,
    function_name,
    is_dequant_stub,
    is_quant_stub,
    keeps_scale,
    region,
    scale_source,
)
from qworkbench.qat.quantization.tracing import is_float_functional, trace
from qworkbench.qat.utils.fx_helper import WrappedMethod


def prepare_qat_fx(
    model: nn.Module,
    qconfig_dict: Mapping[str, Any] | None = None,
    prepare_custom_config_dict: Mapping[str, Any] | None = None,
    optimize_graph: bool = False,
    hybrid: bool = False,
    hybrid_dict: Mapping[str, Any] | None = None,
) -> fx.GraphModule:
    """Return `model` fused and ready for calibration or quantization-aware training.

    Operators between QuantStub and DeQuantStub get fake quantization. What only moves data or keeps the scale (ReLU
    alone, max pooling, reshape, resize) gets none.

    Parameters
    ----------
    model : Module
        In float; not changed, but the result shares its parameters, so copy it first if both are needed.
    qconfig_dict : mapping, optional
        ``{"": qconfig, "module_type": {type: qconfig}, "module_name": {name: qconfig}}`` (or lists of pairs); later
        keys win, and a module's own ``qconfig`` attribute wins over all. None in place of a qconfig keeps a module
        in float.
    prepare_custom_config_dict : mapping, optional
        ``{"preserved_attributes": [name, ...]}``: attributes of the model that the result keeps.
    optimize_graph : bool
        Must be False: what the option does to a graph is not public.
    hybrid : bool
        Keep the modules of `hybrid_dict` in float; they run on the CPU.
    hybrid_dict : mapping, optional
        ``{"module_name": [name, ...], "module_type": [type, ...]}``.

    Raises
    ------
    QATError
        If no march is set, no qconfig is given, calibration and QAT qconfigs are mixed, a dtype is not of the march,
        or the model has no QuantStub.
    UnknownNameError
        If a ``module_name`` does not exist.
    """
    march = require_march()
    if optimize_graph:
        raise QATError("optimize_graph is not simulated, since what it changes is not public; leave it False")
    if hybrid_dict and not hybrid:
        raise QATError("hybrid_dict names modules that stay in float; pass hybrid=True as well")
    made = trace(model)
    fuse_traced(made)
    resolve = QConfigResolver(with_hybrid(qconfig_dict, model, hybrid_dict or {}), model, march)
    made = prepare_traced(made, resolve, training=model.training)
    for name in (prepare_custom_config_dict or {}).get("preserved_attributes", ()):
        if not hasattr(model, name):
            raise unknown_name("attribute to preserve", name, list(vars(model)))
        setattr(made, name, getattr(model, name))
    return made


def prepare_traced(
    made: fx.GraphModule, resolve: Resolver, *, training: bool, everything: bool = False
) -> fx.GraphModule:
    """Give the operators of the fused `made` their fake quantization, in place.

    Parameters
    ----------
    made : GraphModule
    resolve : Resolver
    training : bool
        Mode that the result has.
    everything : bool
        Also what lies before a QuantStub or behind a DeQuantStub.
    """
    calls_to_modules(made)
    resolve.check_names(made)
    resolve.look_at(made)
    _replace(made, resolve, everything=everything)
    quantize_inputs(made)
    check_gemms(made)
    made.train(training)
    observe_first(made)
    made.graph.lint()
    made.recompile()
    return made


def observe_first(made: nn.Module) -> None:
    """Let fresh fake quantization observe, also in a model that was prepared in eval mode."""
    from qworkbench.qat.quantization.fake_quantize import FakeQuantize

    for module in made.modules():
        if isinstance(module, FakeQuantize):
            module.set_state(module.start)


def calls_to_modules(made: fx.GraphModule) -> None:
    """Give functions with an output of their own scale (``torch.sigmoid(x)``, ``x.mean(1)``) a module and a name."""
    quantized = region(made)
    counts: dict[str, int] = {}
    for node in list(made.graph.nodes):
        name = function_name(node).removesuffix("_") if node.op in ("call_function", "call_method") else ""
        if node not in quantized or name not in FUNCTIONS or keeps_scale(node, None):
            continue
        while f"_generated_{name}_{counts.setdefault(name, 0)}" in made._modules:
            counts[name] += 1
        path = f"_generated_{name}_{counts[name]}"
        made.add_module(path, qat.FunctionCall(node.target))
        node.op, node.target = "call_module", path


def _replace(made: fx.GraphModule, resolve: Resolver, *, everything: bool = False) -> None:
    quantized = region(made)
    known = dict(made.named_modules())
    done: dict[int, nn.Module] = {}
    stubs = 0
    for node in made.graph.nodes:
        if node.op == "call_module":
            path = str(node.target)
        else:
            owner = owner_of(node)
            if owner is None or owner not in known:
                continue
            path = owner
        module = made.get_submodule(path)
        if id(module) in done:
            made.set_submodule(path, done[id(module)])
            continue
        inside = everything or node in quantized
        follows = is_quant_stub(module) and any(source in quantized for source in node.all_input_nodes)
        new = trained(path, module, resolve, follows=follows) if inside or is_dequant_stub(module) else None
        stubs += is_quant_stub(module)
        if new is not None:
            new.training = module.training
            done[id(module)] = done[id(new)] = new
            made.set_submodule(path, new)
        if follows and isinstance(new, qat.QuantStub):
            source = getattr(scale_source(node.args[0], made), "activation_post_process", None)
            new.follow(source)
    wrapped = [module for module in made.modules() if isinstance(module, WrappedMethod)]
    for holder in wrapped:
        stubs += _replace_inside(made, holder, resolve, done)
    if not stubs:
        raise QATError(
            f"{type(made).__name__} has no QuantStub, so nothing would be quantized; add "
            "x = self.quant(x) with self.quant = QuantStub() where data enters"
        )


def trained(path: str, module: nn.Module, resolve: Resolver, *, follows: bool = False) -> nn.Module | None:
    """Return the training form of `module`, or None where it stays as it is."""
    if is_dequant_stub(module):
        return qat.DeQuantStub()
    if isinstance(module, (qat.QuantizedOperator, qat.FloatFunctional, qat.Operation, qat.QuantStub, Composed)):
        raise QATError(f"{path!r} is prepared already; prepare the float model")
    if type(module).__name__ in {k.__name__ for k in _keeps()} or isinstance(module, (*UNTOUCHED, WrappedMethod)):
        return None
    qconfig = resolve(path, module)
    if qconfig is None:
        return None
    if is_quant_stub(module):
        scale = getattr(module, "scale", None)
        if follows and scale is not None:
            raise QATError(f"{path!r} quantizes data that is quantized; a QuantStub at a cut needs scale=None")
        return qat.QuantStub(qconfig, scale, follows=follows)
    if isinstance(module, Fused):
        return qat.OPERATORS[module.variant].from_float(module, qconfig)  # type: ignore[no-any-return]
    kind = next((k for k in CONVS if type(module) is k), None)
    if kind is not None:
        return qat.OPERATORS[Variant(kind)].from_float(module, qconfig)  # type: ignore[no-any-return]
    if is_float_functional(module):
        return qat.FloatFunctional(qconfig)
    return composed(module, qconfig) or qat.Operation(module, qconfig)


def _keeps() -> tuple[type[nn.Module], ...]:
    from qworkbench.qat.quantization.region import KEEPS_SCALE

    return KEEPS_SCALE


def _replace_inside(made: fx.GraphModule, holder: WrappedMethod, resolve: Resolver, done: dict[int, nn.Module]) -> int:
    """Replace the operators that a wrapped method calls; return how many of them are QuantStubs.

    An operator that the graph calls, too, is the graph's one.
    """
    stubs = 0
    outside = {path: module for path, module in made.named_modules() if type(module) is not nn.Module and path}
    for path, module in list(holder.owner.named_modules()):
        new = outside.get(f"{holder.path}.{path}" if holder.path else path, done.get(id(module)))
        if new is None and path and (isinstance(module, (*CONVS, FloatFunctional)) or is_quant_stub(module)):
            new = trained(path, module, resolve)
            stubs += is_quant_stub(module)
            if new is not None:
                done[id(module)] = done[id(new)] = new
        if new is not None and new is not module:
            holder.owner.set_submodule(path, new)
    return stubs
