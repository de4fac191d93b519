"""Which nodes have other surroundings in one graph than in another that was made from it by an edit.

Who keeps what he found out about a node needs to look again where the node, its tensors, their makers or their readers
are other objects. Knows nothing of what was found.
"""

from __future__ import annotations

from collections.abc import Iterable

from qworkbench.graph.ir import Graph


def changed_nodes(old: Graph, new: Graph, touched: Iterable[str] = ()) -> frozenset[str]:
    """Return the nodes of `new` that are not in `old`, or not in the same surroundings.

    Parameters
    ----------
    old, new : Graph
        Sharing every node and value that the edit left alone.
    touched : iterable of str
        Values of `new` that count as changed for some other reason.
    """
    known, values = old.nodes, old.values
    changed = [node for node in new.nodes if known.get(node.name) is not node]
    removed = [node for node in known if new.nodes.get(node.name) is not node]
    tensors = {name for name, value in new.values.items() if values.get(name) is not value}
    tensors |= {value for node in (*changed, *removed) for value in (*node.inputs, *node.outputs) if value is not None}
    tensors |= set(old.outputs) ^ set(new.outputs)
    tensors |= set(touched)
    found = {node.name for node in changed}
    for value in tensors:
        if value in new.values:
            maker = new.producer(value)
            found |= {user.name for user, _ in new.users(value)} | ({maker.name} if maker is not None else set())
    return frozenset(found)
