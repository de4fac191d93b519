"""The march that models are prepared for: one process-wide setting, since the training API promises one.

Which dtypes a march has decides what a qconfig may ask for. This is the only setting that the package remembers, next
to :mod:`qworkbench.qat.qat_mode`.
"""

from __future__ import annotations

from enum import StrEnum

from qworkbench import march as tables
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


def legal_dtypes(march: March, what: str = "output") -> frozenset[str]:
    """Return the dtypes that `march` has for the "input", "weight" or "output" of an op; from its table."""
    facts = tables.get_march(march.value)
    if what == "weight":
        return frozenset(f"q{dtype}" for dtype in facts.row("Conv").weight_dtypes)
    names = {dtype if dtype.startswith("float") else f"q{dtype}" for dtype in facts.dtypes}
    return frozenset(names | ({"float32"} if facts.parameter("float_output") else set()))


def check_dtype(march: March, dtype: str, owner: str, *, what: str = "output") -> None:
    """Raise QATError if `dtype` is no dtype of `march` for the "input", "weight" or "output" of `owner`."""
    legal = legal_dtypes(march, what)
    if dtype not in legal:
        raise QATError(
            f"the {what} of {owner!r} asks for {dtype}, which {march.value} does not have; it has "
            f"{', '.join(sorted(legal))}"
        )


def check_dual(march: March, owner: str) -> None:
    """Raise QATError unless `march` multiplies int16 inputs by int16 weights."""
    if not tables.get_march(march.value).parameter("dual_int16"):
        raise QATError(
            f"{owner!r} reads qint16 and has a weight of qint16, which {march.value} cannot do together; make one of "
            "them qint8, by weight decay or normalisation where that costs accuracy"
        )


def has_dtype(dtype: str) -> bool:
    """Tell whether activations of the march that was set may be `dtype`."""
    return dtype in legal_dtypes(require_march())
