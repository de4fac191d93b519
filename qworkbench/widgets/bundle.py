"""The built front end as files; without them, a module that says how to get them instead of an ImportError."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent.parent / "static"
NOT_BUILT = "front end not built: pip install -e ."

_FALLBACK = f"""
function render({{ el }}) {{
  el.textContent = {NOT_BUILT!r};
}}
export default {{ render }};
"""


def script(static: Path = STATIC) -> Path | str:
    """Return the path of the widget's ES module, or the text of one that shows :data:`NOT_BUILT`."""
    path = static / "widget.js"
    return path if path.exists() else _FALLBACK


def style(static: Path = STATIC) -> Path | str:
    """Return the path of the widget's style sheet, or an empty one."""
    path = static / "widget.css"
    return path if path.exists() else ""
