from __future__ import annotations

import pytest

from qworkbench.magics.completion import candidates


@pytest.fixture
def complete(loaded, shell):
    state = shell.magics_manager.registry["QWorkbenchMagics"].state

    def run(line: str, **options) -> list[str]:
        found = candidates(state, line, **options)
        assert found is not None
        return found[0]

    return run


def test_commands_complete_by_prefix(complete):
    assert complete("%qwb un") == ["unitconv", "unshare", "undo"]
    assert complete("t = %qwb lay") == ["layers"]


def test_options_complete_after_dashes_and_each_only_once(complete):
    assert "--example" in complete("%qwb load model --")
    assert "--example" not in complete("%qwb load model --example x --")


def test_node_names_complete_by_prefix_first_then_by_part(complete):
    assert complete("%qwb why so") == ["softmax"]
    assert complete("%qwb bpu softmax con") == ["concat"]
    assert complete("%qwb why eft") == ["left"]


def test_values_of_options_complete(complete):
    assert complete("%qwb load model --march bayes") == ["bayes", "bayes-e"]
    assert complete("%qwb load model --example ima") == ["images"]
    assert complete("%qwb dtype stem int1") == ["int16"]
    assert complete("%qwb layers --sort cos") == ["cosine"]


def test_files_complete(complete, tmp_path):
    (tmp_path / "state.qwb.json").write_text("{}")
    assert complete(f"%qwb open {tmp_path}/st") == [f"{tmp_path}/state.qwb.json"]


def test_lines_of_a_cell_complete_too(complete):
    assert complete("why so", inside_cell=True) == ["softmax"]


def test_other_lines_are_left_alone(loaded, shell):
    state = shell.magics_manager.registry["QWorkbenchMagics"].state
    assert candidates(state, "import os") is None


def test_the_shell_offers_them(loaded, shell):
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        line = "%qwb why so"
        found = [c.text for c in shell.Completer.completions(line, len(line))]
    assert "softmax" in found
