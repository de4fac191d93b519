"""Which weights of a live module were written since somebody looked at them.

A graph reads its weights from the module itself, so that nothing is copied; who caches what follows from them must be
able to tell when a training step went over them, and asks before every edit, so looking must cost next to nothing.
Knows nothing of the caches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, is_
from typing import Any

import numpy as np
import torch

from qworkbench.graph.ir import Graph

SPOTS = 8
"""How many numbers of each weight are read again, to notice writes that torch does not count."""

_VERSION = attrgetter("_version")
_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A weight as it was: the tensor, where its storage was, how often torch had written it, a few of its numbers."""

    path: str
    tensor: torch.Tensor
    address: int
    version: int
    spots: np.ndarray
    content: np.ndarray

    def same(self, found: object) -> bool:
        """Tell whether `found` is this weight, unwritten."""
        tensor = self.tensor
        counted = tensor.data_ptr() != self.address or writes_of(tensor) != self.version
        return found is tensor and not counted and np.array_equal(self.spots, self.content)


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
            spots = _spots(tensor)
            self._seen.append(_Seen(path, tensor, tensor.data_ptr(), writes_of(tensor), spots, spots.copy()))
            self._direct = self._link(path) and self._direct
        self._holders = [holder for holder, _, _ in self._links.values()]
        self._parts = [part for _, part, _ in self._links.values()]
        self._found = [found for _, _, found in self._links.values()]
        self._counting = [seen for seen in self._seen if not seen.tensor.is_inference()]
        self._tensors = [seen.tensor for seen in self._counting]
        self._addresses = [seen.address for seen in self._counting]
        self._versions = [seen.version for seen in self._counting]
        by_width = sorted((seen.spots for seen in self._seen), key=lambda spots: spots.itemsize)
        self._spots = [list(same) for _, same in groupby(by_width, key=lambda spots: spots.itemsize)]
        self._content = [np.concatenate(spots) for spots in self._spots]

    def _link(self, path: str) -> bool:
        """Note in which dictionary each part of `path` is found; tell whether all of them are in one."""
        holder: Any = self.graph.root
        for part in path.split("."):
            places = [vars(holder)]
            if isinstance(holder, torch.nn.Module):
                places += [places[0][kind] for kind in ("_parameters", "_buffers", "_modules")]
            place = next((place for place in places if part in place), None)
            if place is None:
                return False
            holder = place[part]
            self._links[id(place), part] = (place, part, holder)
        return True

    def written(self) -> list[str]:
        """Return the paths of the weights that were written, replaced or removed since the watch began."""
        if self._untouched():
            return []
        return [seen.path for seen in self._seen if not seen.same(_found(self.graph.root, seen.path))]

    def _untouched(self) -> bool:
        return (
            self._direct
            and all(map(is_, map(dict.get, self._holders, self._parts), self._found))
            and list(map(_VERSION, self._tensors)) == self._versions
            and list(map(torch.Tensor.data_ptr, self._tensors)) == self._addresses
            and all(np.array_equal(np.concatenate(s), c) for s, c in zip(self._spots, self._content, strict=True))
        )


def _found(root: Any, path: str) -> torch.Tensor | None:
    """Return the tensor at `path`; None where there is none any more."""
    found = root
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, torch.Tensor) else None


def writes_of(tensor: torch.Tensor) -> int:
    """Return how often torch wrote `tensor` in place; inference tensors are not counted."""
    return 0 if tensor.is_inference() else tensor._version


def _spots(tensor: torch.Tensor) -> np.ndarray:
    """Return a live view of some numbers of `tensor`, as integers; of none where NumPy cannot look into it."""
    word = _WORDS.get(tensor.itemsize)
    if word is None or tensor.device.type != "cpu" or not tensor.is_contiguous() or not tensor.numel():
        return np.empty(0, np.int8)
    flat = tensor.detach().view(-1).view(word).numpy()
    step = max(1, flat.size // SPOTS)
    # zeros stay zeros where a pruned weight is scaled
    starts = range(min(step, SPOTS))
    return max((flat[start::step][:SPOTS] for start in starts), key=lambda spots: int(np.count_nonzero(spots)))
