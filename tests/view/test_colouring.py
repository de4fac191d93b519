"""Colourings mean in Python what they mean in the widget, and are written in every still form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.errors import UnknownNameError
from qworkbench.view.colouring import COLOURINGS, Shading
from qworkbench.view.draw import draw
from qworkbench.view.palette import DARK, LIGHT
from qworkbench.view.scene import Outline, Words
from qworkbench.view.text import number_text

FIXTURES = Path(__file__).parents[1] / "fixtures"


def described(colouring: str) -> dict[str, Any]:
    """Everything that a colouring says of the shared view, in which figures were put that it lacks."""
    view = json.loads((FIXTURES / "view.json").read_text(encoding="utf-8"))
    for index, node in enumerate(view["nodes"]):
        node["sensitivity"] = index / 300 if node["kind"] == "op" else None
    for edge in view["edges"]:
        edge["cost"] = 5 * edge["elements"] if edge["boundary"] else 0
    shading = Shading(view["nodes"], view["edges"], colouring)
    tones = {node["id"]: shading.tone(node) for node in view["nodes"]}
    return {
        "tones": {name: "" if tone is None else f"{tone.kind}-{tone.index}" for name, tone in tones.items()},
        "words": {node["id"]: shading.word(node) for node in view["nodes"]},
        "scores": {node["id"]: shading.score(node) for node in view["nodes"]},
        "legend": [[f"{tone.kind}-{tone.index}", text] for tone, text in shading.entries(LIGHT)],
    }


def test_the_fixture_that_the_front_end_must_equal_is_what_python_says() -> None:
    expected = json.loads((FIXTURES / "colouring.json").read_text(encoding="utf-8"))
    assert {name: described(name) for name in COLOURINGS} == expected


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.softmax(self.head(self.relu(self.conv(x))))


@pytest.fixture
def workbench() -> q.Workbench:
    torch.manual_seed(0)
    return q.Workbench(Net().eval(), torch.rand(1, 1, 8, 8), calibration=torch.rand(4, 1, 8, 8))


def fills(view: dict[str, Any], theme: str = "light") -> dict[str, str | None]:
    found = {}
    for group in draw(view, theme=theme).groups:
        outlines = [item for item in group.items if isinstance(item, Outline)]
        if group.role == "node":
            found[group.name] = outlines[0].fill
    return found


def legend(view: dict[str, Any]) -> list[str]:
    return [item.text for item in draw(view).groups[0].items if isinstance(item, Words)]


def test_a_class_has_its_hue_and_its_word_in_the_legend(workbench: q.Workbench) -> None:
    view = workbench.view(colour="class")
    assert fills(view)["conv"] == LIGHT.hues[0].fill
    assert fills(view, "dark")["softmax"] == DARK.hues[2].fill
    assert "Quantization class active" in legend(view)
    assert "manual" in legend(view)


def test_before_a_run_a_figure_is_missing_and_the_legend_says_what_to_do(workbench: q.Workbench) -> None:
    assert "L1: run the model to measure L1" in legend(workbench.view(colour="l1"))
    assert "Sensitivity: not measured yet: wb.sensitivity()" in legend(workbench.view(colour="sensitivity"))


def test_sensitivity_is_that_of_the_newest_table_and_a_folded_module_has_its_worst(workbench: q.Workbench) -> None:
    table = workbench.sensitivity()
    worst = table[table["op_name"].str.startswith("head")]["L1"].max()
    nodes = {node["id"]: node for node in workbench.view(["head"], colour="sensitivity")["nodes"]}
    assert nodes["head"]["sensitivity"] == pytest.approx(worst)
    assert nodes["conv"]["sensitivity"] == pytest.approx(table[table["op_name"] == "conv"]["L1"].max())
    steps = {step.fill for step in LIGHT.cosine}
    assert fills(workbench.view(colour="sensitivity"))["conv"] in steps


def test_an_unknown_colour_gets_the_nearest(workbench: q.Workbench) -> None:
    with pytest.raises(UnknownNameError, match="no colouring 'sensitivty'; did you mean 'sensitivity'"):
        workbench.view(colour="sensitivty")


def test_pictures_are_written_in_any_colour_and_theme(workbench: q.Workbench, tmp_path: Path) -> None:
    workbench.run()
    svg = workbench.save_picture(tmp_path / "graph.svg", colour="cost", theme="dark").read_text(encoding="utf-8")
    assert "Boundary cost" in svg
    assert DARK.background in svg
    assert workbench.save_picture(tmp_path / "graph.PNG", colour="dtype").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(q.QWorkbenchError, match=r"must end in \.svg or \.png"):
        workbench.save_picture(tmp_path / "graph.pdf")
    with pytest.raises(q.QWorkbenchError, match="cannot write"):
        workbench.save_picture(tmp_path / "no" / "graph.svg")


def test_what_leaves_a_folded_module_begins_below_its_sheets(workbench: q.Workbench) -> None:
    view = workbench.view(["head"])
    box = next(node for node in view["nodes"] if node["id"] == "head")
    edge = next(edge for edge in view["edges"] if edge["source"] == "head")
    assert edge["points"][0][1] >= box["y"] + box["h"] / 2 + 6
    into = next(edge for edge in view["edges"] if edge["target"] == "head")
    assert into["points"][-1][1] == pytest.approx(box["y"] - box["h"] / 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00123456, "0.00123"),
        (4.87e-5, "4.87e−5"),
        (-12.345, "−12.3"),
        (123456.0, "1.23e5"),
        (0.0, "0"),
        (1e-12, "1.00e−12"),
    ],
)
def test_numbers_are_written_as_the_widget_writes_them(value: float, text: str) -> None:
    assert number_text(value) == text
