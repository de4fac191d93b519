"""``node_info`` of the PTQ configuration, in both its forms, as edits.

``"conv1:int16;conv2:int16"`` asks for output dtypes; a mapping of nodes to ``ON``, ``InputType``, ``InputType0`` ...,
``OutputType`` asks for any of them. Each names existing nodes only. Knows edits, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qworkbench.errors import EditError, nearest
from qworkbench.workbench.edits import Edit, SetDtype, SetInputDtype, SetPlacement

KEYS = ("ON", "InputType", "InputType0", "InputType1", "OutputType")


def node_info_edits(value: str | Mapping[str, Mapping[str, str]]) -> list[Edit]:
    """Return the edits that `value` asks for.

    Parameters
    ----------
    value : str or Mapping
        Either form of the configuration file.

    Raises
    ------
    EditError
        A value of neither form, an unknown key (with the nearest one), or an ``ON`` that is no place.
    """
    if isinstance(value, str):
        return [_output(entry) for entry in (part.strip() for part in value.split(";")) if entry]
    given: Any = value
    if not isinstance(given, Mapping) or not all(isinstance(info, Mapping) for info in given.values()):
        raise EditError(
            f"node_info must be 'node:int16;...' or a mapping such as {{'node': {{'ON': 'BPU'}}}}, got {value!r}"
        )
    return [edit for name, info in value.items() for key, entry in info.items() for edit in [_one(name, key, entry)]]


def _output(entry: str) -> Edit:
    name, _, dtype = entry.rpartition(":")
    if not name or not dtype:
        raise EditError(f"node_info entry {entry!r} is not 'node:int16'")
    return SetDtype(name.strip(), output=dtype.strip())


def _one(name: str, key: Any, entry: Any) -> Edit:
    # YAML 1.1 reads a bare ON as True
    word = "ON" if key is True else str(key)
    if word == "ON":
        if str(entry).upper() not in ("BPU", "CPU"):
            raise EditError(f"node_info of {name!r}: ON must be BPU or CPU, got {entry!r}")
        return SetPlacement(name, str(entry).lower())
    if word == "OutputType":
        return SetDtype(name, output=str(entry))
    match = re.fullmatch(r"InputType(\d*)", word)
    if match is None:
        hint = nearest(word, KEYS, count=1)
        also = f"; did you mean {hint[0]!r}?" if hint else f"; known: {', '.join(KEYS)}"
        raise EditError(f"node_info of {name!r} has no key {word!r}{also}")
    return SetInputDtype(name, int(match[1]), str(entry)) if match[1] else SetDtype(name, input=str(entry))
