"""What the panel shows of several nodes at once: what they have in common, and which edits fit all of them.

Plain data in, plain data out; knows the shape of a node's details and nothing of the workbench.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

ROLES = ("input", "weight", "output")


def common_details(details: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the panel's data of several nodes.

    Returns
    -------
    dict
        ``names``; ``on`` and ``ops``: how many of each; ``allowed``: what every node allows; ``requested`` and
        ``dtype``: what all agree on, None where they differ; ``fixed``: the names that carry a fixed scale.
    """
    allowed = [node["allowed"] for node in details]
    return {
        "names": [node["name"] for node in details],
        "on": dict(Counter(node["on"] for node in details)),
        "ops": dict(Counter(node["op"] for node in details).most_common()),
        "allowed": {
            **{key: [v for v in allowed[0][key] if all(v in a[key] for a in allowed)] for key in ("on", *ROLES)},
            "unitconv": all(a["unitconv"] for a in allowed),
        },
        "requested": {key: _agreed([node["requested"][key] for node in details]) for key in ("on", *ROLES)},
        "dtype": {key: _agreed([node["dtype"][key] for node in details]) for key in ROLES},
        "fixed": [node["name"] for node in details if node["fixed_scale"]],
    }


def _agreed(values: Sequence[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None
