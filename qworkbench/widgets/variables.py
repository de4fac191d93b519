"""Variables of the notebook as samples: looked up by name, never evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qworkbench.errors import QWorkbenchError, unknown_name

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
LIKELY = ("Tensor", "ndarray", "DataLoader", "list", "tuple", "dict")
"""Types of variables that are offered; others can still be typed."""


def namespace() -> Mapping[str, Any]:
    """Return the user's variables; empty outside of IPython."""
    from IPython import get_ipython

    shell = get_ipython()
    return {} if shell is None else shell.user_ns


def variable(path: str, names: Mapping[str, Any]) -> Any:
    """Return the variable `path` (``images``, ``data.images``) of `names`.

    Raises
    ------
    QWorkbenchError
    """
    if not _PATH.fullmatch(path):
        raise QWorkbenchError(f"{path!r} is not the name of a notebook variable; assign it to one first")
    first, *rest = path.split(".")
    if first not in names:
        raise unknown_name("notebook variable", first, [name for name in names if not name.startswith("_")])
    found = names[first]
    for part in rest:
        if part.startswith("_") or not hasattr(found, part):
            raise QWorkbenchError(f"{first!r} has no attribute {part!r}")
        found = getattr(found, part)
    return found


def likely_samples(names: Mapping[str, Any]) -> list[str]:
    """Return the names that may hold samples."""
    ipython = ("In", "Out")
    return sorted(
        name
        for name, value in names.items()
        if not name.startswith("_") and name not in ipython and type(value).__name__ in LIKELY
    )
