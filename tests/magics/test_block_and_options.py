"""``%%qwb`` is one step or none, ``%config QWorkbench`` holds defaults, and unloading leaves no trace of either."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.utils.capture import capture_output
from torch import nn

from qworkbench.magics.commands import COMMANDS
from qworkbench.magics.commands.editing import MULTIPLIERS, ROUNDINGS
from qworkbench.magics.reference import page
from qworkbench.workbench.edits.model import ARITHMETIC_CHOICES

ROOT = Path(__file__).parents[2]


def cell(shell, *lines):
    result = shell.run_cell("%%qwb\n" + "\n".join(lines))
    return result.result, str(result.error_in_exec or "")


def test_the_edits_of_a_cell_are_one_step(loaded, shell):
    _, error = cell(shell, "unitconv concat --after", "dtype stem int16", "bpu softmax")
    assert error == ""
    assert len(loaded("use").journal) == 1
    loaded("undo")
    assert loaded("use").journal == ()
    assert loaded("use").config.unit_convs == ()


def test_a_failing_line_applies_nothing_and_names_itself(loaded, shell):
    _, error = cell(shell, "dtype stem int16", "bpu sofmax")
    assert error.startswith("line 2: no node 'sofmax'; did you mean 'softmax'?")
    assert "nothing of the cell was applied" in error
    assert loaded("use").journal == ()


def test_lines_that_contradict_each_other_are_refused_as_a_whole(loaded, shell):
    _, error = cell(shell, "cpu stem", "bpu stem")
    assert error.startswith("the edits contradict")
    assert loaded("use").journal == ()


def test_what_a_failed_cell_loaded_is_gone(loaded, shell):
    _, error = cell(shell, "load model --name second", "cpu nothing")
    assert "line 2" in error
    assert "second" not in str(loaded("list"))
    assert loaded("use").title.startswith("Net")


def test_a_cell_may_run_in_between_and_shows_its_last_value(loaded, shell):
    value, _ = cell(shell, "cpu stem", "run", "dtype left int16", "layers")
    assert value.loc["stem", "on"] == "CPU"


def test_defaults_are_set_and_checked(shell, qwb, caplog):
    shell.run_cell("%config QWorkbench.march = 'bayes'")
    qwb("load model --calibration images")
    assert qwb("use").march == "bayes"
    shell.run_cell("%config QWorkbench.march = 'bays'")
    assert "no march 'bays'; did you mean 'bayes'" in caplog.text
    shell.run_line_magic("unload_ext", "qworkbench")
    shell.run_line_magic("load_ext", "qworkbench")
    shell.run_cell("%qwb load model")
    assert qwb("use").march == "bayes-e"


def test_with_run_set_an_edit_shows_the_outputs(loaded, shell):
    shell.run_cell("%config QWorkbench.run = True")
    assert "cosine" in repr(loaded("cpu stem"))
    assert not loaded("use").stale


def test_the_widget_opens_in_the_colours_that_were_set(loaded, shell):
    shell.run_cell("%config QWorkbench.colouring = 'dtype'")
    assert loaded("workbench").colouring == "dtype"


def test_unloading_removes_the_options_too(shell):
    names = [type(c).__name__ for c in shell.configurables]
    assert names.count("QWorkbench") == 1
    shell.run_line_magic("unload_ext", "qworkbench")
    assert "QWorkbench" not in [type(c).__name__ for c in shell.configurables]
    assert "QWorkbench" not in shell.config
    shell.run_line_magic("load_ext", "qworkbench")


def test_arithmetic_is_one_step_or_a_list(loaded):
    assert "rounding = half_even" in repr(loaded("arithmetic"))
    loaded("arithmetic --rounding half_up --scale-denominator 128")
    assert loaded("use").config.arithmetic.scale_denominator == 128
    assert len(loaded("use").journal) == 1
    with pytest.raises(Exception, match="no rounding 'half_dow'; did you mean"):
        loaded("arithmetic --rounding half_dow")


def test_the_choices_of_the_arithmetic_are_those_of_the_edit():
    assert tuple(ARITHMETIC_CHOICES["rounding"]) == ROUNDINGS
    assert tuple(ARITHMETIC_CHOICES["multiplier_int8"]) == MULTIPLIERS


def test_a_node_named_like_an_option_can_be_reached(shell, qwb):
    inner = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    odd = nn.Sequential()
    odd.add_module("--help", inner[0])
    odd.add_module("relu", inner[1])
    shell.user_ns["model"] = odd.eval()
    qwb("load model")
    assert "usage" in repr(qwb("why --help"))
    assert "--help (Conv" in repr(qwb("why -- --help"))
    qwb("cpu -- --help")
    assert qwb("use").config.on == {"--help": "cpu"}


def test_the_page_of_commands_is_the_table():
    assert (ROOT / "docs" / "magics.md").read_text(encoding="utf-8") == page(), (
        "python -m qworkbench.magics.reference docs/magics.md"
    )
    assert all(f"### `{name}`" in page() for name in COMMANDS)


def test_a_block_shows_what_each_of_its_lines_says(shell, qwb):
    qwb("load model --example x --calibration images")
    with capture_output() as shown:
        result = shell.run_cell("%%qwb\nbpu softmax\nunitconv concat --after\ndiff\njournal")
    texts = [output.data["text/plain"] for output in shown.outputs if output.data]
    assert any("softmax: CPU float32 -> BPU int8" in text for text in texts)
    assert any("on softmax: auto -> bpu" in text for text in texts)
    assert not any("%qwb run shows" in text for text in texts)
    assert len(result.result) == 2
    assert len(qwb("journal")) == 1
