"""Figures carry one picture on no paper of their own, which a dark page turns into light ink."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from qworkbench.analysis import plots, shown


@pytest.fixture
def figure():
    return plots.histogram_figure(np.random.default_rng(0).normal(size=1000), 2.5, "<b>conv</b>")


def test_the_picture_in_a_page_has_no_paper_and_the_file_has_white(figure):
    html = figure._repr_html_()
    inside = base64.b64decode(re.search(r"base64,([^\"]+)", html).group(1))
    page, alone = (np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) for data in (inside, figure._repr_png_()))
    assert page.shape == alone.shape
    assert page[0, 0, 3] == 0
    assert page[..., 3].max() == 255
    assert (alone[0, 0] == 255).all()


def test_it_says_in_words_what_it_shows_and_names_are_escaped(figure):
    html = figure._repr_html_()
    assert 'alt="plot: &lt;b&gt;conv&lt;/b&gt;  codes reach 2.5, elements"' in html
    assert "<b>" not in html


def test_dark_pages_turn_it_around_and_a_page_without_styles_has_white_paper(figure):
    html = figure._repr_html_()
    style = html[: html.index("</style>")]
    for page in shown.DARK_PAGES:
        assert page in style
    assert "invert(1)" in style
    assert 'style="background-color:#ffffff"' in html


def _luminance(rgb):
    x = np.asarray(rgb, np.float64) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("colour", [plots.BLUE, plots.RED, plots.GREY, plots.GREEN])
def test_every_ink_keeps_a_contrast_of_three_to_one_on_either_paper(colour):
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float64)
    turned = 255 - rgb  # filter: invert(1) hue-rotate(180deg), by the matrix of the CSS filter effects module
    luma = np.array([0.213, 0.715, 0.072])
    turned = np.clip(2 * (turned @ luma) - turned, 0, 255)
    for ink, paper in ((rgb, [255, 255, 255]), (turned, [17, 17, 17])):
        light, dark = sorted((float(_luminance(ink)), float(_luminance(paper))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3
