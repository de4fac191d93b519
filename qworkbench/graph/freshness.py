"""Which weights of a live module were written since somebody looked at them.

A graph reads its weights from the module itself, so that nothing is copied; who caches what follows from them must be
able to tell when a training step went over them, and asks before every edit, so looking must cost next to nothing.
Knows nothing of the caches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import torch

from qworkbench.graph.ir import Graph

SPOTS = 16
"""How many numbers of each weight are read again, to notice writes that torch does not count."""

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A weight as it was: the tensor, where its storage was, how often torch had written it, a few of its numbers."""

    path: str
    tensor: torch.Tensor
    address: int
    version: int
    spots: np.ndarray
    content: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", self.spots.copy())

    def counted(self) -> bool:
        """Tell whether torch knows of a write."""
        return self.tensor.data_ptr() != self.address or _version(self.tensor) != self.version


class WeightWatch:
    """Notices that weights of a graph are other tensors, or other content, than when the watch began.

    An optimizer's step, ``load_state_dict``, an assigned parameter, a replaced or removed module are all seen. A write
    through ``.data`` or a NumPy view is not counted by torch; it is seen where it reaches one of a few numbers spread
    over the weight, as every write of a whole tensor does. A few numbers written that way may stay unseen.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._seen: list[_Seen] = []
        self._links: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}
        self._direct = True
        for path in dict.fromkeys(entry.ref for entry in graph.values.values() if entry.ref is not None):
            tensor = _found(graph.root, path)
            assert tensor is not None
            self._seen.append(_Seen(path, tensor, tensor.data_ptr(), _version(tensor), _spots(tensor)))
            self._direct = self._link(path) and self._direct
        by_width = sorted((seen.spots for seen in self._seen), key=lambda spots: spots.itemsize)
        self._spots = [list(same) for _, same in groupby(by_width, key=lambda spots: spots.itemsize)]
        self._content = [np.concatenate(spots) for spots in self._spots]

    def _link(self, path: str) -> bool:
        """Note in which dictionary each part of `path` is found; tell whether all of them are in one."""
        holder: Any = self.graph.root
        for part in path.split("."):
            places = [vars(holder)]
            if isinstance(holder, torch.nn.Module):
                for kind in ("_parameters", "_buffers", "_modules"):
                    places.append(places[0][kind])
                    self._links[id(places[0]), kind] = (places[0], kind, places[-1])
            place = next((place for place in places if part in place), None)
            if place is None:
                return False
            holder = place[part]
            self._links[id(place), part] = (place, part, holder)
        return True

    def written(self) -> list[str]:
        """Return the paths of the weights that were written, replaced or removed since the watch began."""
        return [] if self._untouched() else [seen.path for seen in self._seen if not self._same(seen)]

    def _untouched(self) -> bool:
        return (
            self._direct
            and all(place.get(part) is found for place, part, found in self._links.values())
            and not any(seen.counted() for seen in self._seen)
            and all(np.array_equal(np.concatenate(s), c) for s, c in zip(self._spots, self._content, strict=True))
        )

    def _same(self, seen: _Seen) -> bool:
        found = _found(self.graph.root, seen.path)
        return found is seen.tensor and not seen.counted() and np.array_equal(seen.spots, seen.content)


def _found(root: Any, path: str) -> torch.Tensor | None:
    """Return the tensor at `path`; None where there is none any more."""
    found = root
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _version(tensor: torch.Tensor) -> int:
    """Return how often torch wrote `tensor` in place; inference tensors are not counted."""
    return 0 if tensor.is_inference() else tensor._version


def _spots(tensor: torch.Tensor) -> np.ndarray:
    """Return a live view of some numbers of `tensor`, as integers; of none where NumPy cannot look into it."""
    word = _WORDS.get(tensor.itemsize)
    if word is None or tensor.device.type != "cpu" or not tensor.is_contiguous() or not tensor.numel():
        return np.empty(0, np.int8)
    flat = tensor.detach().view(-1).view(word).numpy()
    return flat[:: max(1, flat.size // SPOTS)][:SPOTS]
