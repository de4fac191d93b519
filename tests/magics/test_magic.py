from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from IPython.core.error import UsageError
from torch import nn

import qworkbench as q


def test_bare_qwb_prints_a_guide_that_names_every_command(qwb):
    from qworkbench.magics.commands import COMMANDS

    text = repr(qwb(""))
    assert all(f"  {name} " in text for name in COMMANDS)


def test_every_command_has_help_with_its_arguments(qwb):
    from qworkbench.magics.commands import COMMANDS

    for command in COMMANDS.values():
        text = repr(qwb(f"{command.name} --help"))
        assert f"%qwb {command.name}" in text
        assert command.summary in text
        assert all(argument.key.replace("_", "-") in text for argument in command.arguments)


def test_the_session_of_the_readme(loaded, shell, tmp_path):
    assert "on the CPU" in repr(loaded("why concat"))
    assert "softmax: CPU float32 -> BPU int8" in repr(loaded("bpu softmax"))
    assert "_unitconv_0: inserted" in repr(loaded("unitconv concat --after"))
    loaded("scale stem 0.0078125")
    loaded("dtype left int16   # a comment, as in the guide")
    run = loaded("run")
    assert set(run.table.index) == set(run.outputs)
    layers = loaded("layers --sort cosine")
    assert isinstance(layers, pd.DataFrame)
    assert layers["cosine"].dropna().is_monotonic_increasing
    assert "dtypes left" in repr(loaded("diff"))
    assert "undo: left" in repr(loaded("undo"))
    assert "redo: left" in repr(loaded("redo"))
    path = tmp_path / "state.qwb.json"
    loaded(f"save {path}")
    loaded("reset")
    assert "nothing differs" in repr(loaded("diff"))
    loaded(f"open {path} --model model")
    assert len(loaded("journal")) == 4
    assert loaded("run").table["cosine"].tolist() == run.table["cosine"].tolist()


def test_why_tells_how_many_thresholds_there_are_and_who_decided_them(loaded):
    text = repr(loaded("why left"))
    assert "weight, int8: 4 thresholds, one per channel (axis 0)" in text
    assert "the largest magnitude of each output channel" in text
    loaded("calibrate images --per-channel")
    assert "input 'relu', int8: 4 thresholds, one per channel (axis 1)" in repr(loaded("why right"))
    html = loaded("why left")._repr_html_()
    assert "thresholds" in html


def test_values_are_returned_so_that_they_can_be_assigned(loaded, shell):
    shell.run_cell("t = %qwb layers")
    assert isinstance(shell.user_ns["t"], pd.DataFrame)
    shell.run_cell("wb = %qwb use")
    assert isinstance(shell.user_ns["wb"], q.Workbench)


def test_layers_stay_with_the_inputs_of_the_newest_run_and_say_so(loaded, shell):
    run = loaded("run --inputs images")
    first = loaded("layers")
    assert repr(first).startswith("measured on 'images'\n")
    assert "measured on &#x27;images&#x27;" in first._repr_html_()
    assert first["cosine"].equals(run.layers["cosine"])
    # behind an edit they are measured anew, and still on the same inputs
    loaded("scale stem 0.05")
    again = loaded("layers")
    assert repr(again).startswith("measured on 'images'\n")
    expected = shell.user_ns["wb"] = loaded("use")
    assert again["cosine"].equals(expected.run(shell.user_ns["images"]).layers["cosine"])
    assert not again["cosine"].equals(expected.run().layers["cosine"])
    # unless told otherwise
    loaded("run")
    assert repr(loaded("layers")).startswith("measured on the example\n")
    assert repr(loaded("layers --inputs images --on bpu")).startswith("measured on 'images'\n")
    loaded("undo")
    assert repr(loaded("layers")).startswith("measured on 'images'\n")


def test_layers_can_be_limited_to_one_device(loaded):
    assert set(loaded("layers --on cpu")["on"]) == {"CPU"}


