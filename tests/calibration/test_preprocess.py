"""Declared preprocessing: colour formats, mean and scale, the node in integers, images in folders, edit and magic."""

from __future__ import annotations

import colorsys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import qworkbench as q
from qworkbench.calibration.preprocess import RUNTIME, Preprocess
from qworkbench.emulator.preprocess import preprocess_codes
from qworkbench.errors import CalibrationError, EditError, QWorkbenchError, QWorkbenchWarning, UnknownNameError
from qworkbench.numerics import reference
from qworkbench.numerics.image import nv12_to_yuv444, rgb_to_yuv444, yuv444_to_nv12, yuv_to_rgb

Image = pytest.importorskip("PIL.Image")
MEAN, SCALE = (123.675, 116.28, 103.53), (0.0171, 0.0175, 0.0174)
PAIRS = [(train, rt) for train, rts in RUNTIME.items() if train != "featuremap" for rt in rts]


def picture(height=8, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def smooth(height=8, width=8):
    """An image whose chroma is constant over two by two pixels, which NV12 keeps."""
    small = np.random.default_rng(1).integers(0, 256, (height // 2, width // 2, 3)).astype(np.uint8)
    return small.repeat(2, axis=0).repeat(2, axis=1)


def test_yuv_agrees_with_pillows_and_with_the_standard_librarys():
    image = picture(32, 32)
    ours = rgb_to_yuv444(image).astype(int)
    pillows = np.asarray(Image.fromarray(image).convert("YCbCr")).astype(int)
    assert np.abs(ours - pillows).max() <= 1
    y, _, _ = colorsys.rgb_to_yiq(*(image[0, 0] / 255))
    assert ours[0, 0, 0] == pytest.approx(y * 255, abs=1.5)


@pytest.mark.parametrize("space", ["regular", "bt601_video"])
def test_rgb_to_yuv_and_back_is_the_same_image_within_rounding(space):
    image = picture(16, 16)
    matrix, offset = yuv_to_rgb(space)
    back = (rgb_to_yuv444(image, space).astype(float) - 128) @ matrix.T + offset
    assert np.abs(back - image).max() < 2.0
    white = np.full((1, 1, 3), 255, np.uint8)
    assert rgb_to_yuv444(white, space)[0, 0].tolist() == [255 if space == "regular" else 235, 128, 128]


def test_nv12_keeps_luma_and_halves_chroma():
    yuv = rgb_to_yuv444(picture(6, 4))
    nv12 = yuv444_to_nv12(yuv)
    assert nv12.shape == (9, 4)
    back = nv12_to_yuv444(nv12)
    np.testing.assert_array_equal(back[..., 0], yuv[..., 0])
    assert np.abs(back[:2, :2, 1].astype(float) - yuv[:2, :2, 1].mean()).max() <= 0.5
    with pytest.raises(CalibrationError, match="even height and width, got 5 x 4"):
        yuv444_to_nv12(yuv[:5])


@pytest.mark.parametrize(("train", "rt"), PAIRS)
def test_every_runtime_type_gives_the_model_what_training_gave_it(train, rt):
    image = smooth()
    channels = 1 if train == "gray" else 3
    declared = Preprocess(rt, train, MEAN[:channels], SCALE[:channels])
    found = declared.floats(declared.intermediate(declared.runtime(image)))
    pixels = {
        "rgb": image,
        "bgr": image[..., ::-1],
        "yuv444": rgb_to_yuv444(image),
        "gray": rgb_to_yuv444(image)[..., :1],
    }[train]
    expected = declared.normalised(pixels.transpose(2, 0, 1)[None])
    assert found.shape == expected.shape
    # one rounding of each YUV value, times the largest coefficient, times the scale
    assert np.abs(found - expected).max() <= (0.02 * 2 if rt in ("nv12", "yuv444") else 1e-5)


@given(
    st.sampled_from(PAIRS),
    st.sampled_from(["int8", "int16"]),
    st.floats(0.004, 0.2),
    st.sampled_from(["half_even", "half_away", "half_up"]),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_the_node_in_integers_equals_the_reference_bit_for_bit(pair, dtype, scale, rounding, seed):
    from qworkbench.numerics.arithmetic import Arithmetic

    train, rt = pair
    channels = 1 if train == "gray" else 3
    declared = Preprocess(rt, train, MEAN[:channels], SCALE[:channels])
    x = declared.intermediate(declared.runtime(picture(6, 10, seed)))
    arithmetic = Arithmetic(rounding=rounding)
    found = preprocess_codes(declared, x, scale, dtype, arithmetic)
    np.testing.assert_array_equal(found, preprocess_codes(declared, x, scale, dtype, arithmetic, reference))
    assert found.dtype == dtype
    if scale >= 0.03 and dtype == "int8":  # wide enough for the range; weights of int8 cost up to two codes more
        floats = np.clip(np.rint(declared.floats(x) / scale), -128, 127)
        assert np.abs(found - floats).max() <= 2


def test_mean_and_scale_land_in_the_bias_as_the_documents_say():
    declared = Preprocess("rgb", "rgb", (100.0, 0.0, 50.0), (0.5, 1.0, 2.0))
    weight, bias = declared.affine()
    np.testing.assert_array_equal(weight, np.diag([0.5, 1.0, 2.0]))
    np.testing.assert_array_equal(bias, [(128 - 100) * 0.5, 128.0, (128 - 50) * 2.0])


BAD = {
    "type": (lambda: Preprocess("nv21", "rgb"), "did you mean 'nv12'"),
    "pair": (lambda: Preprocess("rgb", "yuv444"), "takes yuv444, nv12 at runtime, not rgb"),
    "numbers": (lambda: Preprocess("rgb", "rgb", (1.0, 2.0)), "needs 1 number or 3"),
    "featuremap": (lambda: Preprocess("featuremap", "featuremap", (1.0,)), "neither mean nor scale"),
    "dtype": (lambda: Preprocess().runtime(np.zeros((4, 4, 3))), "uint8 pixels, got float64"),
    "shape": (lambda: Preprocess().runtime(np.zeros((3, 4, 4), np.uint8)), r"\(H, W, 3\)"),
    "size": (lambda: Preprocess().fitted(picture(4, 4), (8, 8)), "resize it as in training"),
    "not nv12": (lambda: Preprocess("nv12").intermediate(np.zeros((4, 4), np.uint8)), r"\(H \* 3 / 2, W\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_refused_in_one_line(name):
    make, pattern = BAD[name]
    with pytest.raises(QWorkbenchError, match=pattern) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fit", ["resize", "crop"])
def test_an_image_of_another_size_is_fitted_as_declared(fit):
    image = picture(10, 16)
    found = Preprocess(fit=fit).fitted(image, (8, 8))
    assert found.shape == (8, 8, 3)
    if fit == "crop":
        whole = np.asarray(Image.fromarray(image).resize((13, 8), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(found, whole[:, 2:10])


# -- on a workbench ----
@pytest.fixture
def declared(wb):
    wb.declare_input(rt="nv12", train="rgb", mean=MEAN, std=[58.4, 57.1, 57.4])
    return wb


def test_a_declaration_is_an_edit_that_survives_undo_file_and_code(declared, mixed_model, tmp_path):
    declaration = declared.config.inputs["x"]
    assert declaration.scale == pytest.approx((1 / 58.4, 1 / 57.1, 1 / 57.4))
    declared.save(tmp_path / "state.qwb.json")
    opened = q.Workbench.open(tmp_path / "state.qwb.json", mixed_model)
    assert opened.config.inputs == declared.config.inputs
    fresh = q.Workbench(mixed_model, declared.example)
    exec(declared.as_code(), {"wb": fresh, "q": q})
    assert fresh.config.inputs == declared.config.inputs
    assert any("inputs x: as it is -> rt nv12" in line for line in declared.diff())
    declared.undo()
    assert not declared.config.inputs


def test_a_prepared_image_runs_and_its_integers_are_read_as_they_are(declared):
    image = smooth()
    feed = declared.prepare(image)
    np.testing.assert_allclose(
        feed["x"], declared.config.inputs["x"].normalised(image.transpose(2, 0, 1)[None]), atol=0.05
    )
    declared.calibrate([feed])
    exact = declared.prepare(image, integers=True)
    plan = declared._stages.plan(declared.config)
    scale = plan.quantities["x@int8"].scale
    intermediate = declared.config.inputs["x"].intermediate(declared.config.inputs["x"].runtime(image))
    codes = preprocess_codes(declared.config.inputs["x"], intermediate, float(scale[0]), operators=reference)
    run = declared.run(exact)
    np.testing.assert_array_equal(np.rint(exact["x"] / scale), codes)
    assert run.table["cosine"].min() > 0.9
    runtime = declared.config.inputs["x"].runtime(image)
    np.testing.assert_array_equal(declared.prepare(runtime)["x"], feed["x"])


def test_a_folder_of_images_goes_through_the_declaration_and_equals_the_arrays(declared, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    images = [smooth(), picture()]
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    declared.calibrate(str(folder))
    found = {name: s.absmax for name, s in declared.statistics.sketches.items()}
    declared.calibrate([declared.prepare(image) for image in images])
    assert found == {name: s.absmax for name, s in declared.statistics.sketches.items()}
    assert declared.check_data(str(folder)) == []


def test_an_opened_state_reads_a_folder_as_its_steps_declare(declared, mixed_model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(picture()).save(folder / "0.png")
    declared.calibrate(str(folder))
    expected = {name: s.absmax for name, s in declared.statistics.sketches.items()}
    path = declared.save(tmp_path / "state.qwb.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error", QWorkbenchWarning)
        opened = q.Workbench.open(path, mixed_model, calibration=str(folder))
    assert {name: s.absmax for name, s in opened.statistics.sketches.items()} == expected
    with pytest.warns(QWorkbenchWarning, match="under another declaration"):
        opened.declare_input(rt="rgb")


def test_arrays_in_a_folder_hold_pixels_and_get_mean_and_scale(declared, tmp_path):
    folder = tmp_path / "photos_f32"
    folder.mkdir()
    image = picture()
    image.transpose(2, 0, 1).astype(np.float32).tofile(folder / "0.bin")
    declared.calibrate(folder)
    expected = declared.config.inputs["x"].normalised(image.transpose(2, 0, 1)[None])
    assert declared.statistics.sketches["x"].absmax == pytest.approx(np.abs(expected).max())


def test_an_image_without_a_declaration_tells_how_to_declare(wb, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(picture()).save(tmp_path / "photos" / "0.png")
    with pytest.raises(CalibrationError, match="%qwb input x --rt nv12"):
        wb.calibrate(str(tmp_path / "photos"))
    with pytest.raises(CalibrationError, match=r"wb\.declare_input"):
        wb.prepare(picture())
    (tmp_path / "photos" / "1.jpg").write_bytes(b"no image")
    wb.declare_input(rt="rgb")
    with pytest.raises(CalibrationError, match=r"'1.jpg' is no readable image"):
        wb.calibrate(str(tmp_path / "photos"))


def test_a_declaration_must_fit_the_input(wb):
    with pytest.raises(EditError, match=r"1x3x8x8 \(NCHW\), but gray has 1 channel"):
        wb.declare_input(rt="gray", train="gray")
    with pytest.raises(UnknownNameError, match="model input"):
        wb.declare_input("image", rt="rgb")
    with pytest.raises(EditError, match="scale or std, not both"):
        wb.declare_input(rt="rgb", scale=1, std=1)
    with pytest.raises(EditError, match="numbers with spaces"):
        wb.edit(q.SetPreprocess("x", "rgb", mean="a b c"))


def test_gray_and_nhwc(make_workbench):
    class Gray(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.conv(x.permute(0, 3, 1, 2))

    wb = make_workbench(Gray().eval(), torch.randn(1, 6, 6, 1))
    wb.declare_input(rt="gray", train="gray", mean=128.0, scale=1 / 128, layout="NHWC")
    image = picture(6, 6)
    found = wb.prepare(image)["x"]
    np.testing.assert_allclose(found[0, ..., 0], (rgb_to_yuv444(image)[..., 0] - 128.0) / 128, rtol=1e-6)


def test_the_magics_declare_and_prepare(wb, tmp_path):
    from qworkbench.magics.commands import COMMANDS
    from qworkbench.magics.state import State

    state = State({"photo": picture()})
    state.add("wb", wb)

    def run(line):
        command = COMMANDS[line.split()[0]]
        return command.run(state, command.parse(line.split()[1:]))

    assert "no preprocessing" in repr(run("input"))
    assert "nv12 at runtime, trained on rgb" in repr(run("input x --rt nv12 --mean 123.675 116.28 103.53 --std 58"))
    assert wb.config.inputs["x"].mean == MEAN
    assert "nv12" in repr(run("input"))
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    found = run("prepare photo")
    np.testing.assert_array_equal(run(f"prepare {tmp_path / 'photo.png'}")["x"], found["x"])
    assert np.abs(run("prepare photo --integers")["x"] - found["x"]).max() > 0
    run("input x --rt auto")
    assert not wb.config.inputs


def test_a_declaration_changed_after_a_folder_was_read_says_that_thresholds_are_old(declared, tmp_path):
    for index in range(2):
        Image.fromarray(picture(seed=index)).save(tmp_path / f"{index}.png")
    declared.calibrate(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = declared.config.inputs["x"]
        declared.declare_input("x", rt="nv12", train="rgb", mean=kept.mean, scale=kept.scale)  # the same again
    with pytest.warns(QWorkbenchWarning, match="under another declaration"):
        declared.declare_input("x", rt="nv12", train="rgb", scale=1.0)
    declared.calibrate(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        declared.declare_input("x", rt="nv12", train="rgb", scale=1.0)
