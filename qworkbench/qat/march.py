"""The march that models are prepared for: one process-wide setting, since the training API promises one.

Which dtypes a march has decides what a qconfig may ask for. This is the only setting that the package remembers, next
to :mod:`qworkbench.qat.qat_mode`.
"""

from __future__ import annotations

from enum import StrEnum

from qworkbench.errors import unknown_name
from qworkbench.qat.errors import QATError


class March(StrEnum):
    """Names of the marches; a lower-case string does as well."""

    BERNOULLI2 = "bernoulli2"
    BAYES = "bayes"
    BAYES_E = "bayes-e"
    NASH_B = "nash-b"
    NASH_E = "nash-e"
    NASH_M = "nash-m"
    NASH_H = "nash-h"
    NASH_P = "nash-p"


_INTEGER = frozenset({"qint8", "qint16"})
_ACTIVATIONS = {
    March.BERNOULLI2: frozenset({"qint8"}),
    March.BAYES: _INTEGER,
    March.BAYES_E: _INTEGER,
    March.NASH_B: _INTEGER | {"float16"},
    March.NASH_E: _INTEGER | {"float16"},
    March.NASH_M: _INTEGER | {"float16"},
    March.NASH_H: _INTEGER | {"float16", "float32"},
    March.NASH_P: _INTEGER | {"float16", "float32"},
}
_WEIGHTS = {march: frozenset({"qint8"}) for march in March} | {
    March.NASH_H: _INTEGER,
    March.NASH_P: _INTEGER,
}
_set: list[March] = []


def set_march(march: March | str) -> None:
    """Set the march that the following prepare calls are for.

    Parameters
    ----------
    march : March or str
        ``March.BAYES``, ``"bayes"``, ``"bayes-e"`` ...

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    name = march.value if isinstance(march, March) else str(march).removeprefix("March.").lower().replace("_", "-")
    known = {m.value: m for m in March}
    if name not in known:
        raise unknown_name("march", str(march), known)
    _set[:] = [known[name]]


def get_march() -> March | None:
    """Return the march that was set, or None."""
    return _set[0] if _set else None


def require_march() -> March:
    """Return the march that was set.

    Raises
    ------
    QATError
        If none was set.
    """
    if not _set:
        raise QATError(
            "no march is set; call set_march first: 'bernoulli2' for X3, 'bayes' for Ultra, 'bayes-e' for X5"
        )
    return _set[0]


def check_dtype(march: March, dtype: str, owner: str, *, what: str = "output") -> None:
    """Raise QATError if `dtype` is no dtype of `march` for the "input", "weight" or "output" of `owner`."""
    legal = (_WEIGHTS if what == "weight" else _ACTIVATIONS)[march]
    if dtype not in legal:
        raise QATError(
            f"the {what} of {owner!r} asks for {dtype}, which {march.value} does not have; it has "
            f"{', '.join(sorted(legal))}"
        )


def has_dtype(dtype: str) -> bool:
    """Tell whether activations of the march that was set may be `dtype`."""
    return dtype in _ACTIVATIONS[require_march()]
