"""A prepared, trained or converted model as a workbench opens it: its graph, and the state that training has decided.

Scales become fixed scales, dtypes and the parts left in float become wishes, so that the emulator computes what the
converted model computes. What a march's table does not let the emulator follow is a remark, not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qworkbench.graph.ir import Graph, Training
from qworkbench.graph.node import Node, NodeTable
from qworkbench.graph.vocabulary import family
from qworkbench.march import MARCHES
from qworkbench.numerics.arithmetic import Arithmetic
from qworkbench.placement.decided import FLOAT, Decided
from qworkbench.placement.scale_groups import keeps_scale
from qworkbench.placement.units import is_marker
from qworkbench.workbench.config import Config
from qworkbench.workbench.decided import decided_config

if TYPE_CHECKING:
    import torch

    from qworkbench.qat.twin import Twin

ANCHORS = ("Conv", "ConvTranspose", "Gemm")
KEPT_IN_TRAINING = ("Relu", "Clip", "ReduceMax", "ReduceMin", "GlobalMaxPool")
ROUNDS = 4


@dataclass(frozen=True)
class Trained:
    """What training decided, by node name.

    Attributes
    ----------
    graph : Graph
        Of the float twin; fused operators carry the names of the trained model's modules.
    decided : Mapping of str to Decided
        For nodes whose output is the output of a trained module.
    march : str or None
        The march that was set, where the workbench knows it.
    modules : Mapping of str to str
        Node -> path of the trained module that it belongs to.
    chains : tuple of str
        Paths of modules that run as several operators (Softmax, LayerNorm).
    """

    graph: Graph
    decided: Mapping[str, Decided]
    march: str | None
    modules: Mapping[str, str]
    chains: tuple[str, ...] = ()


def open_trained(model: object, example: Any, *, name: str | None = None) -> Trained | None:
    """Return what `model` is made of, or None for a model that was not prepared.

    Raises
    ------
    QATError
        If a tensor of the model was never observed.
    CaptureError
        If the model cannot be captured.
    """
    import torch

    if not isinstance(model, torch.nn.Module):
        return None  # refused where models are captured
    if not holds_training(model):
        return None
    from qworkbench.qat.twin import float_twin

    return _opened(model, example, name, float_twin(model))


def holds_training(model: object) -> bool:
    """Tell whether `model` was prepared or converted; a float model answers without loading the training side."""
    modules: Any = getattr(model, "modules", tuple)
    if not any(type(module).__module__.startswith("qworkbench.qat.nn.") for module in modules()):
        return False
    from qworkbench.qat.twin import is_trained

    return is_trained(model)


def open_prepared(model: torch.nn.Module, example: Any) -> Trained:
    """Return what a freshly prepared `model` is made of; its scales mean nothing yet."""
    from qworkbench.qat.twin import float_twin

    return _opened(model, example, None, float_twin(model, check=False))


def _opened(model: torch.nn.Module, example: Any, name: str | None, twin: Twin) -> Trained:
    from qworkbench.graph.torch_frontend import capture
    from qworkbench.qat.march import get_march as qat_march
    from qworkbench.qat.nn.composed import Composed

    graph, decided, modules = _named(capture(twin.module, example, name=name or _title(model)), twin)
    march = qat_march()
    known = march.value if march is not None and march.value in MARCHES else None
    chains = tuple(path for path, module in model.named_modules() if isinstance(module, Composed))
    return Trained(graph, decided, known, modules, chains)


def module_of_nodes(trained: Trained) -> dict[str, str]:
    """Map nodes to the trained modules that write their outputs; the pieces of a chain belong to the chain."""
    found = {}
    for node in trained.graph.nodes:
        above = [chain for chain in trained.chains if node.name == chain or node.name.startswith(f"{chain}.")]
        path = above[0] if above else trained.modules.get(node.name)
        if path is not None:
            found[node.name] = path
    return found


def _title(model: torch.nn.Module) -> str:
    return type(model).__name__.replace("GraphModuleImpl", "model")


def _named(graph: Graph, twin: Twin) -> tuple[Graph, dict[str, Decided], dict[str, str]]:
    """Give the nodes of each trained module its path, and say which one makes its output."""
    under: dict[str, list[Node]] = {}
    for node in graph.nodes:
        place_of = node.module_path or node.scope
        for path in _prefixes(place_of):
            if path in twin.decided:
                under.setdefault(path, []).append(node)
                break
    names: dict[str, str] = {}
    decided: dict[str, Decided] = {}
    weights: dict[str, Any] = {}
    for path, nodes in under.items():
        for call, members in enumerate(_calls(nodes)):
            main = next((n for n in members if n.op == "Add" and len(members) > 1), members[0])
            wanted = path if call == 0 else f"{path}#{call}"
            if len(members) == 1 or members[0].op in ANCHORS:
                names[main.name] = wanted
            last = names.get(members[-1].name, members[-1].name)
            decided[last] = twin.decided[path]
            anchor = next((n for n in members if n.op in ANCHORS), None)
            scale = twin.decided[path].weight_scale
            if anchor is not None and scale is not None:
                weights[names.get(anchor.name, anchor.name)] = scale
    taken = set(graph.nodes.names()) - set(names)
    renamed = _renamed(graph, {old: new for old, new in names.items() if new not in taken})
    carried = _propagated(renamed, decided)
    kept = frozenset(v for n in decided for v in renamed.nodes[n].outputs if decided[n].scale is not None)
    integer = _integer(renamed, under, names, carried, twin)
    modules = {names.get(n.name, n.name): path for path, nodes in under.items() for n in nodes}
    return replace(renamed, training=Training(kept, weights, integer)), decided, modules


def _integer(
    graph: Graph,
    under: Mapping[str, list[Node]],
    names: Mapping[str, str],
    carried: Mapping[str, Decided],
    twin: Twin,
) -> frozenset[str]:
    """Return the nodes that compute on integers: the members of fused modules, and what hands codes through."""
    found = {n.name for n in graph.nodes if carried[n.output].scale is not None and carried[n.output].integer}
    for path, nodes in under.items():
        what = twin.decided[path]
        if what.integer and nodes[0].op in ANCHORS:
            # what a high-precision output still computes on integers
            add = () if any(n.op in ("Relu", "Clip") for n in nodes) else ("Add",)
            high = (*ANCHORS, "BatchNormalization", *add)
            members = [n.name for n in nodes if what.scale is not None or n.op in high]
            found.update(names.get(name, name) for name in members)
    return frozenset(name for name in found if not is_marker(graph.nodes[name].op))


def _prefixes(path: str) -> list[str]:
    return [path.rsplit(".", k)[0] for k in range(path.count(".") + 1)] if path else []


def _calls(nodes: list[Node]) -> list[list[Node]]:
    """Split the nodes of one module into its calls: each begins with the operator that the module is about."""
    if nodes[0].op not in ANCHORS:
        one_each = len({n.op for n in nodes}) == 1
        return [[n] for n in nodes] if one_each else [nodes]
    found: list[list[Node]] = []
    for node in nodes:
        if node.op in ANCHORS:
            found.append([])
        found[-1].append(node)
    return found


def _renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    """Return `graph` with nodes, and the values that carry their names, called otherwise."""
    values: dict[str, str] = {}
    for node in graph.nodes:
        new = names.get(node.name)
        for value in node.outputs if new is not None else ():
            values[value] = f"{new}{value[len(node.name) :]}"

    def again(value: str | None) -> str | None:
        return None if value is None else values.get(value, value)

    nodes = tuple(
        replace(
            node,
            name=names.get(node.name, node.name),
            inputs=tuple(again(v) for v in node.inputs),
            outputs=tuple(values.get(v, v) for v in node.outputs),
        )
        for node in graph.nodes
    )
    made = {
        values.get(name, name): replace(
            value,
            name=values.get(name, name),
            producer=None if value.producer is None else names.get(value.producer, value.producer),
        )
        for name, value in graph.values.items()
    }
    outputs = tuple(values.get(v, v) for v in graph.outputs)
    return replace(graph, nodes=NodeTable(nodes), values=made, outputs=outputs)


def trained_config(trained: Trained, march: str) -> tuple[Config, list[str]]:
    """Return the configuration that computes as the converted model does, and what it could not express.

    Parameters
    ----------
    trained : Trained
    march : str
        Of the workbench.
    """
    wanted = _propagated(trained.graph, trained.decided)
    return decided_config(trained.graph, wanted, Config(march=march, arithmetic=Arithmetic(scale_denominator=128)))


def _propagated(graph: Graph, decided: Mapping[str, Decided]) -> dict[str, Decided]:
    """Map every value to what it carries: what its module decided, or what the op that keeps scales was given."""
    found: dict[str, Decided] = dict.fromkeys(graph.inputs, FLOAT)
    for node in graph.nodes:
        own = decided.get(node.name)
        first = next((found[v] for v in node.inputs if v is not None and graph.is_activation(v)), FLOAT)
        if own is not None:
            made = first if own.scale is None and node.op == "QuantizeLinear" else own
        elif keeps_scale(node.op) or node.op in KEPT_IN_TRAINING or family(node.op) == "transparent":
            made = first if first.scale is not None else FLOAT
        else:
            made = FLOAT
        found.update(dict.fromkeys(node.outputs, made))
    return found
