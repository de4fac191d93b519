"""Colours, shapes and letters that every drawing of a graph shares, in a light and a dark theme.

One table, so that the SVG, the PNG, the report and the live widget mean the same thing by the same mark. The front end
holds an equal table; ``tests/fixtures/palette.json`` keeps the two equal. The hues are Okabe and Ito's, which
stay apart for colour-blind readers, and no meaning rests on colour alone: placement has a shape, a quantization class
has a letter, a boundary has a tag. Knows nothing of graphs or of drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Swatch:
    """Fill, outline and text colour of one kind of box, as ``#rrggbb``."""

    fill: str
    stroke: str
    text: str


@dataclass(frozen=True, slots=True)
class CosineStep:
    """Colours of a node whose cosine is at least `at_least` (steps are ordered from best to worst)."""

    at_least: float
    fill: str
    text: str


@dataclass(frozen=True, slots=True)
class Theme:
    """All colours of one theme.

    Attributes
    ----------
    placement : Mapping of "BPU" | "CPU" | "NONE" to Swatch
    terminal, module : Swatch
        Graph inputs and outputs; collapsed modules that hold both BPU and CPU nodes.
    boundary : Mapping of "quantize" | "dequantize" | "requantize" to str
    hues : tuple of Swatch
        Eight colours for categories: quantization classes, dtypes, subgraphs.
    cosine : tuple of CosineStep
        From best to worst; the last one starts at -1.
    """

    background: str
    surface: str
    text: str
    muted: str
    edge: str
    frame: str
    selected: str
    edited: str
    better: str
    worse: str
    placement: Mapping[str, Swatch]
    terminal: Swatch
    module: Swatch
    boundary: Mapping[str, str]
    hues: tuple[Swatch, ...]
    cosine: tuple[CosineStep, ...]


LIGHT = Theme(
    background="#ffffff",
    surface="#f5f7f9",
    text="#1b2430",
    muted="#586472",
    edge="#75818e",
    frame="#d8dee5",
    selected="#7a3ff2",
    edited="#b3125f",
    better="#00734f",
    worse="#b03a00",
    placement={
        "BPU": Swatch("#dceef8", "#0072b2", "#0b2b40"),
        "CPU": Swatch("#fcead3", "#d55e00", "#4a2200"),
        "NONE": Swatch("#eef0f2", "#8a939d", "#4a535d"),
    },
    terminal=Swatch("#2b3642", "#2b3642", "#ffffff"),
    module=Swatch("#f1f4f7", "#586472", "#1b2430"),
    boundary={"quantize": "#00734f", "dequantize": "#a3376f", "requantize": "#5b4bb7"},
    hues=(
        Swatch("#dceef8", "#0072b2", "#0b2b40"),
        Swatch("#fbe3d2", "#d55e00", "#4a2200"),
        Swatch("#d5efe6", "#00805d", "#03291e"),
        Swatch("#f6e3ee", "#a3376f", "#3d0f28"),
        Swatch("#fbedcb", "#a87400", "#3a2800"),
        Swatch("#e4e0f7", "#5b4bb7", "#1d1650"),
        Swatch("#f3f0c4", "#7a7000", "#2b2700"),
        Swatch("#e6e8ea", "#59636e", "#1b2430"),
    ),
    cosine=(
        CosineStep(0.9999, "#f4f1f9", "#2a1747"),
        CosineStep(0.999, "#dccff0", "#2a1747"),
        CosineStep(0.99, "#b79fdf", "#2a1747"),
        CosineStep(0.95, "#7448b8", "#ffffff"),
        CosineStep(-1.0, "#42127a", "#ffffff"),
    ),
)

DARK = Theme(
    background="#12171d",
    surface="#1b222a",
    text="#e6ebf0",
    muted="#9eabb8",
    edge="#7b8896",
    frame="#333d48",
    selected="#c4a1ff",
    edited="#ff8fc2",
    better="#4cd3a5",
    worse="#ffa366",
    placement={
        "BPU": Swatch("#0f3650", "#56b4e9", "#e3f3fc"),
        "CPU": Swatch("#4a2a0a", "#e69f00", "#fdebd3"),
        "NONE": Swatch("#262d35", "#77828e", "#b9c2cb"),
    },
    terminal=Swatch("#d5dce3", "#d5dce3", "#12171d"),
    module=Swatch("#222a33", "#9eabb8", "#e6ebf0"),
    boundary={"quantize": "#4cd3a5", "dequantize": "#f08fc0", "requantize": "#b3a7ff"},
    hues=(
        Swatch("#0f3650", "#56b4e9", "#e3f3fc"),
        Swatch("#4d2208", "#ff9a57", "#ffe6d5"),
        Swatch("#0b3d30", "#4cd3a5", "#d9f7ed"),
        Swatch("#4a1f37", "#f08fc0", "#fde4f1"),
        Swatch("#44310a", "#e6b13f", "#fdf0d2"),
        Swatch("#2d2658", "#b3a7ff", "#ebe7ff"),
        Swatch("#3b380c", "#d6cf4a", "#f8f6cf"),
        Swatch("#2b333c", "#a9b4bf", "#e6ebf0"),
    ),
    cosine=(
        CosineStep(0.9999, "#221c2e", "#e9def8"),
        CosineStep(0.999, "#3a2a57", "#e9def8"),
        CosineStep(0.99, "#583a8a", "#f3ecfc"),
        CosineStep(0.95, "#a987e0", "#160a26"),
        CosineStep(-1.0, "#e3d2ff", "#160a26"),
    ),
)

THEMES: Mapping[str, Theme] = MappingProxyType({"light": LIGHT, "dark": DARK})

SHAPES: Mapping[str, str] = MappingProxyType({"BPU": "rounded", "CPU": "cut", "NONE": "pill"})
"""Outline of a box by placement: rounded rectangle, rectangle with cut corners and dashed outline, pill."""

GLYPHS: Mapping[str, str] = MappingProxyType({"active": "A", "passive": "P", "manual": "M", "none": ""})
"""Letter of a quantization class."""

TAGS: Mapping[str, str] = MappingProxyType({"quantize": "Q", "dequantize": "DQ", "requantize": "RQ"})
"""Tag of a boundary edge."""


def cosine_step(theme: Theme, cosine: float) -> CosineStep:
    """Return the step of `theme` that `cosine` falls into; NaN counts as the worst."""
    return next((step for step in theme.cosine if cosine >= step.at_least), theme.cosine[-1])


def as_json() -> dict[str, Any]:
    """Return the whole palette as JSON-able data: what the front end must equal."""
    return {
        "schema": 1,
        "themes": {name: asdict(theme) for name, theme in THEMES.items()},
        "shapes": dict(SHAPES),
        "glyphs": dict(GLYPHS),
        "tags": dict(TAGS),
    }
