"""The graph: a flat list of small frozen values in topological order, the same for every front end.

Weights stay references into the user's live module (``Value.ref``); an edit returns a new graph that shares every
node and value it did not touch. Fusion, placement, dtypes and scales are overlays keyed by node name and are not
known here. See :mod:`qworkbench.graph.vocabulary` for the operators and their attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from qworkbench.errors import QWorkbenchError, unknown_name
from qworkbench.graph.node import Node, NodeTable, Value, resolve
from qworkbench.travel import Travelling

if TYPE_CHECKING:
    import networkx as nx
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a model that was trained with quantization brings along, or a stage of a larger one.

    Attributes
    ----------
    kept : frozenset of str
        Values with a scale of their own, so that nothing may be fused across them.
    weight_scales : Mapping of str to torch.Tensor
        Scales per output channel, float32, of the weight of a node.
    integer : frozenset of str
        Nodes that compute on integers, whatever the converter's table of ops says.
    by : str
        Who decided so: "training", or "the whole model" for a stage of one.
    """

    kept: frozenset[str] = frozenset()
    weight_scales: Mapping[str, torch.Tensor] = field(default_factory=dict)
    integer: frozenset[str] = frozenset()
    by: str = "training"


@dataclass(frozen=True, eq=False)
class Graph(Travelling):
    """A model as named operators.

    Pickled, it carries its weights by value and no module.

    Attributes
    ----------
    nodes : NodeTable
    values : Mapping of str to Value
    inputs : tuple of str
        Value names of the model's tensor inputs, in call order.
    outputs : tuple of str
        Value names of the model's tensor outputs, flattened; `output_names` are what tables print.
    output_names : tuple of str
    root : torch.nn.Module or None
        Owner of parameters and buffers (None for a graph whose weights are all constants).
    batch : int
        Batch size of the example: what ``Sym`` stands for unless a run says otherwise.
    source : "torch" | "onnx"
    in_spec, out_spec : object
        pytree specs that turn call arguments into the flat inputs, and flat outputs into what the model returned.
    call_counts : Mapping of str to int
        How often each leaf module was called.
    tensor_names : Mapping of str to str
        What an ONNX file calls each value; empty for other sources.
    training : Training
        What quantization-aware training has decided; empty for a float model.
    """

    nodes: NodeTable
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    root: torch.nn.Module | None = None
    batch: int = 1
    source: Literal["torch", "onnx"] = "torch"
    in_spec: Any = None
    out_spec: Any = None
    call_counts: Mapping[str, int] = field(default_factory=dict)
    name: str = "model"
    tensor_names: Mapping[str, str] = field(default_factory=dict)
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def __getstate__(self) -> dict[str, Any]:
        used = {
            value for node in self.nodes for value in node.inputs if value is not None and not self.is_activation(value)
        }
        own = {name: replace(self.values[name], data=self.tensor(name).detach(), ref=None, rows=None) for name in used}
        return {**super().__getstate__(), "root": None, "values": {**self.values, **own}}

    # -- queries ----------------------------------------------------------------------------------------------------
    @cached_property
    def _users(self) -> dict[str, tuple[tuple[Node, int], ...]]:
        users: dict[str, list[tuple[Node, int]]] = {}
        for node in self.nodes:
            for slot, name in enumerate(node.inputs):
                if name is not None:
                    users.setdefault(name, []).append((node, slot))
        return {k: tuple(v) for k, v in users.items()}

    def users(self, value: str) -> tuple[tuple[Node, int], ...]:
        """Return every (node, input slot) that reads `value`, in topological order."""
        return self._users.get(value, ())

    def producer(self, value: str | None) -> Node | None:
        """Return the node that makes `value`; None for inputs, parameters, constants and absent inputs."""
        if value is None:
            return None
        name = self.values[value].producer
        return None if name is None else self.nodes[name]

    def is_activation(self, value: str | None) -> bool:
        """Tell whether `value` depends on the model's inputs (input or activation, not a weight or constant)."""
        return value is not None and self.values[value].kind in ("input", "activation")

    def data_inputs(self, node: Node) -> tuple[str, ...]:
        """Return the inputs of `node` that are activations or model inputs."""
        return tuple(v for v in node.inputs if v is not None and self.is_activation(v))

    def predecessors(self, node: Node) -> tuple[Node, ...]:
        """Return the distinct nodes that feed `node`, in input order."""
        found = (self.producer(v) for v in node.inputs)
        return tuple(dict.fromkeys(n for n in found if n is not None))

    def shape(self, value: str, batch: int | None = None) -> tuple[int, ...]:
        """Return the shape of `value` with the batch filled in (the example's unless `batch` is given)."""
        return tuple(resolve(self.values[value].shape, self.batch if batch is None else batch))

    def tensor(self, value: str) -> torch.Tensor:
        """Return the live tensor of a parameter, buffer or constant."""
        entry = self.values[value]
        if entry.data is not None:
            return entry.data
        if entry.ref is None or self.root is None:
            raise QWorkbenchError(f"value {value!r} is a {entry.kind}; it has no content outside a run")
        found: Any = self.root
        for part in entry.ref.split("."):
            found = getattr(found, part)
        tensor: torch.Tensor = found
        return tensor if entry.rows is None else tensor[entry.rows[0] : entry.rows[1]]

    @cached_property
    def nx(self) -> nx.DiGraph:
        """Read-only networkx view keyed by node name; edges carry the value that flows."""
        import networkx as nx

        view = nx.DiGraph()
        for node in self.nodes:
            view.add_node(node.name, op=node.op)
        for node in self.nodes:
            for value in node.inputs:
                producer = self.producer(value)
                if producer is not None:
                    view.add_edge(producer.name, node.name, value=value)
        return nx.freeze(view)

    def cone(self, names: Iterable[str]) -> frozenset[str]:
        """Return the nodes in `names` and everything downstream of them."""
        import networkx as nx

        found: set[str] = set()
        for name in names:
            if name not in self.nodes:
                raise unknown_name("node", name, self.nodes.names())
            if name not in found:
                found |= {name} | nx.descendants(self.nx, name)
        return frozenset(found)

    # -- change -----------------------------------------------------------------------------------------------------
    def with_nodes(
        self,
        nodes: Iterable[Node],
        values: Iterable[Value] = (),
        *,
        outputs: tuple[str, ...] | None = None,
    ) -> Graph:
        """Return a graph with these `nodes` (topological order), `values` added or replaced, unused values dropped."""
        table = NodeTable(nodes)
        merged = {**self.values, **{v.name: v for v in values}}
        new_outputs = self.outputs if outputs is None else outputs
        used = set(self.inputs) | set(new_outputs)
        for node in table:
            used.update(v for v in node.inputs if v is not None)
            used.update(node.outputs)
        graph = replace(self, nodes=table, values={k: v for k, v in merged.items() if k in used}, outputs=new_outputs)
        graph.check()
        return graph

    def check(self) -> None:
        """Verify the invariants: single assignment, topological order, producers, known outputs.

        Raises
        ------
        QWorkbenchError
            Naming the first node or value that breaks one.
        """
        ready = {name for name, value in self.values.items() if value.kind != "activation"}
        for node in self.nodes:
            for name in node.inputs:
                if name is not None and name not in ready:
                    raise QWorkbenchError(f"node {node.name!r} reads {name!r} before it is made")
            for name in node.outputs:
                if name in ready:
                    raise QWorkbenchError(f"value {name!r} is made twice, last by {node.name!r}")
                if self.values[name].producer != node.name:
                    raise QWorkbenchError(f"value {name!r} does not name {node.name!r} as its producer")
                ready.add(name)
        for name in self.outputs:
            if name not in ready:
                raise QWorkbenchError(f"model output {name!r} is made by no node")
