"""From a model to a torch.fx.GraphModule whose additions, products and concatenations are named modules.

``a + b`` becomes a call of ``_generated_add_0.add``, so that it can be fused and quantized like any operator. The
result shares operators with the model; the model itself is not changed.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.fx.graph import CodeGen, PythonCode

from qworkbench.nn import FloatFunctional
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn.base import OwnModule
from qworkbench.qat.utils.fx_helper import WrappedMethod, skeleton
from qworkbench.qat.utils.quant_switch import pop_tracer, push_tracer

METHODS = ("add", "sub", "mul", "matmul", "cat", "add_scalar", "mul_scalar", "add_relu")
BINARY: dict[Any, str] = {
    operator.add: "add", operator.iadd: "add", torch.add: "add", "add": "add", "add_": "add",
    operator.sub: "sub", operator.isub: "sub", torch.sub: "sub", "sub": "sub", "sub_": "sub",
    operator.mul: "mul", operator.imul: "mul", torch.mul: "mul", "mul": "mul", "mul_": "mul",
    operator.matmul: "matmul", torch.matmul: "matmul", torch.bmm: "matmul", "matmul": "matmul", "bmm": "matmul",
}  # fmt: skip
CONCATS = (torch.cat, torch.concat, torch.concatenate)
_NOT_TENSORS = ("size", "dim", "numel", "item", "tolist", "keys", "values", "items", "__len__")
_STUBS = ("QuantStub", "DeQuantStub")


def is_float_functional(module: object) -> bool:
    """Tell whether `module` is a FloatFunctional: ours, a quantized form of it, or torch's."""
    return (isinstance(module, nn.Module) and getattr(type(module), "float_functional", False) is True) or (
        type(module).__name__ in ("FloatFunctional", "QFunctional")
    )


class ModuleCalls(CodeGen):
    """Prints the call of a generated module as ``add_1 = _generated_add_0(x, y)`` behind the line that names it."""

    def _gen_python_code(self, *args: Any, **kwargs: Any) -> PythonCode:
        code = super()._gen_python_code(*args, **kwargs)
        pattern = re.compile(r"^( +)((?!_generated)\w+) = self\.(_generated_\w+)\((.*)$", re.MULTILINE)
        code.src = pattern.sub(r"\1\3 = self.\3\n\1\2 = \3(\4", code.src)
        return code


