"""The parts of a graph: dimensions that follow the batch, values, nodes, and the table of nodes.

Small and frozen; what holds for them together is :mod:`qworkbench.graph.ir`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from qworkbench.errors import QWorkbenchError, unknown_name

if TYPE_CHECKING:
    import torch

ValueKind = Literal["input", "activation", "parameter", "buffer", "constant"]


@dataclass(frozen=True, slots=True)
class Sym:
    """A dimension that follows the batch: ``factor * batch``."""

    factor: int = 1

    def __str__(self) -> str:
        return "B" if self.factor == 1 else f"{self.factor}*B"


Dim = int | Sym
Shape = tuple[Dim, ...]


def resolve(value: Any, batch: int) -> Any:
    """Replace every :class:`Sym` inside `value` (nested tuples and lists too) by ``factor * batch``."""
    if isinstance(value, Sym):
        return value.factor * batch
    if isinstance(value, (tuple, list)):
        return type(value)(resolve(v, batch) for v in value)
    return value


def _follows_batch(value: Any) -> bool:
    return any(map(_follows_batch, value)) if isinstance(value, (tuple, list)) else isinstance(value, Sym)


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One tensor of the graph.

    Attributes
    ----------
    name : str
        Unique. A node's only output carries the node's name; several outputs are ``name:0``, ``name:1`` ...
    kind : "input" | "activation" | "parameter" | "buffer" | "constant"
    shape : tuple of int or Sym
        ``Sym`` marks dimensions that follow the batch.
    dtype : str
        torch dtype without the prefix: ``"float32"``, ``"int64"``, ``"bool"``.
    producer : str or None
        Name of the node that makes it.
    ref : str or None
        Dotted path of a parameter or buffer in ``Graph.root``.
    data : torch.Tensor or None
        Content of a constant.
    rows : tuple of (int, int) or None
        The part of `ref` along its first axis, first row and one past the last (``in_proj_weight`` of an attention
        holds three weights); None for the whole tensor.
    stored : tuple of float or None
        Scales, one or one per channel, of the symmetric int8 codes that a quantized file stores a weight with.
    """

    name: str
    kind: ValueKind
    shape: Shape
    dtype: str = "float32"
    producer: str | None = None
    ref: str | None = None
    data: torch.Tensor | None = None
    rows: tuple[int, int] | None = None
    stored: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator call.

    Attributes
    ----------
    name : str
        What the user wrote: ``layer1.0.conv1``, ``layer1.0.relu#1`` (second call), ``layer1.0._generated_add_0``.
    op : str
        ONNX operator name, or ``"Opaque"`` for a call that is carried through and run by torch on the CPU.
    inputs, outputs : tuple of str
        Value names; ``None`` marks an absent optional input.
    attrs : Mapping
        JSON-able attributes, as :mod:`qworkbench.graph.vocabulary` defines them for `op`.
    module_path, module_class : str or None
        Leaf module the call came from (``layer1.0.conv1``, ``Conv2d``); None for functional calls.
    call_index : int
        0 for the first call of that module, 1 for the second ...
    scope : str
        Innermost module that contains the call.
    source_op : str
        ``nn.Conv2d``, ``torch.cat``, ``onnx:Conv``.
    location : tuple of (str, int) or None
        The user's file and line.
    parent : str or None
        Composite that this node was expanded from (attention, LSTM cell ...).
    call : callable or None
        Runs an ``Opaque`` node: ``call(*tensors) -> tensor or tuple of tensors``.
    """

    name: str
    op: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    module_path: str | None = None
    module_class: str | None = None
    call_index: int = 0
    scope: str = ""
    source_op: str = ""
    location: tuple[str, int] | None = None
    parent: str | None = None
    call: Callable[..., Any] | None = None
    _fixed: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fixed", not any(map(_follows_batch, self.attrs.values())))

    def attributes(self, batch: int) -> Mapping[str, Any]:
        """Return the attributes with the batch filled in."""
        return self.attrs if self._fixed else {key: resolve(value, batch) for key, value in self.attrs.items()}

    @property
    def output(self) -> str:
        """Name of the first output value."""
        return self.outputs[0]


class NodeTable:
    """The nodes in topological order: iterate over nodes, look one up by name, test a name with ``in``."""

    __slots__ = ("_by_name",)

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._by_name: dict[str, Node] = {}
        for node in nodes:
            if node.name in self._by_name:
                raise QWorkbenchError(f"two nodes are named {node.name!r}")
            self._by_name[node.name] = node

    def __iter__(self) -> Iterator[Node]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Node:
        try:
            return self._by_name[name]
        except KeyError:
            raise unknown_name("node", name, self._by_name) from None

    def get(self, name: str) -> Node | None:
        """Return the node called `name`, or None."""
        return self._by_name.get(name)

    def names(self) -> tuple[str, ...]:
        """Return the names in topological order."""
        return tuple(self._by_name)

    def __repr__(self) -> str:
        return f"<{len(self)} nodes: {', '.join(list(self._by_name)[:6])}{' ...' if len(self) > 6 else ''}>"
