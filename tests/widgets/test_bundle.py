from __future__ import annotations

import subprocess
import sys

from qworkbench.widgets.bundle import NOT_BUILT, script, style


def test_a_missing_bundle_says_how_to_get_it(tmp_path):
    assert NOT_BUILT in script(tmp_path)
    assert "export default" in script(tmp_path)
    assert style(tmp_path) == ""


def test_built_files_are_used_where_they_exist(tmp_path):
    (tmp_path / "widget.js").write_text("export default {}")
    (tmp_path / "widget.css").write_text(".qwb {}")
    assert script(tmp_path) == tmp_path / "widget.js"
    assert style(tmp_path) == tmp_path / "widget.css"


def test_importing_the_package_loads_no_widget_library():
    code = (
        "import sys, qworkbench.widgets; print([m for m in ('anywidget', 'ipywidgets', 'torch') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
