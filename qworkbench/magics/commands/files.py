"""Files: save and open the state, write a report or a picture."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from qworkbench.magics.commands.loading import kept_words
from qworkbench.magics.commands.looking import PICTURE
from qworkbench.magics.progress import reporter
from qworkbench.magics.registry import Argument, Command, MagicUsageError
from qworkbench.magics.results import Lines, Step
from qworkbench.magics.state import State

FILE = Argument("file", "path", "file")


def save(state: State, given: Namespace) -> Any:
    """Write edits and thresholds."""
    return Lines([f"saved to {state.workbench.save(given.file)}"])


def open_file(state: State, given: Namespace) -> Any:
    """Rebuild a workbench from a file and its model; a PTQ yaml or quant_config is applied to the current one."""
    path = Path(given.file)
    if path.suffix in (".yaml", ".yml") or (path.suffix == ".json" and not path.name.endswith(".qwb.json")):
        from qworkbench.magics.commands.toolchain import apply_file

        return apply_file(state, given)
    from qworkbench.workbench.session import Workbench

    name = given.model or state.current
    if name is None:
        raise MagicUsageError("which model is it for? %qwb open FILE --model MODEL")
    model: Any = state.model(name) if given.model else state.workbench.model
    example = state.variable(given.example) if given.example else None
    with reporter("opening"):
        workbench = Workbench.open(given.file, model, example)
    former = kept_words(state, state.add(name, workbench))
    return Step(f"opened {given.file} as {name}", [*former, *workbench.journal])


def report(state: State, given: Namespace) -> Any:
    """Write one self-contained HTML file."""
    with reporter("writing the report"):
        return Lines([f"wrote {state.workbench.report(given.file)}"])


FILES = (
    Command(
        "save", "write edits and thresholds to a .qwb.json file", save, (FILE,), "%qwb save state.qwb.json", "files"
    ),
    Command(
        "open",
        "rebuild the state of a file",
        open_file,
        (
            FILE,
            Argument("--model", "variable or .onnx file of the model (default: the current one)", "variable"),
            Argument("--example", "variable with an example, where the file holds none", "variable"),
        ),
        "%qwb open state.qwb.json --model model",
        "files",
    ),
    Command("report", "one self-contained HTML file", report, (FILE,), "%qwb report report.html", "files"),
    PICTURE,
)
