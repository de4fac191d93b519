"""Which weights of a live module were written since they were last looked at.

A graph reads its weights from the module itself, so that nothing is copied; who caches what follows from them must be
able to tell when a training step went over them. Knows nothing of the caches.
"""

from __future__ import annotations

from qworkbench.graph.ir import Graph

Versions = dict[str, tuple[int, int]]


def weight_versions(graph: Graph) -> Versions:
    """Return, by path, where the storage of each weight is and how often torch wrote it in place.

    An optimizer's step, ``load_state_dict`` and an assigned parameter are all seen; a write through ``.data`` or
    through a NumPy view is not, because torch does not count it.
    """
    found: Versions = {}
    for entry in graph.values.values():
        if entry.ref is not None and entry.ref not in found:
            tensor = graph.tensor(entry.name)
            found[entry.ref] = (tensor.data_ptr(), tensor._version)
    return found


def written(graph: Graph, before: Versions) -> list[str]:
    """Return the paths of the weights that are other tensors, or other content, than at `before`."""
    now = weight_versions(graph)
    return [path for path, version in now.items() if before.get(path) != version]
