"""The vendor's table from a workbench and from the magic: thresholds in force, cosines of the newest run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q

COLUMNS = ["node", "on", "subgraph", "type", "cosine", "threshold", "dtype"]


class Net(nn.Module):
    """A residual that stays elementwise, and a concat that requantizes one of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.act = nn.SiLU()
        self.side = nn.Conv2d(8, 8, 1)
        self.mix = nn.Conv2d(16, 4, 1)

    def forward(self, image):
        x = self.act(self.stem(image))
        return self.mix(torch.cat([x, self.side(x)], 1))


@pytest.fixture
def workbench():
    torch.manual_seed(0)
    images = torch.rand(8, 3, 8, 8)
    return q.Workbench(Net().eval(), images[:2], calibration=images, march="bayes-e")


def test_rows_carry_thresholds_before_and_cosines_after_a_run(workbench):
    table = workbench.vendor_table()
    assert list(table.columns) == COLUMNS
    assert table["type"].tolist() == [
        "HzSQuantizedPreprocess",
        "HzSQuantizedConv",
        "HzLut",
        "HzSQuantizedConv",
        "HzRequantize",
        "Concat",
        "HzSQuantizedConv",
    ]
    assert table["cosine"].isna().all()
    by_node = table.set_index("node")
    assert by_node["threshold"]["HZ_PREPROCESS_FOR_image"] == 127.0
    # side and the concat read the same tensor, mix reads the joint one
    assert by_node["threshold"]["side"] == by_node["threshold"].iloc[5]
    assert np.isnan(by_node["threshold"]["act_output_0_calibrated_Requantize"])
    run = workbench.run()
    after = workbench.vendor_table().set_index("node")
    assert after["cosine"]["mix"] == run.layers["cosine"]["mix"]
    assert after["cosine"]["act"] == run.layers["cosine"]["act"]
    assert np.isnan(after["cosine"]["act_output_0_calibrated_Requantize"])


def test_threshold_is_that_of_the_first_input(workbench):
    before = workbench.vendor_table().set_index("node")["threshold"]
    workbench.edit(q.FixScale("stem", 0.5))
    after = workbench.vendor_table().set_index("node")["threshold"]
    assert after["act"] == pytest.approx(0.5 * 127)
    assert after["stem"] == before["stem"]


def test_equal_scales_on_both_sides_need_no_requantize(workbench):
    concat = workbench.vendor_table().query("type == 'Concat'")["node"].item()
    workbench.edit(q.FixScale("act", 0.0625), q.FixScale(concat, 0.0625))
    assert "HzRequantize" not in workbench.vendor_table()["type"].tolist()


def test_an_uncalibrated_workbench_has_the_rows_and_no_thresholds():
    table = q.Workbench(Net().eval(), torch.rand(1, 3, 8, 8), march="bayes-e").vendor_table()
    assert table["threshold"].notna().sum() == 1
    assert len(table) == 7


def test_magic_returns_the_same_table(workbench):
    from argparse import Namespace
    from types import SimpleNamespace

    from qworkbench.magics.commands import COMMANDS

    found = COMMANDS["table"].run(SimpleNamespace(workbench=workbench), Namespace(form=None, file=None))
    assert found.equals(workbench.vendor_table())


# -- the vendor's formats ----
def test_each_form_prints_the_columns_of_its_version(workbench):
    from qworkbench.toolchain.result_tables import FORMS

    workbench.run()
    for form, columns in FORMS.items():
        table = workbench.result_table(form)
        title, rule, head, under, *rows = table.text.splitlines()
        assert [head.index(column) for column in columns] == sorted(head.index(column) for column in columns)
        assert len(rows) == len(table.frame)
        assert set(rule) == {"="}
        assert set(under) == {"-"}
        assert title.endswith(":")


def test_cells_read_as_the_tools_print_them(workbench):
    workbench.run()
    by_node = {row[0]: row for row in workbench.result_table("makertbin-dtype").cells}
    assert by_node["HZ_PREPROCESS_FOR_image"][5] == "127.0"
    assert by_node["act_output_0_calibrated_Requantize"][4:] == ["--", "--", "int8"]
    assert len(by_node["mix"][4].split(".")[1]) == 6
    older = {row[0]: row for row in workbench.result_table("makertbin-dtypes").cells}
    assert older["act_output_0_calibrated_Requantize"][4:6] == ["", ""]
    assert older["side"][6] == "int8/int8"
    assert older["mix"][6] == "int8/int32"  # the tail convolution
    assert workbench.result_table("checker").cells[0][3] == "HzSQuantizedPreprocess"


def test_the_output_table_has_the_distances_of_the_arrays(workbench):
    with pytest.raises(q.QWorkbenchError, match="nothing ran yet"):
        workbench.result_table("outputs")
    run = workbench.run()
    row = workbench.result_table("outputs").frame.iloc[0]
    name = row["Output"]
    with torch.no_grad():
        expected = workbench.model(workbench.example).numpy()
    difference = (run.outputs[name] - expected).astype(np.float64)
    assert row["L1 Distance"] == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert row["L2 Distance"] == pytest.approx(np.linalg.norm(difference) / difference.size, rel=1e-5)
    assert row["Chebyshev Distance"] == pytest.approx(np.abs(difference).max(), rel=1e-5)


def test_a_result_table_is_written_as_text_csv_and_html(workbench, tmp_path):
    import pandas as pd

    from qworkbench.errors import FileFormatError, UnknownNameError
    from qworkbench.magics.commands import COMMANDS
    from qworkbench.magics.state import State

    workbench.run()
    table = workbench.result_table()
    read = pd.read_csv(table.write(tmp_path / "t.csv"))
    assert read["Cosine Similarity"].to_numpy() == pytest.approx(
        table.frame["Cosine Similarity"].to_numpy(), nan_ok=True
    )
    assert (table.write(tmp_path / "t.txt")).read_text() == f"{table.text}\n"
    assert "<table" in table.write(tmp_path / "t.html").read_text()
    with pytest.raises(FileFormatError, match="must end in one of"):
        table.write(tmp_path / "t.xls")
    with pytest.raises(UnknownNameError, match="did you mean 'checker'"):
        workbench.result_table("cheker")
    state = State({})
    state.add("wb", workbench)
    command = COMMANDS["table"]
    assert "Chebyshev" in repr(command.run(state, command.parse(["--form", "outputs"])))
    assert "wrote" in repr(command.run(state, command.parse(["--file", str(tmp_path / "m.csv")])))
    assert (tmp_path / "m.csv").read_text() == table.csv


def test_names_are_escaped_in_html():
    import pandas as pd

    from qworkbench.toolchain.result_tables import FORMS, ResultTable

    frame = pd.DataFrame([["<script>", "BPU", "id(0)", "Conv"]], columns=list(FORMS["checker"]))
    assert "<script>" not in ResultTable("checker", frame).html


def test_only_declared_images_get_a_preprocess_row(workbench):
    assert workbench.vendor_table()["type"][0] == "HzSQuantizedPreprocess"
    workbench.declare_input(rt="featuremap", train="featuremap")
    assert "HzSQuantizedPreprocess" not in workbench.vendor_table()["type"].tolist()
    workbench.declare_input(rt="nv12", train="rgb")
    assert workbench.vendor_table()["type"][0] == "HzSQuantizedPreprocess"
