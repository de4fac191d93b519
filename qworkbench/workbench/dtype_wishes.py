"""Dtypes that a file asks for, compared with those that a configuration asks for.

Every file says all of its wishes, so wishes that it does not hold are taken back. Knows edits, no file format.
"""

from __future__ import annotations

from collections.abc import Mapping

from qworkbench.placement.types import DtypeRequest
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits import Edit, SetDtype, SetInputDtype


def dtype_edits(config: Config, asked: Mapping[str, Mapping[str, str]], parts: tuple[str, ...]) -> list[Edit]:
    """Return the edits after which `config` asks exactly for `asked` in `parts` ("input", "output", "weight").

    `asked` maps nodes to wishes by part; single inputs are parts called ``input 0``, ``input 1``.
    """
    edits: list[Edit] = []
    for name in dict.fromkeys((*config.dtypes, *asked)):
        wish, want = config.dtypes.get(name, DtypeRequest()), asked.get(name, {})
        whole = {part: want.get(part, "auto") for part in parts if getattr(wish, part) != want.get(part)}
        if whole:
            edits.append(SetDtype(name, **whole))
        slots = {int(part.split()[1]): dtype for part, dtype in want.items() if part.startswith("input ")}
        had = dict(wish.slots)
        changed = (slot for slot in sorted({*slots, *had}) if had.get(slot) != slots.get(slot))
        edits += [SetInputDtype(name, slot, slots.get(slot, "auto")) for slot in changed]
    return edits
