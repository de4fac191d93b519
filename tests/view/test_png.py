"""The PNG: the same picture as the SVG, pixel by pixel where it counts, bounded in size, without pyplot."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import Image

from qworkbench.errors import QWorkbenchError
from qworkbench.view.draw import draw
from qworkbench.view.model import build_view
from qworkbench.view.palette import LIGHT
from qworkbench.view.png import to_png
from qworkbench.view.scene import Outline
from tests.view.fakes import Builder, FakeWorkbench, place, resnet18, small_cnn


def decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def hexadecimal(pixel: tuple[int, ...]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in pixel)


def test_boxes_are_where_the_scene_has_them_in_the_colours_of_the_palette() -> None:
    view = build_view(small_cnn())
    scene = draw(view)
    image = decode(to_png(view, scale=1.0))
    assert image.size == (int(scene.width), int(scene.height))
    boxes = {group.name: group.items for group in scene.groups if group.role == "node"}
    for node in view["nodes"]:
        outline = next(item for item in boxes[node["id"]] if isinstance(item, Outline))
        ends = [numbers[-2:] for _, numbers in outline.commands if numbers]
        x = min(x for x, _ in ends) + 16
        y = min(y for _, y in ends) + 4
        expected = LIGHT.terminal if node["kind"] in ("input", "output") else LIGHT.placement[node["on"]]
        assert hexadecimal(image.getpixel((round(x), round(y)))) == expected.fill, node["id"]  # type: ignore[arg-type]
    assert hexadecimal(image.getpixel((2, 2))) == LIGHT.background  # type: ignore[arg-type]


def test_scale_is_lowered_to_stay_below_the_pixel_limit() -> None:
    view = build_view(resnet18())
    image = decode(to_png(view, scale=2.0, max_pixels=300_000))
    assert 250_000 < image.width * image.height <= 300_000


def test_same_view_same_bytes() -> None:
    view = build_view(small_cnn())
    assert to_png(view, scale=0.5) == to_png(view, scale=0.5)


def test_dark_theme_is_dark() -> None:
    assert sum(decode(to_png(build_view(small_cnn()), scale=0.5, theme="dark")).getpixel((1, 1))) < 100  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_names_that_look_like_formulas_or_miss_glyphs_are_only_text() -> None:
    b = Builder("$x_1$ \\frac", x=(4,))
    graph = b.graph(b.op("Conv", "卷积$\\alpha$", "x", scope=""))
    assert to_png(build_view(FakeWorkbench(graph, place(graph))), scale=0.5).startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [{"scale": 0.0}, {"scale": float("nan")}, {"max_pixels": 0}])
def test_sizes_that_make_no_picture_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(QWorkbenchError, match="must be > 0"):
        to_png(build_view(small_cnn()), **arguments)  # type: ignore[arg-type]


def test_pyplot_is_not_used_and_matplotlib_is_not_imported_before_the_first_picture() -> None:
    code = (
        "import sys; import qworkbench.view.png; assert 'matplotlib' not in sys.modules;"
        "from tests.view.fakes import small_cnn; from qworkbench.view.model import build_view;"
        "qworkbench.view.png.to_png(build_view(small_cnn()), scale=0.3);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
