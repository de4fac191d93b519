"""What a placement says: per node where it runs and why, per tensor which scale group, per edge what crosses.

Plain frozen values; the rules that fill them are in the sibling modules. Ways to change something are data (edit
dictionaries), so that this package knows nothing of the workbench that carries them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from qworkbench.errors import unknown_name
from qworkbench.travel import Travelling

On = Literal["BPU", "CPU", "NONE"]
BoundaryKind = Literal["quantize", "dequantize", "requantize", "handover"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that decided: ``kernel_h = 9 > 7``; `node` names the neighbour it is about, if any."""

    text: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """A way to change the outcome: a sentence, and the edits that do it (none: only the model's author can)."""

    text: str
    edits: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a node runs where it runs.

    Attributes
    ----------
    code : str
        Stable identifier, e.g. ``passive_without_active_consumer``.
    sentence : str
        The same for people, with names and values.
    rule : str
        The rule that was applied, in general words.
    facts : tuple of Fact
    ways : tuple of Way
        Cheapest first.
    """

    code: str
    sentence: str
    rule: str
    facts: tuple[Fact, ...] = ()
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class DtypeRequest:
    """Dtypes a user asks for; None leaves the choice to the march. `slots` are wishes for single inputs."""

    input: str | None = None
    weight: str | None = None
    output: str | None = None
    slots: tuple[tuple[int, str], ...] = ()

    def over(self, other: DtypeRequest) -> DtypeRequest:
        """Return this request, with `other` where it leaves the choice open."""
        return DtypeRequest(
            self.input or other.input,
            self.weight or other.weight,
            self.output or other.output,
            tuple(sorted({**dict(other.slots), **dict(self.slots)}.items())),
        )

    def parts(self) -> dict[str, str | None]:
        """Return what is asked, part by part, in words: ``output``, ``input``, ``input 1``, ``weight``."""
        return {
            "output": self.output,
            "input": self.input,
            **{f"input {slot}": dtype for slot, dtype in self.slots},
            "weight": self.weight,
        }

    def of_input(self, slot: int) -> str | None:
        """Return what is asked for input `slot`."""
        return dict(self.slots).get(slot, self.input)


@dataclass(frozen=True)
class Overrides:
    """What the user fixed: placement, dtypes and scales, all keyed by node name (a model input for scales, too).

    ``share_modules``: all calls of one module write by one scale, as in the training plugin; ``split`` names the
    modules that are copied for each call.
    """

    on: Mapping[str, Literal["bpu", "cpu"]] = field(default_factory=dict)
    dtypes: Mapping[str, DtypeRequest] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    share_modules: bool = False
    split: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Unit:
    """What runs as one: a node, or a fused group around a gemm-like anchor.

    Attributes
    ----------
    name : str
        Name of the node, or of the fused group (its Add's, else its anchor's).
    anchor : str
        Node whose operator it is.
    members : tuple of str
        Node names in topological order.
    tail : str
        Node whose outputs are the unit's outputs.
    bn, add, activation : str or None
        Fused members.
    residual : str or None
        Value (canonical) that a fused Add brings in.
    inputs : tuple of str
        Canonical activation values that it reads, the residual last.
    outputs : tuple of str
        Canonical values that it makes.
    """

    name: str
    op: str
    anchor: str
    members: tuple[str, ...]
    tail: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    bn: str | None = None
    add: str | None = None
    residual: str | None = None
    activation: str | None = None

    def __hash__(self) -> int:
        # of few fields: a unit is a key more often than anything else
        return hash((self.name, self.tail))

    @property
    def fused(self) -> bool:
        """Tell whether something other than a BatchNormalization is fused into the anchor."""
        return self.add is not None or self.activation is not None


@dataclass(frozen=True, slots=True)
class ScaleGroup:
    """Tensors that share one scale.

    Attributes
    ----------
    values : tuple of str
    threshold_from : tuple of str
        Values whose calibrated thresholds decide; the largest wins. Empty when `fixed_scale` is set.
    dtype : "int8" | "int16"
    fixed_scale : float or None
    fixed_by : str or None
        The name the user fixed.
    """

    values: tuple[str, ...]
    threshold_from: tuple[str, ...]
    dtype: str
    fixed_scale: float | None = None
    fixed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Boundary:
    """An edge on which numbers change form; its cost is proportional to `elements`.

    A ``handover`` (floats and indices between CPU and BPU, which change nothing but hands) is none of a placement's own
    boundaries; :mod:`qworkbench.estimate.switches` counts it.
    """

    value: str
    source: str
    target: str
    kind: BoundaryKind
    elements: int


@dataclass(frozen=True, slots=True)
class NodePlacement:
    """Where one node runs, and why.

    ``dtype`` is what its output carries; ``input_dtype`` what it reads; ``weight_dtype`` is "" for ops without weights.
    ``notes`` tell where a request was not followed.
    """

    name: str
    on: On
    reason: Reason
    quant_class: str
    unit: str
    subgraph: int | None = None
    dtype: str = "float32"
    input_dtype: str = "float32"
    weight_dtype: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placement(Travelling):
    """The outcome for a whole graph; look a node up by name, iterate over names.

    Attributes
    ----------
    nodes : Mapping of str to NodePlacement
    units : tuple of Unit
        Topological order.
    groups : tuple of ScaleGroup
    group_of : Mapping of str to int
        Canonical value -> index in `groups`; int32 tail outputs and float values are absent.
    requantized : Mapping of (value, unit) to int
        Concat inputs that change scale on their way in -> index of the group they are brought to.
    canonical : Mapping of str to str
        Value -> the value it is an alias of (through Identity, Dropout and the quantization stubs).
    boundaries : tuple of Boundary
    subgraphs : int
        Number of BPU subgraphs.
    assumptions : tuple of tuple
        (name, value, basis, text) of every parameter that is not documented in public.
    """

    march: str
    nodes: Mapping[str, NodePlacement]
    units: tuple[Unit, ...]
    groups: tuple[ScaleGroup, ...]
    group_of: Mapping[str, int]
    requantized: Mapping[tuple[str, str], int]
    canonical: Mapping[str, str]
    boundaries: tuple[Boundary, ...]
    subgraphs: int
    assumptions: tuple[tuple[str, str, str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ("nodes", "group_of", "requantized", "canonical"):
            given = getattr(self, name)
            if type(given) is not MappingProxyType:  # one that nobody writes is shared by many placements
                object.__setattr__(self, name, MappingProxyType(dict(given)))

    def __getitem__(self, name: str) -> NodePlacement:
        try:
            return self.nodes[name]
        except KeyError:
            raise unknown_name("node", name, self.nodes) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def values(self) -> tuple[NodePlacement, ...]:
        """Return the placements in topological order."""
        return tuple(self.nodes.values())

    def unit_of(self, name: str) -> Unit:
        """Return the unit that node `name` belongs to."""
        wanted = self[name].unit
        return next(unit for unit in self.units if unit.name == wanted)

    def count(self, on: On) -> int:
        """Return how many nodes run on `on`."""
        return sum(node.on == on for node in self.nodes.values())

    def group(self, value: str) -> ScaleGroup | None:
        """Return the scale group of `value` (any alias), or None where it is float or int32."""
        index = self.group_of.get(self.canonical.get(value, value))
        return None if index is None else self.groups[index]
