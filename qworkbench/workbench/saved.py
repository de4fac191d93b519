"""The saved file: edits, thresholds and the example, with what tells the model; :mod:`.opening` reads it.

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

from qworkbench.emulator.fingerprint import digest
from qworkbench.files import write_text
from qworkbench.graph.feeds import feeds_of
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym
from qworkbench.view.plain import plain

if TYPE_CHECKING:
    from qworkbench.workbench.session import Workbench

FORMAT = "qworkbench/state"
SCHEMA = 1
LARGEST_EXAMPLE = 4 * 1024 * 1024


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
