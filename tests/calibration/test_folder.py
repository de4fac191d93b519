"""Samples in folders: .npy, raw float32 by the ``_f32`` rule, several inputs, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from qworkbench.errors import CalibrationError


def thresholds(wb):
    return {name: sketch.absmax for name, sketch in wb.statistics.sketches.items()}


def test_a_folder_of_npy_and_one_of_raw_float32_equal_the_array(make_workbench, samples, tmp_path):
    expected = thresholds(make_workbench())
    npy, raw = tmp_path / "npy", tmp_path / "images_f32"
    npy.mkdir()
    raw.mkdir()
    (raw / "README.txt").write_text("not a sample")
    for i, sample in enumerate(samples.numpy()):
        np.save(npy / f"{i}.npy", sample if i % 2 else sample[None])
        sample.tofile(raw / f"{i}.bin")
    for folder in (npy, str(raw)):
        wb = make_workbench(calibration=folder)
        assert wb.statistics.samples == len(samples)
        assert thresholds(wb) == pytest.approx(expected, rel=1e-5)


def test_a_raw_folder_without_the_suffix_holds_uint8(make_workbench, tmp_path):
    (tmp_path / "images").mkdir()
    np.full((3, 8, 8), 200, np.uint8).tofile(tmp_path / "images" / "0.rgb")
    assert make_workbench(calibration=tmp_path / "images").statistics.sketches["x"].absmax == 200.0


BAD = {
    "missing": (lambda path: path / "nowhere", "not a folder"),
    "empty": (lambda path: path, "holds no samples"),
    "float in a folder without suffix": (lambda path: raw(path / "images", np.float32), "fits float32: rename"),
    "uint8 in a folder with suffix": (lambda path: raw(path / "images_f32", np.uint8), "fits uint8: rename"),
    "another size": (lambda path: raw(path / "images_f32", np.float32, (3, 4, 4)), "bytes, not 768"),
    "damaged": (lambda path: damaged(path / "images"), "no readable .npy"),
    "two folders for one input": (lambda path: f"{path};{path}", "2 folders for 1 inputs"),
}


def raw(folder, dtype, shape=(3, 8, 8)):
    folder.mkdir()
    np.ones(shape, dtype).tofile(folder / "0.bin")
    return folder


def damaged(folder):
    folder.mkdir()
    (folder / "0.npy").write_bytes(b"not numpy")
    return folder


@pytest.mark.parametrize("name", BAD)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(make_workbench, tmp_path, name):
    make, pattern = BAD[name]
    with pytest.raises(CalibrationError, match=pattern) as caught:
        make_workbench(calibration=make(tmp_path))
    assert "\n" not in str(caught.value)
