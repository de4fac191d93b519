"""The palette is equal to the shared fixture, and readable."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from qworkbench.view.palette import THEMES, Theme, as_json, cosine_step

FIXTURE = Path(__file__).parents[1] / "fixtures" / "palette.json"


def luminance(colour: str) -> float:
    """WCAG relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_fixture_shared_with_the_front_end_equals_the_palette() -> None:
    assert json.loads(FIXTURE.read_text(encoding="utf-8")) == json.loads(json.dumps(as_json()))


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_text_has_contrast_4_5_and_outlines_have_3(theme: Theme) -> None:
    boxes = [*theme.placement.values(), theme.terminal, theme.module, *theme.hues]
    for box in boxes:
        assert contrast(box.text, box.fill) >= 4.5, box
        assert contrast(box.stroke, theme.background) >= 3.0, box
    for step in theme.cosine:
        assert contrast(step.text, step.fill) >= 4.5, step
    for colour in (theme.text, theme.muted, theme.edited, theme.better, theme.worse, *theme.boundary.values()):
        assert contrast(colour, theme.background) >= 4.5, colour
    for colour in (theme.edge, theme.selected):
        assert contrast(colour, theme.background) >= 3.0, colour


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_placements_differ_by_more_than_a_shade(theme: Theme) -> None:
    for first, second in combinations([s.stroke for s in theme.placement.values()], 2):
        distance = sum((int(first[i : i + 2], 16) - int(second[i : i + 2], 16)) ** 2 for i in (1, 3, 5)) ** 0.5
        assert distance > 80, (first, second)


def test_cosine_steps_run_from_best_to_worst_and_cover_everything() -> None:
    for theme in THEMES.values():
        starts = [step.at_least for step in theme.cosine]
        assert starts == sorted(starts, reverse=True)
        assert cosine_step(theme, 1.0) is theme.cosine[0]
        assert cosine_step(theme, -1.0) is theme.cosine[-1]
        assert cosine_step(theme, float("nan")) is theme.cosine[-1]
