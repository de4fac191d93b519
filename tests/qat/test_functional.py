from __future__ import annotations

import numpy as np
import pytest
import torch

from qworkbench.errors import UnknownNameError
from qworkbench.qat import QTensor
from qworkbench.qat.errors import QATError
from qworkbench.qat.functional import (
    bgr2centered_yuv,
    centered_yuv2bgr,
    centered_yuv2rgb,
    rgb2centered_yuv,
    yuv_matrix,
)


def image(*pixels):
    return torch.tensor(pixels, dtype=torch.float64).T.reshape(1, 3, 1, -1)


def test_studio_swing_is_the_matrix_of_bt601():
    # ITU-R BT.601, 8 bit: Y = 16 + 65.481 r + 128.553 g + 24.966 b, Cb, Cr = 128 + ..., r, g, b in 0..1
    published = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
    matrix, offset = yuv_matrix("studio")
    assert np.abs(matrix - published).max() < 0.0005 / 255 + 1e-6
    assert offset.tolist() == [-112.0, 0.0, 0.0]


def test_full_swing_is_the_matrix_of_jfif():
    published = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    assert np.abs(yuv_matrix("full")[0] - published).max() < 5e-7


@pytest.mark.parametrize(
    ("swing", "black", "white", "chroma"), [("studio", -112, 107, 112), ("full", -128, 127, 127.5)]
)
def test_ranges_are_those_of_the_document(swing, black, white, chroma):
    yuv = rgb2centered_yuv(image((0, 0, 0), (255, 255, 255), (0, 0, 255), (255, 0, 0)), swing)[0, :, 0]
    assert yuv[:, 0].tolist() == pytest.approx([black, 0, 0], abs=1e-9)
    assert yuv[:, 1].tolist() == pytest.approx([white, 0, 0], abs=1e-9)
    assert float(yuv[1, 2]) == pytest.approx(chroma)
    assert float(yuv[2, 3]) == pytest.approx(chroma)


@pytest.mark.parametrize("swing", ["studio", "full"])
def test_both_directions_and_both_orders_meet(swing):
    rgb = torch.randint(0, 256, (2, 3, 4, 4)).float()
    yuv = rgb2centered_yuv(rgb, swing)
    assert torch.allclose(bgr2centered_yuv(rgb.flip(1), swing), yuv, atol=1e-4)
    back = centered_yuv2rgb(yuv.double(), swing, mean=(0.0,), std=(1.0,), q_scale=2.0)
    assert torch.equal(back.int_repr(), torch.round(rgb / 2).to(torch.int8)) or (
        (back.int_repr() - rgb / 2).abs().max() <= 0.5001
    )
    assert torch.equal(centered_yuv2bgr(yuv, swing).int_repr(), centered_yuv2rgb(yuv, swing).int_repr().flip(1))


def test_three_steps_with_the_numbers_of_training():
    codes = torch.randint(-128, 128, (1, 3, 5, 5)).to(torch.int8)
    given = QTensor.make(codes, torch.ones(1))
    mean, std, q_scale = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375], 0.02
    result = centered_yuv2rgb(given, "full", mean=mean, std=std, q_scale=torch.tensor([q_scale]))
    y, u, v = codes[0].double()
    rgb = torch.stack(
        [y + 128 + 1.402 * v, y + 128 - (0.114 * 1.772 * u + 0.299 * 1.402 * v) / 0.587, y + 128 + 1.772 * u]
    )
    wanted = (rgb - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None] / np.float32(q_scale)
    assert (result.int_repr()[0].double() - wanted.clamp(-128, 127)).abs().max() <= 0.5 + 1e-6
    assert float(result.q_scale()) == pytest.approx(q_scale)


def test_wrong_input_is_one_sentence():
    with pytest.raises(UnknownNameError, match="did you mean 'studio'"):
        rgb2centered_yuv(torch.zeros(1, 3, 2, 2), "studyo")
    with pytest.raises(QATError, match=r"\(N, 3, H, W\)"):
        rgb2centered_yuv(torch.zeros(1, 4, 2, 2))
    with pytest.raises(QATError, match="must be > 0"):
        centered_yuv2rgb(torch.zeros(1, 3, 2, 2), std=(0.0,))
