"""The eager forms: fuse by name, replace module by module, convert module by module; the model's code stays.

Nothing sees the graph here, so the user says what is fused, ``a + b`` is written with FloatFunctional, and every
operator with a qconfig is quantized, wherever it stands.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from qworkbench.errors import unknown_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.march import require_march
from qworkbench.qat.nn import qat
from qworkbench.qat.nn.intrinsic import fuse
from qworkbench.qat.nn.variants import CONVS
from qworkbench.qat.qat_mode import QATMode, get_qat_mode
from qworkbench.qat.quantization.absorb import absorb_bn
from qworkbench.qat.quantization.convert import convert_module
from qworkbench.qat.quantization.prepare import observe_first, trained
from qworkbench.qat.quantization.qconfig_dict import QConfigResolver, Resolver
from qworkbench.qat.quantization.region import is_dequant_stub
from qworkbench.qat.quantization.routing import is_routed
from qworkbench.qat.quantization.sites import takes_qconfig
from qworkbench.qat.quantization.tracing import is_float_functional

_NORMS = nn.modules.batchnorm._BatchNorm


def fuse_known_modules(modules: Sequence[nn.Module], additional_fuser_method_mapping: Any = None) -> list[nn.Module]:
    """Return what takes the places of conv [bn] [add] [relu]: the fused operator at the add or first, else Identity.

    Raises
    ------
    QATError
        For another sequence.
    """
    if additional_fuser_method_mapping:
        raise QATError("additional_fuser_method_mapping is not supported; write a fuser_func that returns the modules")
    conv, *rest = modules
    kinds = "".join("b" if isinstance(m, _NORMS) else "a" if is_float_functional(m) else "r" for m in rest)
    relu = next((m for m in rest if isinstance(m, (nn.ReLU, nn.ReLU6))), None)
    known = kinds in ("b", "a", "r", "ba", "br", "ar", "bar") and ("r" in kinds) == (relu is not None)
    if type(conv) not in CONVS or not known:
        names = ", ".join(type(m).__name__ for m in modules)
        raise QATError(f"cannot fuse {names}; the order is convolution or linear layer, BatchNorm, add, ReLU or ReLU6")
    bn: nn.Module | None = rest[0] if "b" in kinds else None
    if bn is not None and get_qat_mode() is QATMode.FuseBN:
        conv, bn = absorb_bn(conv, bn), None
    made = fuse(conv, bn, relu, add="a" in kinds)
    made.train(conv.training)
    place = kinds.index("a") + 1 if "a" in kinds else 0
    return [made if number == place else nn.Identity() for number in range(len(modules))]


def fuse_modules(
    model: nn.Module,
    modules_to_fuse: Sequence[Any],
    inplace: bool = False,
    fuser_func: Callable[..., Sequence[nn.Module]] = fuse_known_modules,
    fuse_custom_config_dict: Any = None,
) -> nn.Module:
    """Return `model` with the named modules fused.

    Parameters
    ----------
    model : Module
    modules_to_fuse : list of str, or list of such lists
        Names in the order in which they run: ``["conv", "bn", "relu"]``, ``["conv", "bn", "add", "relu"]`` with a
        FloatFunctional ``add``, whose ``add(x, y)`` becomes the fused operator: `x` is then what the convolution read.
    inplace : bool
        Change `model` itself.
    fuser_func : callable
        From the modules to the modules that take their places.

    Raises
    ------
    UnknownNameError, QATError
    """
    if fuse_custom_config_dict:
        raise QATError("fuse_custom_config_dict is not supported; pass a fuser_func")
    made = model if inplace else copy.deepcopy(model)
    groups = [modules_to_fuse] if modules_to_fuse and isinstance(modules_to_fuse[0], str) else modules_to_fuse
    known = {name for name, _ in made.named_modules() if name}
    for group in groups:
        for name in group:
            if name not in known:
                raise unknown_name("module", name, known)
        for name, new in zip(group, fuser_func([made.get_submodule(name) for name in group]), strict=True):
            made.set_submodule(name, new)
    return made


def prepare_qat(
    model: nn.Module, mapping: dict[type, type] | None = None, inplace: bool = False, optimize_graph: bool = False
) -> nn.Module:
    """Return `model` with its operators replaced by those of training, by their ``qconfig`` attributes.

    Parameters
    ----------
    model : Module
        A ``qconfig`` attribute counts for everything below the module that has it.
    mapping : dict, optional
        From a float class to the class that replaces it; it is built as ``cls.from_float(module, qconfig)``.
    inplace : bool
        Change `model` itself.
    optimize_graph : bool
        Must be False: there is no graph here; :func:`prepare_qat_fx` has one.

    Raises
    ------
    QATError
    """
    march = require_march()
    if optimize_graph:
        raise QATError("prepare_qat sees no graph to optimize; use prepare_qat_fx")
    made = model if inplace else copy.deepcopy(model)
    return replace_modules(made, QConfigResolver(None, made, march), mapping or {})


def replace_modules(made: nn.Module, resolve: Resolver, mapping: dict[type, type]) -> nn.Module:
    """Replace every operator in `made` that has a qconfig, in place."""
    resolve.check_names(made)
    resolve.look_at(made)
    done: dict[int, nn.Module | None] = {}
    for path, module in _operators(made):
        if id(module) not in done:
            own: Any = mapping.get(type(module))
            qconfig = resolve(path, module) if own is not None else None
            done[id(module)] = trained(path, module, resolve) if qconfig is None else own.from_float(module, qconfig)
        new = done[id(module)]
        if new is not None:
            new.train(module.training)
            made.set_submodule(path, new)
    if not any(isinstance(m, qat.QuantStub) for m in made.modules()):
        raise QATError(
            f"{type(made).__name__} has no QuantStub with a qconfig, so nothing would be quantized; add "
            "x = self.quant(x) with self.quant = QuantStub() where data enters"
        )
    observe_first(made)
    return made


def _operators(model: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Return the operators with their paths, not looking into them."""
    found = []
    for name, child in model._modules.items():
        path = f"{prefix}.{name}" if prefix else name
        if child is None:
            continue
        if takes_qconfig(child) or is_dequant_stub(child):
            found.append((path, child))
        else:
            found += _operators(child, path)
    return found


def convert(model: nn.Module, mapping: Any = None, inplace: bool = False) -> nn.Module:
    """Return the integer form of a model from :func:`prepare_qat` or :func:`prepare`, in eval mode.

    Parameters
    ----------
    model : Module
        Calibrated or trained.
    mapping
        Must be None.
    inplace : bool
        Change `model` itself.

    Raises
    ------
    QATError
        If the model was not prepared, a tensor was never observed, or an op has no integer form.
    """
    if mapping:
        raise QATError("convert takes no mapping; every operator of prepare has its integer form")
    made = model if inplace else copy.deepcopy(model)
    done: dict[int, nn.Module] = {}
    own = (qat.ReadsInputs, qat.QuantStub, qat.DeQuantStub)
    for path, module in list(made.named_modules(remove_duplicate=False)):
        if path and issubclass(type(module), own):
            if id(module) not in done:
                done[id(module)] = convert_module(path, module)
                if is_routed(module):
                    _keep_hooks(module, done[id(module)])
            made.set_submodule(path, done[id(module)])
    if not done:
        raise QATError(f"{type(model).__name__} was not prepared; call prepare or prepare_qat first")
    return made.eval()


def _keep_hooks(old: nn.Module, new: nn.Module) -> None:
    for name in ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called"):
        new.__dict__[name] = old.__dict__[name].copy()
