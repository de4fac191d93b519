"""The four still forms of one view: our own JSON, PNG, SVG and one sentence.

A saved notebook shows them without a kernel: the SVG where it is trusted, the PNG where it is not, the sentence in a
terminal and to a screen reader. The live widget adds itself in front.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qworkbench.errors import FileFormatError
from qworkbench.files import write_bytes
from qworkbench.view.png import to_png
from qworkbench.view.svg import to_svg
from qworkbench.view.wrapped import wrapped

PNG_SCALE = 1.0  # a notebook keeps every output; twice the scale is four times the file
VIEW_MIME = "application/vnd.qworkbench.view+json"


def still_forms(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the forms of `view` by MIME type, as a notebook output holds them."""
    data = dict(view)
    return {
        VIEW_MIME: data,
        "image/png": base64.b64encode(to_png(data, scale=PNG_SCALE)).decode("ascii"),
        "image/svg+xml": to_svg(data),
        "text/plain": str(data["sentence"]),
    }


def write_picture(view: Mapping[str, Any], path: Path, theme: str = "light", *, full: bool = False) -> Path:
    """Write `view` as ``.svg`` or ``.png``, a tall one in columns side by side unless `full`.

    Raises
    ------
    FileFormatError
        Another ending, or a path that cannot be written.
    UnknownNameError
        For an unknown theme.
    """
    kind = path.suffix.lower()
    view = view if full else wrapped(view)
    if kind not in (".svg", ".png"):
        raise FileFormatError(f"{str(path)!r} must end in .svg or .png")
    content = to_png(dict(view), theme=theme) if kind == ".png" else to_svg(dict(view), theme=theme).encode()
    return write_bytes(path, content)