class QuantTracer(fx.Tracer):
    """fx's tracer with the leaves of this package: its own modules, stubs, FloatFunctional, wrapped calls."""

    def __init__(self) -> None:
        super().__init__()
        self.added: dict[str, nn.Module] = {}
        self._memo: dict[int, nn.Module] = {}
        self._paths: dict[int, str] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Treat operators of torch, stubs and the package's own modules as one node."""
        return (
            type(m).__name__ in _STUBS
            or isinstance(m, (OwnModule, WrappedMethod))
            or is_float_functional(m)
            or super().is_leaf_module(m, module_qualified_name)
        )

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """Trace `root`; annotations that are strings are dropped, since fx cannot save them."""
        self._paths = {id(module): path for path, module in root.named_modules()}
        push_tracer(self)
        try:
            with _recording(root, self):
                graph = super().trace(root, concrete_args)
        finally:
            pop_tracer()
        for node in graph.nodes:
            node.type = None if isinstance(node.type, str) else node.type
        return graph

    def wrapped(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a call of a wrapped function, or of a wrapped method of some module of the model."""
        if not args or not isinstance(args[0], nn.Module):
            return self.create_proxy("call_function", function, args, kwargs)
        owner = skeleton(args[0], lambda m: self.is_leaf_module(m, "") and not isinstance(m, nn.Sequential), self._memo)
        name = f"_wrapped_{function.__name__.strip('_')}_{len(self.added)}"
        self.added[name] = WrappedMethod(function, owner, self._paths.get(id(args[0]), ""))
        return self.create_proxy("call_module", name, args[1:], kwargs)

    def functional(self, path: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Proxy:
        """Record ``path.method(*args)`` as the module and the call of its method."""
        owner = self.create_proxy("get_attr", path, (), {})
        return self.create_proxy("call_method", method, (owner, *args), kwargs)


@contextmanager
def _recording(model: nn.Module, tracer: QuantTracer) -> Iterator[None]:
    """Make the methods of every FloatFunctional in `model` write themselves down while it is traced."""
    shadowed: list[tuple[nn.Module, str]] = []
    try:
        for path, module in model.named_modules():
            if not is_float_functional(module):
                continue
            for method in [name for name in METHODS if hasattr(module, name)]:

                def call(*args: Any, _path: str = path, _method: str = method, **kwargs: Any) -> fx.Proxy:
                    return tracer.functional(_path, _method, args, kwargs)

                module.__dict__[method] = call
                shadowed.append((module, method))
        yield
    finally:
        for module, method in shadowed:
            module.__dict__.pop(method, None)


def trace(model: nn.Module) -> fx.GraphModule:
    """Return `model` as a GraphModule with generated modules for its arithmetic.

    Raises
    ------
    QATError
        If fx cannot follow the model; the text names its reason and the ways out.
    """
    tracer = QuantTracer()
    try:
        graph = tracer.trace(model)
    except QATError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise QATError(
            f"{type(model).__name__} cannot be traced by fx: {reason}; put the code that depends on values into a "
            "method decorated with utils.fx_helper.wrap()"
        ) from error
    root = _Root(model, tracer.added)
    made = fx.GraphModule(root, graph, class_name=type(model).__name__)
    made.training = model.training
    if hasattr(model, "qconfig"):
        made.qconfig = model.qconfig
    _generate(made)
    _reorder(made, model)
    made.graph.set_codegen(ModuleCalls())
    made.recompile()
    return made


def regraphed(model: fx.GraphModule, root: nn.Module) -> fx.GraphModule:
    """Return the modules, parameters and buffers of `root` under a copy of the graph of `model`; not yet compiled.

    Every child of `root` stays, in its order, those outside the graph included.
    """
    graph = fx.Graph(tracer_cls=QuantTracer)
    output: Any = graph.graph_copy(model.graph, {})
    graph.output(output)
    made = fx.GraphModule(root, graph, class_name=type(model).__name__)
    made._modules = root._modules
    made.graph.set_codegen(ModuleCalls())
    return made


class _Root(nn.Module):
    """The model's modules and attributes by their paths, and those that tracing added."""

    def __init__(self, model: nn.Module, added: dict[str, nn.Module]) -> None:
        super().__init__()
        self.__dict__.update({k: v for k, v in model.__dict__.items() if k not in ("_modules", "_graph", "_code")})
        self._modules = {**model._modules, **added}


def _reorder(made: nn.Module, like: nn.Module) -> None:
    """Put the children of `made` into the order in which the user defined them."""
    order = {name: i for i, name in enumerate(like._modules)}
    made._modules = dict(sorted(made._modules.items(), key=lambda item: order.get(item[0], len(order))))
    for name, child in made._modules.items():
        original = like._modules.get(name)
        if child is not None and original is not None and type(child) is nn.Module:
            _reorder(child, original)


def is_tensor(node: Any, modules: dict[str, nn.Module]) -> bool:
    """Tell whether `node` is a tensor rather than a size, a number or a container, as far as the graph shows it."""
    if not isinstance(node, fx.Node):
        return False
    if node.op == "call_method":
        return node.target not in _NOT_TENSORS
    if node.op == "call_function":
        if node.target is getattr:
            return False
        if node.target is operator.getitem:
            source = node.args[0]
            return is_tensor(source, modules) or (isinstance(source, fx.Node) and source.op == "placeholder")
        if getattr(node.target, "__module__", "") in ("_operator", "operator", "math", "builtins"):
            return any(is_tensor(arg, modules) for arg in node.all_input_nodes)
    if node.op == "get_attr":
        return str(node.target) not in modules
    return node.op != "output"


def _generate(made: fx.GraphModule) -> None:
    """Replace functions of two tensors by methods of generated FloatFunctional modules."""
    modules = dict(made.named_modules())
    counts: dict[str, int] = {}
    for node in list(made.graph.nodes):
        found = _functional_call(node, modules)
        if found is None:
            continue
        method, args = found
        kind = method.removesuffix("_scalar")
        while f"_generated_{kind}_{counts.get(kind, 0)}" in made._modules:
            counts[kind] = counts.get(kind, 0) + 1
        name = f"_generated_{kind}_{counts.get(kind, 0)}"
        counts[kind] = counts.get(kind, 0) + 1
        made.add_module(name, FloatFunctional())
        with made.graph.inserting_before(node):
            owner = made.graph.get_attr(name)
            call = made.graph.call_method(method, (owner, *args))
        node.replace_all_uses_with(call)
        made.graph.erase_node(node)


def _functional_call(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[str, tuple[Any, ...]] | None:
    """Return the FloatFunctional method and its arguments that `node` stands for."""
    if node.op == "call_function" and node.target in CONCATS:
        tensors = node.args[0] if node.args else node.kwargs["tensors"]
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        return "cat", (tensors, dim)
    if node.op not in ("call_function", "call_method") or node.target not in BINARY or len(node.args) != 2:
        return None
    left, right = node.args
    if node.op == "call_method" and isinstance(left, fx.Node) and left.op == "get_attr" and str(left.target) in modules:
        return None
    method = BINARY[node.target]
    if node.kwargs.get("alpha", 1) != 1 or set(node.kwargs) - {"alpha"}:
        return None
    tensors = [is_tensor(left, modules), is_tensor(right, modules)]
    if all(tensors):
        return method, (left, right)
    number = right if tensors[0] else left
    if not any(tensors) or not isinstance(number, (int, float)) or method == "matmul":
        return None
    tensor = left if tensors[0] else right
    if method == "sub":
        return ("add_scalar", (tensor, -number)) if tensors[0] else None
    return f"{method}_scalar", (tensor, number)
