"""An ONNX file alone: what an example would have said comes from the first calibration sample."""

from __future__ import annotations

import pytest
import torch
from IPython.core.error import UsageError

import qworkbench as q
from qworkbench.toolchain.onnx_export import to_onnx

pytest.importorskip("onnx")


@pytest.fixture
def loaded(shell, qwb, tmp_path):
    model, x = shell.user_ns["model"], shell.user_ns["x"]
    to_onnx(q.capture(model, x), tmp_path / "model.onnx")
    qwb(f"load {tmp_path / 'model.onnx'}")
    return shell.magics_manager.registry["QWorkbenchMagics"].state.workbench


@pytest.mark.parametrize("method", ["default", "mix"])
def test_a_search_and_a_check_need_no_example(loaded, qwb, shell, method):
    assert loaded.sample is None
    result = qwb(f"calibrate images --method {method}")
    assert result.winner.score.cosine > 0.9
    assert qwb("check") is not None
    assert loaded.run().outputs
    again = qwb(f"calibrate --method {method}")
    assert [c.score for c in again.candidates] == [c.score for c in result.candidates]
    torch.testing.assert_close(torch.as_tensor(loaded.sample["image"]), shell.user_ns["images"][:1])


def test_new_data_is_compared_with_the_data_calibrated_before(loaded, qwb, shell):
    shell.user_ns["pixels"] = shell.user_ns["images"] * 255
    assert "nothing suspicious" in str(qwb("checkdata pixels"))
    qwb("calibrate images")
    assert "like raw pixels" in str(qwb("checkdata pixels"))


def test_an_array_of_samples_fits_a_file_of_fixed_batch(shell, qwb, tmp_path):
    onnx = pytest.importorskip("onnx")
    model, x = shell.user_ns["model"], shell.user_ns["x"]
    to_onnx(q.capture(model, x), tmp_path / "model.onnx")
    content = onnx.load(tmp_path / "model.onnx")
    for value in (*content.graph.input, *content.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(content, tmp_path / "fixed.onnx")
    qwb(f"load {tmp_path / 'fixed.onnx'}")
    assert "nothing suspicious" in str(qwb("checkdata images"))
    qwb("calibrate images")
    workbench = shell.magics_manager.registry["QWorkbenchMagics"].state.workbench
    assert (workbench.statistics.samples, workbench.input_shapes["image"][0]) == (16, 1)
    assert workbench.run().table["cosine"].min() > 0.99


def test_before_any_data_a_search_asks_for_it(loaded, qwb):
    with pytest.raises(UsageError, match="calibrat"):
        qwb("calibrate --method default")
