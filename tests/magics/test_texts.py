"""What a user reads: one line per mistake, commands that can be pasted back, tables in a terminal."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from IPython.core.error import UsageError
from IPython.lib.pretty import pretty
from torch import nn

from qworkbench.magics.completion import candidates
from qworkbench.magics.registry import GROUPS


@pytest.fixture
def oddly_named(qwb, shell):
    layers = OrderedDict([("with space", nn.Conv2d(1, 4, 3)), ("n" * 300, nn.ReLU()), ("<b>", nn.Softmax(1))])
    shell.user_ns["odd"] = nn.Sequential(layers).eval()
    qwb("load odd --calibration images")
    return qwb


def test_a_suggested_command_can_be_pasted_back(oddly_named):
    line = next(text for text in repr(oddly_named("why 'with space'")).splitlines() if "%qwb" in text)
    command = line.split("[%qwb ")[1].rstrip("]")
    assert "run_on_cpu" in repr(oddly_named(command))


def test_names_that_hold_spaces_complete_in_quotes(oddly_named, shell):
    state = shell.magics_manager.registry["QWorkbenchMagics"].state
    for typed in ("wi", "'with s", '"with'):
        assert candidates(state, f"%qwb why {typed}") == (["'with space'"], typed)


def test_a_list_of_names_shortens_the_long_ones(oddly_named):
    with pytest.raises(UsageError) as error:
        oddly_named("why zzzz")
    assert "nnn...nnn" in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("line", ["load", "load model --march", "run images", "why a b", "cpu stem --why", "undo -1"])
def test_a_line_that_cannot_be_read_is_answered_in_one_line(loaded, line):
    with pytest.raises(UsageError) as error:
        loaded(line)
    assert "\n" not in str(error.value)
    assert "'-h'" not in str(error.value)


def test_a_percentile_without_its_method_is_not_ignored(loaded):
    for line in ("calibrate images --percentile 0.9", "load model --calibration images --percentile 0.9"):
        with pytest.raises(UsageError, match="belongs to --method max-percentile"):
            loaded(line)
    assert "max-percentile 0.9" in repr(loaded("calibrate images --method max-percentile --percentile 0.9"))


def test_a_refusal_is_told_each_time(loaded):
    for _ in range(2):
        assert "run_on_bpu is refused" in repr(loaded("bpu concat"))


def test_only_the_users_own_variables_are_offered(qwb, shell):
    state = shell.magics_manager.registry["QWorkbenchMagics"].state
    names = candidates(state, "%qwb load ")[0]
    assert {"model", "x", "images"} <= set(names)
    assert not {"In", "Out", "exit", "quit", "open", "get_ipython"} & set(names)
    with pytest.raises(UsageError) as error:
        qwb("load nope")
    assert "'open'" not in str(error.value)


def test_options_with_an_equals_sign_complete(loaded, shell):
    state = shell.magics_manager.registry["QWorkbenchMagics"].state
    assert candidates(state, "%qwb load model --march=bern")[0] == ["--march=bernoulli2"]


def test_inputs_and_workbenches_complete_where_they_are_taken(loaded, shell):
    state = shell.magics_manager.registry["QWorkbenchMagics"].state
    assert candidates(state, "%qwb scale im")[0] == ["image"]
    assert candidates(state, "%qwb bpu im")[0] == []
    assert candidates(state, "%qwb use ")[0] == ["model"]


def test_a_run_shows_outputs_and_the_nodes_that_moved_most(loaded):
    assert "Nodes that changed most" not in loaded("run")._repr_html_()
    loaded("dtype left int16")
    run = loaded("run")
    for text in (run._repr_html_(), pretty(run)):
        assert "Outputs against float" in text
        assert "Nodes that changed most" in text
        assert "left" in text


def test_a_fused_add_is_not_said_to_run_inside_itself(qwb, shell):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

        def forward(self, x):
            y = self.a(x)
            return self.b(self.a(y) + y)

    shell.user_ns["residual"] = Residual().eval()
    qwb("load residual --calibration images")
    placement = qwb("use").placement
    for name, placed in ((name, placement[name]) for name in placement):
        assert f"{name!r} runs inside {name!r}" not in placed.reason.sentence


def test_every_section_of_the_guide_comes_once(qwb):
    text = repr(qwb(""))
    assert [text.count(f"\n{heading}\n") for heading in GROUPS.values()] == [1] * len(GROUPS)