def test_a_cell_is_one_command_a_line_and_shows_the_last_value(loaded, shell):
    result = shell.run_cell("%%qwb\nbpu softmax\n# a comment\n\n%qwb journal\n")
    assert "run_on_bpu" in repr(result.result)


def test_an_error_in_a_cell_names_the_line(loaded, shell, capsys):
    result = shell.run_cell("%%qwb\nbpu softmax\nbpu sofmax\n")
    assert isinstance(result.error_in_exec, UsageError)
    assert "line 2: no node 'sofmax'" in str(result.error_in_exec)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("grahp", ["no %qwb command 'grahp'", "'graph'"]),
        ("why sofmax", ["no node 'sofmax'", "'softmax'"]),
        ("why", ["%qwb why", "node"]),
        ("bpu", ["%qwb bpu", "nodes"]),
        ("load modle --example x", ["no notebook variable 'modle'", "'model'"]),
        ("load model --exmple x", ["no option '--exmple'", "'--example'"]),
        ("load model --march bayes-x", ["no march 'bayes-x'", "'bayes-e'"]),
        ("load x[0] --example x", ["'x[0]' is not the name of a notebook variable"]),
        ("load x --example x", ["torch.nn.Module"]),
        ("scale stem -0.1", ["scale of 'stem' must be > 0", "-0.1"]),
        ("scale stem nan", ["scale of 'stem' must be > 0 and finite"]),
        ("scale stem much", ["'much' is not a number"]),
        ("scale stem", ["%qwb scale NODE SCALE"]),
        ("dtype stem int4", ["no dtype 'int4'"]),
        ("dtype nothere int16", ["no node 'nothere'"]),
        ("unitconv concat --after --before", ["not both"]),
        ("open /nowhere/x.qwb.json", ["no file '/nowhere/x.qwb.json'"]),
        ("save /nowhere/x.qwb.json", ["cannot write '/nowhere/x.qwb.json'"]),
        ("report /nowhere/x.html", ["cannot write '/nowhere/x.html'"]),
        ("picture graph.txt", ["must end in .svg or .png"]),
        ("calibrate x2", ["no notebook variable 'x2'"]),
        ("calibrate --method maximum", ["no method 'maximum'", "'max'"]),
        ("undo", ["nothing to undo"]),
        ("run extra", ["does not take 'extra'"]),
        ("why 'softmax", ["No closing quotation"]),
    ],
)
def test_wrong_input_is_one_clear_line_and_changes_nothing(loaded, shell, line, words):
    wb = loaded("use")
    before = (wb.config, wb.journal)
    with pytest.raises(UsageError) as error:
        loaded(line)
    text = str(error.value)
    assert "\n" not in text.strip()
    assert all(word in text for word in words), text
    assert (loaded("use").config, loaded("use").journal) == before


def test_without_a_model_commands_say_how_to_load_one(qwb):
    with pytest.raises(UsageError, match="%qwb load MODEL"):
        qwb("graph")


def test_several_workbenches_live_side_by_side(loaded, shell):
    loaded("load model --example x --name second --march bayes")
    assert loaded("use").march == "bayes"
    loaded("use model")
    assert loaded("use").march == "bayes-e"
    shell.user_ns["mine"] = loaded("use second")
    assert loaded("use mine").march == "bayes"
    assert len(loaded("list")) == 3


def test_picture_has_four_still_forms(loaded):
    data = loaded("graph")._repr_mimebundle_()
    assert set(data) == {"application/vnd.qworkbench.view+json", "image/png", "image/svg+xml", "text/plain"}
    assert data["image/svg+xml"].startswith("<svg")


