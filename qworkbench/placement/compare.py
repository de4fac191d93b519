"""What differs between two placements, one line per node that moved or changed form."""

from __future__ import annotations

from qworkbench.placement.types import NodePlacement, Placement


def placement_changes(before: Placement, after: Placement) -> list[str]:
    """Return lines such as ``softmax: CPU float32 -> BPU int8``; inserted and removed nodes are named, too."""
    lines = []
    for name in after:
        now = after[name]
        if name not in before.nodes:
            lines.append(f"{name}: inserted, {_form(now)}")
        elif _form(before[name]) != _form(now):
            lines.append(f"{name}: {_form(before[name])} -> {_form(now)}")
    lines += [f"{name}: removed" for name in before if name not in after.nodes]
    if before.subgraphs != after.subgraphs:
        lines.append(f"BPU subgraphs: {before.subgraphs} -> {after.subgraphs}")
    lines += [n.reason.sentence for n in after.values() if _refused(n) and not _known(before, n)]
    lines += [note for n in after.values() for note in n.notes if not _noted(before, n.name, note)]
    return list(dict.fromkeys(lines))


def _form(node: NodePlacement) -> str:
    return f"{node.on} {node.dtype}" if node.on != "NONE" else "removed"


def _refused(node: NodePlacement) -> bool:
    return node.reason.sentence.startswith("run_on_bpu is refused")


def _known(before: Placement, node: NodePlacement) -> bool:
    return node.name in before.nodes and before[node.name].reason.sentence == node.reason.sentence


def _noted(before: Placement, name: str, note: str) -> bool:
    return name in before.nodes and note in before[name].notes
