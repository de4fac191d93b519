"""The user's file and line behind a call, and the sentences of capture errors that quote it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType, TracebackType

import torch

from qworkbench.errors import CaptureError
from qworkbench.graph.torch_frontend.trace import Location

_TORCH = str(Path(torch.__file__).resolve().parent) + os.sep
_OWN = str(Path(__file__).resolve().parents[2]) + os.sep
_FENCE = "run_forward"

WAYS_OUT = "wrap that code with @qworkbench.wrap, or export the model to ONNX and load the file"


def _is_user(filename: str) -> bool:
    return not filename.startswith((_TORCH, _OWN, "<frozen"))


def user_location() -> Location | None:
    """Return file and line of the innermost frame of the user's model; None if only torch's own code runs."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == _FENCE and frame.f_code.co_filename.startswith(_OWN):
            return None
        if _is_user(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def error_location(traceback: TracebackType | None) -> Location | None:
    """Return file and line of the innermost user frame of `traceback` below the call of ``forward``."""
    found: Location | None = None
    inside = False
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_name == _FENCE and code.co_filename.startswith(_OWN):
            inside = True
        elif inside and _is_user(code.co_filename):
            found = code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next
    return found


def at(location: Location | None) -> str:
    """Return ``" at file:line"`` or nothing."""
    return "" if location is None else f" at {location[0]}:{location[1]}"


def in_module(scope: str) -> str:
    """Return ``" in module 'path'"`` or nothing at the root."""
    return f" in module {scope!r}" if scope else ""


def data_dependent(what: str, location: Location | None, scope: str) -> CaptureError:
    """Build the error for Python code that needs the content of a tensor."""
    return CaptureError(
        f"{what}{at(location)}{in_module(scope)} needs the content of a tensor that depends on the input, so one graph "
        f"cannot hold it for every input; {WAYS_OUT}"
    )


def hidden(shape: tuple[int, ...], location: Location | None, scope: str) -> CaptureError:
    """Build the error for a tensor that came out of code that the tracer cannot see."""
    return CaptureError(
        f"the tensor of shape {shape} used{at(location)}{in_module(scope)} was made by code that cannot be traced "
        f"(TorchScript, vmap, numpy or an extension); {WAYS_OUT}"
    )
