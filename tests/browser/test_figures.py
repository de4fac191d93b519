"""Figures of the analyses in JupyterLab's light and dark theme: the paper is the page's, and everything can be read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.models import SMALL

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
PLOTS = ("%qwb plot conv", "%qwb plot --metric SQNR", "%qwb plot conv --channels")


def luminance(rgb):
    """Return the relative luminance (WCAG 2) of sRGB values in [0, 255], last axis."""
    x = np.asarray(rgb, np.float64) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    high, low = np.maximum(luminance(a), luminance(b)), np.minimum(luminance(a), luminance(b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_figures_are_readable_on_the_paper_of_the_theme(lab, open_notebook, page, shot, theme):
    from PIL import Image

    notebook = open_notebook(lab.notebook(f"figures_{theme}.ipynb", [SMALL, *PLOTS]))
    notebook.command("apputils:change-theme", theme=THEMES[theme])
    page.locator(f"body[data-jp-theme-light={'true' if theme == 'light' else 'false'}]").wait_for(state="attached")
    notebook.run_all()
    for index, source in enumerate(PLOTS):
        notebook.show(source)
        figure = page.locator("img.qwb-figure").nth(index)
        expect(figure).to_be_visible(timeout=60_000)
        pixels = np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("RGB"))
        paper = pixels[2, 2]
        assert (luminance(paper) < 0.05) == (theme == "dark")
        # the paper is that of the cell around it, so that no card stands out
        around = page.evaluate("() => getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor")
        page_paper = np.array([float(part) for part in around.removeprefix("rgb(").rstrip(")").split(",")])
        assert np.abs(paper - page_paper).max() <= 3
        against = contrast(pixels.reshape(-1, 3), paper)
        assert against.max() >= 12  # text and axes
        colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
        inks = np.ptp(colours.astype(int), axis=1) > 60
        assert contrast(colours[inks][counts[inks].argmax()], paper) >= 3
        shot(f"figure_{theme}_{index}")
    notebook.command("apputils:change-theme", theme=THEMES["light"])
