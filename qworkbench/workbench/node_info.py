"""``node_info`` of the PTQ configuration, in both its forms.

``"conv1:int16;conv2:int16"`` asks for output dtypes; a mapping of nodes to ``ON``, ``InputType``, ``InputType0`` ...,
``OutputType`` asks for any of them. Whether the nodes exist is for the reader to check. Knows edits, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qworkbench.errors import EditError, nearest
from qworkbench.workbench.edits import Edit, SetDtype, SetInputDtype, SetPlacement

KEYS = ("ON", "InputType", "InputType0", "InputType1", "OutputType")


@dataclass
class NodeInfo:
    """What ``node_info`` asks for one node.

    Attributes
    ----------
    on : "bpu" | "cpu" or None
    dtypes : dict of str to str
        By part: ``output``, ``input``, or ``input 0``, ``input 1`` ... for single inputs.
    """

    on: str | None = None
    dtypes: dict[str, str] = field(default_factory=dict)

    def edits(self, name: str) -> list[Edit]:
        """Return the edits that ask for it; single inputs come last, since ``InputType`` takes them back."""
        whole = {part: dtype for part, dtype in self.dtypes.items() if part in ("output", "input")}
        slots = {int(part.split()[1]): dtype for part, dtype in self.dtypes.items() if part.startswith("input ")}
        return [
            *([] if self.on is None else [SetPlacement(name, self.on)]),
            *([SetDtype(name, **whole)] if whole else []),
            *(SetInputDtype(name, slot, dtype) for slot, dtype in slots.items()),
        ]


def parse_node_info(value: Any, legal: tuple[str, ...] | None = None) -> dict[str, NodeInfo]:
    """Read either form.

    Parameters
    ----------
    value : str or Mapping
    legal : tuple of str, optional
        The dtypes that may be asked for; None leaves it to the edits, which know aliases and "auto".

    Raises
    ------
    EditError
        A value of neither form, an unknown key (with the nearest one), an ``ON`` that is no place, a dtype that is not
        in `legal`.
    """
    found: dict[str, NodeInfo] = {}
    if isinstance(value, str):
        for entry in (part.strip() for part in value.split(";")):
            name, _, dtype = (part.strip() for part in entry.rpartition(":"))
            if entry and not (name and dtype):
                raise EditError(f"node_info entry {entry!r} is not 'node:int16'; or write a mapping of nodes")
            if entry:
                found[name] = NodeInfo(dtypes={"output": _dtype(name, "OutputType", dtype, legal)})
        return found
    if not isinstance(value, Mapping) or not all(isinstance(info, Mapping) for info in value.values()):
        raise EditError(
            f"node_info must be 'node:int16;...' or a mapping such as {{'node': {{'ON': 'BPU'}}}}, got {value!r}"
        )
    return {str(name): _one(str(name), info, legal) for name, info in value.items()}


def node_info_edits(value: str | Mapping[str, Mapping[str, str]]) -> list[Edit]:
    """Return the edits that `value` asks for; see :func:`parse_node_info` for the errors."""
    return [edit for name, info in parse_node_info(value).items() for edit in info.edits(name)]


def _one(name: str, info: Mapping[Any, Any], legal: tuple[str, ...] | None) -> NodeInfo:
    found = NodeInfo()
    for key, entry in info.items():
        # YAML 1.1 reads a bare ON as True
        word = "ON" if key is True else str(key)
        match = re.fullmatch(r"InputType(\d*)|(OutputType)", word)
        if word == "ON":
            if str(entry).upper() not in ("BPU", "CPU"):
                raise EditError(f"node_info of {name!r}: ON must be BPU or CPU, got {entry!r}")
            found.on = str(entry).lower()
        elif match is None:
            hint = nearest(word, KEYS, count=1)
            also = f"; did you mean {hint[0]!r}?" if hint else f"; known: {', '.join(KEYS)}"
            raise EditError(f"node_info of {name!r} has no key {word!r}{also}")
        else:
            part = "output" if match[2] else f"input {match[1]}" if match[1] else "input"
            found.dtypes[part] = _dtype(name, word, str(entry), legal)
    return found


def _dtype(name: str, key: str, dtype: str, legal: tuple[str, ...] | None) -> str:
    if legal is not None and dtype not in legal:
        hint = nearest(dtype, legal, count=1)
        also = f"; did you mean {hint[0]!r}?" if hint else ""
        raise EditError(f"node_info of {name!r}: {key} must be one of {', '.join(legal)}, got {dtype!r}{also}")
    return dtype
