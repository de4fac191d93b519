"""Names: nodes are called exactly what the file calls them, and a node's scope is read from its name.

``/layer1/layer1.0/conv1/Conv`` (TorchScript exporter) lies in ``layer1.0.conv1``; the newer exporter writes the scopes
into the node's metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import NodeProto

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


class Names:
    """Hands out unique names; what is asked for first keeps its own."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._of: dict[int, str] = {}

    def reserve(self, nodes: Iterable[NodeProto]) -> None:
        """Give every node of `nodes` its name: its own, else its first output's."""
        for node in nodes:
            self._of[id(node)] = self.fresh(node.name or next((o for o in node.output if o), node.op_type))

    def of(self, node: NodeProto) -> str:
        """Return the name that `node` was given."""
        return self._of[id(node)]

    def fresh(self, base: str) -> str:
        """Return `base`, or ``base#1``, ``base#2`` ... where it is taken."""
        name, k = base, 0
        while name in self._taken:
            k += 1
            name = f"{base}#{k}"
        self._taken.add(name)
        return name


def scope_of(node: NodeProto) -> str:
    """Return the dotted path of the module that `node` came from; empty where the file does not say."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            scopes = [a or b for a, b in _QUOTED.findall(entry.value)]
            return scopes[-2] if len(scopes) > 1 else ""
    if "/" not in node.name:
        return ""
    parts: list[str] = []
    for part in (p for p in node.name.split("/")[:-1] if p):
        if parts and part.startswith(parts[-1] + "."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)
