from __future__ import annotations

import pandas as pd
import pytest
from IPython.core.error import UsageError


def test_sensitivity_returns_the_table(loaded):
    table = loaded("sensitivity --inputs images --metric COSINE")
    assert isinstance(table, pd.DataFrame)
    assert table.COSINE.is_monotonic_increasing
    assert len(loaded("sensitivity --inputs images --top 2")) == 2
    assert set(loaded("sensitivity stem left").op_name) == {"stem", "left"}


def test_badcase_returns_the_worst_samples_and_goes_on(loaded, shell):
    whole = loaded("badcase images")
    assert "Name/Index" in str(whole)
    shell.user_ns["part"] = loaded("badcase images --limit 5")
    assert loaded("badcase images --resume part").indices.equals(whole.indices)
    assert list(loaded("badcase images --metric MSE SQNR").values.columns) == ["MSE", "SQNR"]


def test_compare_returns_the_layers_and_writes_them(loaded, tmp_path):
    assert "stem" in set(loaded("compare --inputs images").frame.mod_name)
    assert "wrote" in repr(loaded(f"compare --save {tmp_path / 'layers.csv'}"))
    assert (tmp_path / "layers.csv").exists()
    with pytest.raises(UsageError, match="must end in"):
        loaded("compare --save layers.doc")


def test_mixed_applies_as_one_step(loaded):
    found = loaded("mixed 0.99999 --inputs images --apply")
    if found.edits:
        assert len(loaded("journal")) == 1
        loaded("undo")
    assert len(found.trials) >= 1
    with pytest.raises(UsageError, match="not a number"):
        loaded("mixed much")
    with pytest.raises(UsageError, match="no COSINE is 2: it is between -1 and 1"):
        loaded("mixed 2 --inputs images")


def test_check_writes_the_guides_file(loaded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = loaded("check")
    assert (tmp_path / "model_check_result.txt").read_text() == f"{found}\n"
    loaded("check --save other.txt")
    assert (tmp_path / "other.txt").exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sensitivity stemm", "did you mean 'stem'"),
        ("sensitivity --metric cosine", "did you mean 'COSINE'"),
        ("sensitivity --inputs imagess", "did you mean 'images'"),
        ("sensitivity --budget 0.0001", "budget"),
    ],
)
def test_wrong_lines_end_in_one_sentence(loaded, line, expected):
    with pytest.raises(UsageError, match=expected) as error:
        loaded(line)
    assert "\n" not in str(error.value)


def test_known_ranges_are_proposed_and_fixed(loaded):
    found = loaded("fixed --range image=0,4")
    assert {"image", "softmax"} <= set(found.node) | {"softmax"}
    loaded("fixed --range image=0,4 --apply")
    assert "image" in str(loaded("diff"))
    with pytest.raises(UsageError, match="NAME=LOW,HIGH"):
        loaded("fixed --range image")


def test_regions_and_sharing(loaded):
    assert "region_off" in loaded("partial stem --inputs images").columns
    assert "explain" in repr(loaded("bisect --inputs images --share 0.5"))
    assert list(loaded("shared").kind) == ["A", "A"]
    loaded("sharing module")
    with pytest.raises(UsageError, match="no shared module 'stem'"):
        loaded("unshare stem")


def test_a_preview_is_marked_as_an_estimate(loaded):
    assert loaded("sensitivity --inputs images --preview --top 3").estimate.all()


def test_figures_are_shown(loaded):
    from matplotlib.figure import Figure

    for line in (
        "plot stem",
        "plot stem --channels --inputs images",
        "plot --metric accumulated",
        "plot --metric SQNR",
    ):
        assert isinstance(loaded(line), Figure)


def test_a_recipe_is_run_and_applied(loaded):
    found = loaded("recipe j6m 0.9 --inputs images --apply")
    assert found.reached
    assert "nash-m" in str(loaded("diff"))
    with pytest.raises(UsageError, match="j6m"):
        loaded("recipe j7 0.9")


def test_another_candidate_of_a_search_is_one_step(loaded):
    with pytest.raises(UsageError, match="there was no search yet"):
        loaded("calibrate --candidate kl")
    found = loaded("calibrate --method default")
    other = "max" if found.applied.method.name != "max" else "kl"
    assert "calibration is" in repr(loaded(f"calibrate --candidate {other}"))
    assert len(loaded("journal")) == 2
    with pytest.raises(UsageError, match="did you mean 'max'"):
        loaded("calibrate --candidate maxx")


def test_the_picture_takes_any_colour_and_is_written(loaded, tmp_path):
    assert "Quantization class" in loaded("graph --colour class").svg
    target = tmp_path / "graph.svg"
    assert "wrote" in repr(loaded(f"graph --colour subgraph --theme dark --save {target}"))
    assert "subgraph 0" in target.read_text()
    with pytest.raises(UsageError, match="did you mean 'class'"):
        loaded("graph --colour clas")
    with pytest.raises(UsageError, match="must end in"):
        loaded("graph --save graph.pdf")
