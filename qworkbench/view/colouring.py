"""What the fill of a box says: where it runs, what kind it is, or how a figure of it compares with the others.

Categories take one of eight hues, figures one of five steps; the second line of a box says the same in words, so that
no meaning rests on colour alone. The same rules as ``labextension/src/core/colouring.ts``. Knows names and numbers; the
colours are those of the theme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from qworkbench.errors import unknown_name
from qworkbench.view.palette import Swatch, Theme
from qworkbench.view.text import bytes_text, number_text

COLOURINGS: Mapping[str, str] = {
    "placement": "Placement",
    "class": "Quantization class",
    "dtype": "dtype",
    "subgraph": "Subgraph",
    "cosine": "Cosine",
    "l1": "L1",
    "sensitivity": "Sensitivity",
    "cost": "Boundary cost",
}
"""Every colouring with what a legend calls it."""
CLASSES = ("active", "passive", "manual")
DTYPES = ("int8", "int16", "int32", "float32")
FIGURES = ("cosine", "l1", "sensitivity", "cost")
SHARES = (0.02, 0.1, 0.3, 0.6)
"""Lower ends of the steps, as shares of the largest figure in sight; the first step is below all of them."""
MOST = 12
"""Subgraphs that a legend names."""
MISSING = {
    "cosine": "run the model to measure the cosine",
    "l1": "run the model to measure L1",
    "sensitivity": "not measured yet: wb.sensitivity()",
    "cost": "there is no boundary",
}


def known_colouring(name: str) -> str:
    """Return `name`.

    Raises
    ------
    UnknownNameError
        When it is no colouring.
    """
    if name not in COLOURINGS:
        raise unknown_name("colouring", name, COLOURINGS)
    return name


@dataclass(frozen=True, slots=True)
class Tone:
    """A hue, or a step of a figure (0 the best), by its place in the theme."""

    kind: str
    index: int

    def swatch(self, theme: Theme, stroke: str) -> Swatch:
        """Return its colours; a step of a figure leaves the outline as it is."""
        if self.kind == "hue":
            return theme.hues[self.index % len(theme.hues)]
        step = theme.cosine[self.index]
        return Swatch(step.fill, stroke, step.text)


class Shading:
    """The colouring of one view.

    Parameters
    ----------
    nodes, edges : iterable of Mapping
        Of the view; of an edge ``source``, ``target``, ``boundary`` and ``cost`` count.
    colouring : str
        One of :data:`COLOURINGS`.
    """

    def __init__(
        self, nodes: Iterable[Mapping[str, Any]], edges: Iterable[Mapping[str, Any]], colouring: str = "placement"
    ) -> None:
        self.colouring = known_colouring(colouring)
        self._nodes = [node for node in nodes if node["kind"] in ("op", "module")]
        self._figures: dict[str, float] = {}
        if colouring in FIGURES[:3]:
            found = {node["id"]: node.get(colouring) for node in self._nodes}
            self._figures = {name: float(value) for name, value in found.items() if value is not None}
        elif colouring == "cost":
            for edge in edges:
                if edge["boundary"]:
                    for end in (edge["source"], edge["target"]):
                        self._figures[end] = self._figures.get(end, 0.0) + (edge.get("cost") or 0)
        self._largest = max((value for value in self._figures.values() if math.isfinite(value)), default=0.0)

    def tone(self, node: Mapping[str, Any]) -> Tone | None:
        """Return the fill of `node`; None where the colour of its placement stays."""
        if node["kind"] in ("input", "output"):
            return None
        hue = self._category(node)
        if hue is not None:
            return Tone("hue", hue)
        figure = self._figures.get(node["id"])
        if figure is None:
            return None
        if self.colouring == "cosine":
            return Tone("heat", _cosine_index(figure))
        return None if self._largest <= 0 else Tone("heat", self._step(figure))

    def word(self, node: Mapping[str, Any]) -> str | None:
        """Return what the second line of a box says instead of its dtype; None leaves it."""
        if node["kind"] != "op" or node["on"] == "NONE":
            return None
        if self.colouring == "class":
            return str(node["quant_class"])
        if self.colouring == "subgraph" and node["subgraph"] is not None:
            return f"subgraph {node['subgraph']}"
        return None

    def score(self, node: Mapping[str, Any]) -> str:
        """Return the figure at the right of the second line."""
        if self.colouring not in FIGURES[1:]:
            return cosine_text(node)
        figure = self._figures.get(node["id"])
        if figure is None or node["kind"] in ("input", "output"):
            return ""
        return bytes_text(figure) if self.colouring == "cost" else number_text(figure)

    def entries(self, theme: Theme) -> list[tuple[Tone, str]]:
        """Return colours and their meaning, those of categories only where they occur."""
        used = {tone for node in self._nodes if (tone := self.tone(node)) is not None}
        if self.colouring in ("class", "dtype"):
            names = CLASSES if self.colouring == "class" else DTYPES
            found = [(Tone("hue", index), name) for index, name in enumerate(names)]
            return [entry for entry in found if entry[0] in used]
        if self.colouring == "subgraph":
            ids = sorted({node["subgraph"] for node in self._nodes if node["subgraph"] is not None})
            return [(Tone("hue", number), f"subgraph {number}") for number in ids[:MOST]]
        if self.colouring == "cosine":
            steps = theme.cosine
            texts = [f"≥ {step.at_least:g}" for step in steps[:-1]] + [f"< {steps[-2].at_least:g}"]
            return [(Tone("heat", index), text) for index, text in enumerate(texts)] if used else []
        if self.colouring == "placement" or self._largest <= 0:
            return []
        write = bytes_text if self.colouring == "cost" else number_text
        texts = [f"< {write(SHARES[0] * self._largest)}", *(f"≥ {write(share * self._largest)}" for share in SHARES)]
        return [(Tone("heat", index), text) for index, text in enumerate(texts)]

    @property
    def missing(self) -> str:
        """What is missing to colour at all, or nothing."""
        return "" if self._figures or self.colouring not in FIGURES else MISSING[self.colouring]

    def _category(self, node: Mapping[str, Any]) -> int | None:
        if (self.colouring != "subgraph") if node["kind"] == "module" else node["on"] == "NONE":
            return None
        if self.colouring == "subgraph":
            return None if node["subgraph"] is None else int(node["subgraph"])
        names = {"class": CLASSES, "dtype": DTYPES}.get(self.colouring, ())
        value = node["quant_class"] if self.colouring == "class" else node["dtype"]
        return names.index(value) if value in names else None

    def _step(self, figure: float) -> int:
        return sum(figure > 0 and figure >= share * self._largest for share in SHARES)


def _cosine_index(cosine: float) -> int:
    from qworkbench.view.palette import LIGHT

    return next((i for i, step in enumerate(LIGHT.cosine) if cosine >= step.at_least), len(LIGHT.cosine) - 1)


def cosine_text(box: Mapping[str, Any]) -> str:
    """Return the cosine as a box prints it, or nothing; values that round to 1 but are not print as 0.9999."""
    cosine = box["cosine"]
    if cosine is None:
        return ""
    return f"{min(cosine, 0.9999):.4f}" if cosine < 1 else "1.0000"
