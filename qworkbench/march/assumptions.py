"""Which parameters and figures of a march a user may set, and how what he types is read.

The public material leaves them open, or a tool version decides them; every other parameter is a fact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qworkbench.errors import EditError, unknown_name
from qworkbench.march.table import March

CHOICES: Mapping[str, tuple[Any, ...]] = {
    "dual_int16": (True, False),
    "tail_scope": ("model", "segment"),
    "tail_lut_int16": (True, False),
    "run_on_bpu_passive": ("single-input", "none"),
    "float16": ("none", "on request", "default"),
    "float_output": (True, False),
    "layer_norm": ("whole", "pieces"),
}
READINGS = ("layer_norm",)
"""Parameters that choose between two rows of an operator; a march without the other row does not offer them."""
_WORDS = {True: "on", False: "off"}
_READ = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def settable(march: March) -> dict[str, Any]:
    """Return the names that may be set, with their values on `march`."""
    offered = {other.parameter for other in march.readings.values()}
    chosen = {name: march.parameter(name) for name in CHOICES if name not in READINGS or name in offered}
    return {**chosen, **{name: figure.value for name, figure in march.figures.items()}}


def read_assumption(march: March, name: str, text: str) -> Any:
    """Return the value that `text` means for the parameter or figure `name` of `march`.

    Raises
    ------
    UnknownNameError
        A name that cannot be set, with the nearest ones.
    EditError
        A value outside the allowed ones.
    """
    known = settable(march)
    if name not in known:
        raise unknown_name("assumption", name, known)
    if name in CHOICES:
        value = _READ.get(text.lower(), text) if CHOICES[name][0] is True else text
        if value not in CHOICES[name]:
            words = ", ".join(_WORDS[c] if isinstance(c, bool) else str(c) for c in CHOICES[name])
            raise EditError(f"{name} must be one of {words}, got {text!r}")
        return value
    try:
        number = float(text)
    except ValueError:
        raise EditError(f"{name} must be a number, got {text!r}; it is {known[name]:g} on {march.name}") from None
    if not (math.isfinite(number) and number > 0):
        raise EditError(f"{name} must be > 0 and finite, got {text}; it is {known[name]:g} on {march.name}")
    if not isinstance(known[name], int):
        return number
    if number != int(number):
        raise EditError(f"{name} must be a whole number, got {text}; it is {known[name]} on {march.name}")
    return int(number)


def assumption_text(value: Any) -> str:
    """Return `value` as a user types it."""
    return _WORDS[value] if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