def test_loading_twice_is_harmless_and_unloading_removes_exactly_what_it_added(shell):
    matchers = len(shell.Completer.custom_matchers)
    shell.run_line_magic("load_ext", "qworkbench")
    q.load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == matchers
    others = [m for m in shell.Completer.custom_matchers if m.matcher_identifier != "qworkbench.qwb"]
    q.unload_ipython_extension(shell)
    assert shell.Completer.custom_matchers == others
    assert "qwb" not in shell.magics_manager.magics["line"]
    assert "qwb" not in shell.magics_manager.magics["cell"]
    q.load_ipython_extension(shell)


def test_load_ext_imports_nothing_heavy():
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell;"
        "s = InteractiveShell.instance(); before = set(sys.modules);"
        "s.run_line_magic('load_ext', 'qworkbench');"
        "new = {m.split('.')[0] for m in set(sys.modules) - before};"
        "heavy = 'torch numba ipywidgets anywidget pandas matplotlib networkx numpy'.split();"
        "print(sorted(new.intersection(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_an_absurd_scale_is_told_in_the_answer(qwb):
    qwb("load model --example x --calibration images --march bayes-e")
    assert "every value becomes 0" in str(qwb("scale stem 1e30"))


def test_new_data_keeps_the_calibration_method_in_force(loaded, shell):
    loaded("calibrate --method max-percentile --percentile 0.999")
    assert "max-percentile 0.999" in repr(loaded("calibrate images"))
    assert len(loaded("journal")) == 1
    loaded("calibrate --method max")
    assert loaded("use").config.calibration.name == "max"
    with pytest.raises(UsageError, match="give data, a method or both"):
        loaded("calibrate")


def test_a_folder_without_its_slash_is_told_how_to_be_written(loaded, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="write photos/"):
        loaded("calibrate photos")


def test_loading_again_keeps_the_edits_of_before_within_reach(loaded, shell):
    assert "kept" not in repr(loaded("load model --calibration images"))
    loaded("bpu softmax")
    assert "%qwb use model.before" in repr(loaded("load model --calibration images"))
    assert loaded("use").journal == ()
    assert loaded("use model.before").journal == ("softmax: run_on_bpu",)


def test_the_counts_of_load_add_up(loaded, shell):
    first = repr(loaded("load model --calibration images")).splitlines()[0]
    numbers = [int(word) for word in first.replace(",", " ").split() if word.isdigit()]
    assert numbers[0] == numbers[1] + sum(numbers[3:])


def test_the_last_part_of_a_name_finds_it_in_its_module(shell, qwb):
    shell.user_ns["model"] = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 1), Softly()), nn.Conv2d(2, 2, 1)).eval()
    qwb("load model")
    with pytest.raises(UsageError, match=r"did you mean '0.1._generated_softmax_0'"):
        qwb("why 0.1.softmax")
    with pytest.raises(UsageError, match=r"did you mean '0.1._generated_softmax_0'"):
        qwb("why sofmax")


class Softly(nn.Module):
    """A softmax without a module of its own."""

    def forward(self, x):
        return x.softmax(1)


def test_an_interrupt_is_one_line_and_leaves_the_workbench_as_it_was(loaded, monkeypatch):
    def interrupted(self, *given, **options):
        raise KeyboardInterrupt

    loaded("bpu softmax")
    monkeypatch.setattr(q.Workbench, "sensitivity", interrupted)
    with pytest.raises(UsageError, match="%qwb sensitivity was interrupted"):
        loaded("sensitivity")
    assert loaded("use").journal == ("softmax: run_on_bpu",)


def test_a_picture_says_when_it_is_in_columns_and_both_commands_write_the_same(qwb, shell, tmp_path):
    shell.user_ns["long"] = nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(60))).eval()
    qwb("load long --example x")
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    said = repr(qwb(f"graph --save {one} --colour class --theme dark"))
    assert "columns, since one would be" in said
    assert "--full" in said
    assert repr(qwb(f"picture {other} --colour class --theme dark")) == said.replace("one.svg", "other.svg")
    assert one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")
    assert repr(qwb(f"picture {other} --full")) == f"wrote {other}"
