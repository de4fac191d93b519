"""What a saved file brings back: the workbench that it was, rebuilt step by step around the same model.

What is damaged, of another kind or of another model is refused in one line. :mod:`.saved` says what such a file holds.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.calibration.method import MAX_NUM_BIN, NUM_BIN, CalibrationMethod, SavedThresholds, Statistics
from qworkbench.calibration.observe import batches_of, collect
from qworkbench.errors import CalibrationError, FileFormatError, QWorkbenchError
from qworkbench.files import read_text
from qworkbench.workbench.edits import Edit, SetAssumption, SetMarch, SetPreprocess, edit_from_dict
from qworkbench.workbench.saved import FORMAT, LARGEST_EXAMPLE, SCHEMA, structure_fingerprint, weights_fingerprint
from qworkbench.workbench.saved_shape import check_shape

if TYPE_CHECKING:
    from qworkbench.calibration.preprocess import Preprocess
    from qworkbench.workbench.config import Config
    from qworkbench.workbench.session import Workbench

LARGEST_FILE = 256 * 1024 * 1024
LARGEST_THRESHOLD = float(np.finfo(np.float32).max)


def _unpack(text: Any) -> np.ndarray:
    unzip = zlib.decompressobj()
    raw = unzip.decompress(base64.b64decode(text, validate=True), LARGEST_EXAMPLE * 2)
    return np.asarray(np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False))


def read(path: Path) -> dict[str, Any]:
    """Return the document in `path`.

    Raises
    ------
    FileFormatError
        Missing, damaged, of another format or of a newer schema.
    """
    hint = "save one with wb.save(...) or %qwb save"
    text = read_text(path, what="a saved workbench", largest=LARGEST_FILE, missing=hint)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{str(path)!r} is damaged: not valid JSON ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FileFormatError(f"{str(path)!r} is not a saved workbench (no format {FORMAT!r})")
    if document.get("schema") != SCHEMA:
        raise FileFormatError(f"{str(path)!r} has schema {document.get('schema')!r}; this version reads {SCHEMA}")
    return document


def open_saved(cls: type[Workbench], path: Path, model: Any, example: Any, calibration: Any) -> Workbench:
    """Rebuild a workbench; see :meth:`qworkbench.Workbench.open`."""
    document = read(path)
    try:
        check_shape(document)
    except FileFormatError as error:
        raise FileFormatError(f"{str(path)!r} is damaged: {error}; save it again") from None
    try:
        return _rebuild(cls, document, model, example, calibration)
    except (
        LookupError,
        TypeError,
        ArithmeticError,
        ValueError,
        AttributeError,
        zlib.error,
        MemoryError,
        EOFError,
    ) as error:
        raise FileFormatError(
            f"{str(path)!r} is damaged: its tensors or its example cannot be read back; save it again"
        ) from error


def _rebuild(cls: type[Workbench], document: dict[str, Any], model: Any, example: Any, calibration: Any) -> Workbench:
    if example is None and document["example"] is None:
        if not isinstance(model, (str, Path)):
            raise CalibrationError("the file holds no example (its inputs are above 4 MB); pass example=...")
    elif example is None:
        example = {name: _unpack(text) for name, text in document["example"].items()}
        if len(example) == 1:
            example = next(iter(example.values()))
    sample = None if example is None else _as_tensors(example)
    shape = document["model"]["inputs"] if sample is None else None  # only a file can be read without an example
    workbench = cls(model, sample, march=document["march"], name=document["model"]["name"], input_shape=shape)
    base = workbench.base_graph
    if structure_fingerprint(base) != document["model"]["structure"]:
        raise FileFormatError(
            f"the file was saved for another model ({document['model']['name']!r} with other layers or shapes); "
            "open it with the model it was made for"
        )
    steps = [_edits(step) for step in document["edits"]]
    if calibration is not None:
        # the steps may ask for percentiles per channel, which need histograms of their own
        wanted = any(edit.get("per_channel") for step in document["edits"] for edit in step)
        batches = batches_of(calibration, base, inputs=_declared(workbench.config, steps[: document["cursor"]]))
        apart = _apart(workbench.config, steps)
        workbench._stages.statistics = collect(base, batches, per_channel=wanted, apart=apart)
    elif weights_fingerprint(base) != document["model"]["weights"]:
        raise FileFormatError(
            "the layers match, but the weights differ from those the file was saved with, so its thresholds do not "
            "hold; pass calibration=... to calibrate again"
        )
    elif document["calibration"] is not None:
        workbench._stages.statistics = _statistics(document["calibration"])
    for edits in steps:
        with _fitting():
            workbench.edit(*edits)
    for _ in range(len(steps) - document["cursor"]):
        workbench.undo()
    workbench._read_as = workbench.config.inputs if isinstance(calibration, (str, Path)) else None
    workbench.display = _display(document.get("display"))
    return workbench


@contextmanager
def _fitting() -> Iterator[None]:
    try:
        yield
    except QWorkbenchError as error:
        raise FileFormatError(f"the file holds an edit that does not fit: {error}") from error


def _edits(step: list[dict[str, Any]]) -> list[Edit]:
    with _fitting():
        return [edit_from_dict(edit) for edit in step]


def _apart(config: Config, steps: list[list[Edit]]) -> frozenset[str]:
    """Return the operators that run as pieces after any of `steps`: each may be gone back to."""
    found = config.machine.otherwise
    for edit in (edit for step in steps for edit in step if isinstance(edit, (SetMarch, SetAssumption))):
        with _fitting():
            config = edit.apply(config)
        found |= config.machine.otherwise
    return found


def _declared(config: Config, steps: list[list[Edit]]) -> Mapping[str, Preprocess]:
    """Return what `steps` declare about the inputs, by which files of images are read."""
    for edit in (edit for edits in steps for edit in edits if isinstance(edit, SetPreprocess)):
        with _fitting():
            config = edit.apply(config)
    return config.inputs


def _display(saved: Any) -> dict[str, Any]:
    """Return what a view showed, as far as it can be believed; a view lost is no reason to refuse a file."""
    if not isinstance(saved, dict):
        return {}
    folded = saved.get("collapsed")
    known = {name: saved[name] for name in ("selected", "colouring") if isinstance(saved.get(name), str)}
    if isinstance(folded, list) and all(isinstance(path, str) for path in folded):
        known["collapsed"] = folded
    return known


def _statistics(document: dict[str, Any]) -> Statistics:
    return Statistics({}, int(document["samples"]), tuple(_thresholds(entry) for entry in document["methods"]))


def _thresholds(entry: dict[str, Any]) -> SavedThresholds:
    choice = entry["method"]
    method = CalibrationMethod(
        choice["name"],
        float(choice["percentile"]),
        choice["per_channel"] is True,
        int(choice.get("num_bin", NUM_BIN)),
        int(choice.get("max_num_bin", MAX_NUM_BIN)),
    )
    tensors = {str(name): float(value) for name, value in entry["thresholds"].items()}
    channels = {str(name): _unpack(text).astype(np.float32) for name, text in entry["channels"].items()}
    for name, value in (*tensors.items(), *((name, array) for name, array in channels.items())):
        if not np.all((np.asarray(value) >= 0) & (np.asarray(value) <= LARGEST_THRESHOLD)):
            raise FileFormatError(
                f"the saved threshold of {name!r} is {value}; it must be >= 0 and finite; calibrate again"
            )
    return SavedThresholds(method, tensors, channels)


def _as_tensors(example: Any) -> Any:
    import torch

    if isinstance(example, np.ndarray):
        return torch.from_numpy(np.array(example))
    if isinstance(example, dict):
        return {name: _as_tensors(value) for name, value in example.items()}
    return example
