"""What each BPU can do: one table per march, and the evaluator of its constraints.

``get_march("bayes-e").supports(graph, node)`` tells whether the BPU can run a node, clause by clause with the values
that decided. A new march is a file in :mod:`qworkbench.march.tables` and one line here.
"""

from __future__ import annotations

from qworkbench.errors import unknown_name
from qworkbench.march.page import march_page
from qworkbench.march.row import OpRow, Parameter
from qworkbench.march.table import March, Support
from qworkbench.march.tables.bayes import BAYES
from qworkbench.march.tables.bayes_e import BAYES_E
from qworkbench.march.tables.bernoulli2 import BERNOULLI2
from qworkbench.march.tables.nash import NASH_B, NASH_E, NASH_H, NASH_M, NASH_P

_BY_NAME: dict[str, March] = {
    march.name: march for march in (BERNOULLI2, BAYES, BAYES_E, NASH_E, NASH_M, NASH_P, NASH_H, NASH_B)
}
MARCHES: tuple[str, ...] = tuple(_BY_NAME)


def get_march(name: str) -> March:
    """Return the march called `name`; ``bayes_e``, ``BAYES_E`` and ``March.BAYES_E`` mean ``bayes-e``.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    key = str(name).removeprefix("March.").lower().replace("_", "-")
    if key not in _BY_NAME:
        raise unknown_name("march", str(name), _BY_NAME)
    return _BY_NAME[key]


__all__ = ["MARCHES", "March", "OpRow", "Parameter", "Support", "get_march", "march_page"]
