"""The saved file: edits, thresholds and the example, checked against the model when it is opened.

Plain JSON (``.qwb.json``) with a format name and a schema number; arrays are compressed ``.npy`` without pickle. No
weight of the model is written.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.calibration.method import MAX_NUM_BIN, NUM_BIN, CalibrationMethod, SavedThresholds, Statistics
from qworkbench.calibration.observe import batches_of, collect
from qworkbench.emulator.fingerprint import digest
from qworkbench.errors import CalibrationError, FileFormatError, QWorkbenchError
from qworkbench.files import read_text, write_text
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym
from qworkbench.view.plain import plain
from qworkbench.workbench.edits import edit_from_dict
from qworkbench.workbench.saved_shape import check_shape

if TYPE_CHECKING:
    from qworkbench.workbench.session import Workbench

FORMAT = "qworkbench/state"
SCHEMA = 1
LARGEST_EXAMPLE = 4 * 1024 * 1024
LARGEST_FILE = 256 * 1024 * 1024
LARGEST_THRESHOLD = float(np.finfo(np.float32).max)


def structure_fingerprint(graph: Graph) -> str:
    """Return a digest of names, operators, attributes, wiring and shapes; weights do not count."""
    nodes = [[n.name, n.op, list(n.inputs), list(n.outputs), _plain(dict(n.attrs))] for n in graph.nodes]
    shapes = {name: _plain(graph.values[name].shape) for name in graph.inputs}
    return digest(nodes, shapes, list(graph.outputs)).hex()


def weights_fingerprint(graph: Graph) -> str:
    """Return a digest of every parameter, buffer and constant that the graph reads."""
    used = sorted({v for n in graph.nodes for v in n.inputs if v is not None and not graph.is_activation(v)})
    return digest([(name, graph.tensor(name)) for name in used]).hex()


def _plain(value: Any) -> Any:
    if isinstance(value, Sym):
        return f"{value.factor}*B"
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def save(workbench: Workbench, path: Path) -> Path:
    """Write `workbench` to `path`; an existing file is replaced only when the new one is complete."""
    base = workbench.base_graph
    history = workbench.history
    document = {
        "format": FORMAT,
        "schema": SCHEMA,
        "model": {
            "name": base.name,
            "structure": structure_fingerprint(base),
            "weights": weights_fingerprint(base),
            "inputs": {name: list(base.shape(name)) for name in base.inputs},
        },
        "march": history.initial.march,
        "edits": [[edit.as_dict() for edit in entry.edits] for entry in history.entries],
        "cursor": history.cursor,
        "calibration": _calibration(workbench),
        "example": _example(base, workbench.sample),
        "display": workbench.display,
        # what JupyterLab draws when the file is opened there; it is not read back
        "view": plain(workbench.view()),
    }
    text = json.dumps(document, indent=1, allow_nan=False)
    return write_text(path, text + "\n")


def _calibration(workbench: Workbench) -> dict[str, Any] | None:
    statistics = workbench.statistics
    if statistics is None:
        return None
    saved = statistics.saved
    if statistics.sketches:
        # one set for each method of the history, so that undo and redo work in the opened workbench, too
        history = workbench.history
        configs = (history.initial, *(entry.config for entry in history.entries))
        methods = dict.fromkeys(method for c in configs for method in (c.calibration, *c.methods.values()))
        saved = tuple(statistics.thresholds(method) for method in methods)
    return {
        "samples": statistics.samples,
        "methods": [
            {
                "method": asdict(entry.method),
                "thresholds": dict(entry.tensors),
                "channels": {name: _pack(array) for name, array in entry.channels.items()},
            }
            for entry in saved
        ],
    }


def _example(base: Graph, example: Any) -> dict[str, Any] | None:
    if example is None:
        return None
    feeds = {name: tensor.numpy() for name, tensor in feeds_of(base, example).items()}
    if sum(array.nbytes for array in feeds.values()) > LARGEST_EXAMPLE:
        return None
    return {name: _pack(array) for name, array in feeds.items()}


def _pack(array: np.ndarray) -> str:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return base64.b64encode(zlib.compress(stream.getvalue())).decode("ascii")


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
    if calibration is not None:
        # the steps may ask for percentiles per channel, which need histograms of their own
        wanted = any(edit.get("per_channel") for step in document["edits"] for edit in step)
        workbench._stages.statistics = collect(base, batches_of(calibration, base), per_channel=wanted)
    elif weights_fingerprint(base) != document["model"]["weights"]:
        raise FileFormatError(
            "the layers match, but the weights differ from those the file was saved with, so its thresholds do not "
            "hold; pass calibration=... to calibrate again"
        )
    elif document["calibration"] is not None:
        workbench._stages.statistics = _statistics(document["calibration"])
    for step in document["edits"]:
        try:
            workbench.edit(*(edit_from_dict(edit) for edit in step))
        except QWorkbenchError as error:
            raise FileFormatError(f"the file holds an edit that does not fit: {error}") from error
    for _ in range(len(document["edits"]) - document["cursor"]):
        workbench.undo()
    workbench.display = _display(document.get("display"))
    return workbench


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
