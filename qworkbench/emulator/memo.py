"""What one plan of a model can take over from the plans before it: weights in codes, tables, whole lowered units.

A unit is lowered from what it reads of the builder: its nodes and their constants, its placement, and the form and
scale of the tensors around it. Where all of that is as it was, its steps are the same steps, with their digests. Knows
no operator.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import is_not
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from qworkbench.emulator.fingerprint import digest
from qworkbench.emulator.plan import Quantity, Step
from qworkbench.graph.freshness import WeightWatch, writes_of
from qworkbench.numerics.dtypes import scale_from_threshold

if TYPE_CHECKING:
    from qworkbench.emulator.splice import Spliced
    from qworkbench.graph.ir import Graph
    from qworkbench.placement.types import ScaleGroup, Unit

Folded = TypeVar("Folded")
V = TypeVar("V")

KEPT = 4096
NO_QUANTITY = Quantity("", np.empty(0, np.float32))
GRAPHS = 8


class Written(dict[str, V]):
    """A dict that remembers what is written to it by key, so that nobody has to compare it with what it was."""

    def __init__(self, given: Mapping[str, V] | None = None) -> None:
        super().__init__(given or {})
        self._written: dict[str, V] = {}

    def __setitem__(self, key: str, value: V) -> None:
        super().__setitem__(key, value)
        self._written[key] = value

    def taken(self) -> dict[str, V]:
        """Return what was written since this was last asked."""
        found, self._written = self._written, {}
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """What lowering one unit added to the builder.

    Attributes
    ----------
    steps : tuple of Step
    added : tuple of (int, Mapping)
        Which of the builder's tables got new entries, and these.
    parts : tuple of (str, float)
        Thresholds of inner tensors that were read, which say when all of this holds.
    """

    steps: tuple[Step, ...]
    added: tuple[tuple[int, Mapping[str, Any]], ...]
    parts: tuple[tuple[str, float], ...]

    def holds(self, threshold: Callable[[str], float]) -> bool:
        """Tell whether the inner thresholds are still the same."""
        return not self.parts or all(threshold(name) == value for name, value in self.parts)


class PlanMemo:
    """Kept between two plans of the same model, by one thread at a time.

    Parameters
    ----------
    guarded : bool
        The caller makes a new memo when weights of the model are written; otherwise every plan looks for that.
    """

    def __init__(self, *, guarded: bool = False) -> None:
        self._guarded = guarded
        self._held: dict[Any, Any] = {}
        self._quantities: dict[Hashable, Quantity] = {}
        self._lowered: dict[Hashable, Lowered] = {}
        self._groups: tuple[ScaleGroup, ...] = ()
        self._made: list[Quantity] = []
        self._fleeting: set[int] = set()
        self._given: tuple[object, object] = (None, None)
        self.former: Spliced | None = None
        self._folded: dict[Hashable, Any] = {}
        self._graphs: dict[int, tuple[Graph, dict[Unit, object]]] = {}
        self._tokens: dict[Hashable, object] = {}
        self._weights: WeightWatch | None = None

    def get(self, key: Any, make: Any) -> Any:
        """Return the value under `key`, made by `make()` the first time."""
        if key not in self._held:
            self._held[key] = make()
        return self._held[key]

    def tensor_digest(self, tensor: Any) -> bytes:
        """Return the content digest of a torch tensor, remembered until the tensor changes."""
        key = ("digest", id(tensor), tensor.data_ptr(), writes_of(tensor), tuple(tensor.shape))
        # the tensor itself is kept beside its digest, so that its id cannot be reused
        found: tuple[bytes, Any] = self.get(key, lambda: (digest(tensor), tensor))
        return found[0]

    def outdated(self) -> bool:
        """Tell whether any weight that a plan was made of has other content by now; reads all of them."""
        digests = (found for key, found in self._held.items() if key[0] == "digest")
        return any(digest(tensor) != known for known, tensor in digests)

    def quantity(self, dtype: str, scale: np.ndarray | float, axis: int = 1) -> Quantity:
        """Return a quantity, of one scale or several; equal ones are the same object."""
        key = (dtype, float(scale) if isinstance(scale, (float, np.floating)) else scale.tobytes(), axis)
        found = self._quantities.get(key)
        if found is None:
            held = np.asarray(scale, np.float32).reshape(-1)
            found = self._quantities[key] = Quantity(dtype, held, axis)
        return found

    def scale_of(self, threshold: float, dtype: str, denominator: int) -> Quantity:
        """Return the quantity of a per-tensor threshold; equal ones are the same object."""
        key = (threshold, dtype, denominator)
        found = self._quantities.get(key)
        if found is None:
            scale = scale_from_threshold(threshold, dtype, denominator)
            found = self._quantities[key] = self.quantity(dtype, float(np.float32(scale)))
        return found

    def of_groups(
        self,
        groups: Sequence[ScaleGroup],
        given: tuple[object, object],
        make: Callable[[ScaleGroup], tuple[Quantity, bool]],
    ) -> list[Quantity]:
        """Return the quantity that `make` says each group has, remembered where it also says that it may be.

        `given` is what it follows from beside the group; it is remembered from one plan to the next with the same one.
        """
        if not all(a is b for a, b in zip(self._given, given, strict=True)):
            self._groups, self._made, self._fleeting = (), [], set()
        if len(groups) == len(self._groups):
            found = list(self._made)
            anew = self._fleeting.union(compress(count(), map(is_not, groups, self._groups)))
        else:
            lasting = (place for place in range(len(self._groups)) if place not in self._fleeting)
            known = {id(self._groups[place]): self._made[place] for place in lasting}
            anew = {place for place, group in enumerate(groups) if id(group) not in known}
            found = [known.get(id(group), NO_QUANTITY) for group in groups]
        fleeting = set()
        for place in anew:
            found[place], lasts = make(groups[place])
            if not lasts:
                fleeting.add(place)
        # the groups are kept, so that their ids cannot be reused
        self._given, self._groups, self._made, self._fleeting = given, tuple(groups), found, fleeting
        return found

    def begin(self, graph: Graph) -> None:
        """Forget lowered units where weights of `graph` were written since the last plan."""
        if self._guarded:
            return
        if self._weights is None or self._weights.graph.root is not graph.root or self._weights.written():
            self._weights = WeightWatch(graph)
            self._lowered.clear()
            self._folded.clear()
            self.former = None

    def anchored(self, graph: Graph, unit: Unit, canonical: Mapping[str, str]) -> object:
        """Return a token of what `unit` is in `graph`, the same one in every graph that has it unchanged."""
        held = self._graphs.get(id(graph))
        if held is None:
            while len(self._graphs) >= GRAPHS:
                del self._graphs[next(iter(self._graphs))]
            held = self._graphs[id(graph)] = (graph, {})  # the graph is kept, so that its id cannot be reused
        token = held[1].get(unit)
        if token is None:
            nodes = [graph.nodes[name] for name in unit.members]
            names = [value for node in nodes for value in (*node.inputs, *node.outputs) if value is not None]
            whole = (unit, graph.batch, graph.training, *nodes, *(graph.values[v] for v in names))
            token = held[1][unit] = self.token((*whole, *(canonical[v] for v in names)))
        return token

    def token(self, content: Hashable) -> object:
        """Return an object that stands for `content`, cheaper to hash."""
        return self._tokens.setdefault(content, object())

    def folded(self, key: Hashable, make: Callable[[], Folded]) -> Folded:
        """Return what was made of the weights that `key` names, as long as none of the model's weights is written."""
        found = self._folded.get(key)
        if found is None:
            if len(self._folded) >= KEPT:
                self._folded.clear()
            found = self._folded[key] = make()
        return cast("Folded", found)

    def lowered(self, key: Hashable) -> Lowered | None:
        """Return what a unit became the last time that it had these surroundings."""
        return self._lowered.get(key)

    def keep(self, used: Mapping[Hashable, Lowered], newest: Spliced) -> None:
        """Remember what the newest plan is made of, and of older ones as much as a few thousand units."""
        self.former = newest
        self._lowered.update(used)
        if len(self._lowered) > max(KEPT, 4 * len(newest.units)):
            self._lowered = dict(used)
