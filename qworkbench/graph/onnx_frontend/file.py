"""An ONNX file becomes a checked model in memory, or one error that says what is wrong with it.

Parsing only: protobuf, external weights, local functions, opset. No operator is known here. Nothing in the file is
ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.errors import FileFormatError, QWorkbenchError
from qworkbench.graph.onnx_frontend.external import load_external

if TYPE_CHECKING:
    from onnx import ModelProto

OLDEST_OPSET = 9
LARGEST_FILE = 2**31 - 1
"""Bytes that protobuf can parse at once; larger models keep their weights in a second file."""


@dataclass(frozen=True, eq=False)
class Source:
    """A parsed model.

    Attributes
    ----------
    model : ModelProto
        External weights read, local functions inlined.
    opset : int
        Version of the default operator domain.
    opsets : Mapping of str to int
        Version per domain.
    path : Path or None
    title : str
        The file's name without suffix, or the graph's name.
    external : bool
        Whether weights came from a second file.
    """

    model: ModelProto
    opset: int
    opsets: dict[str, int]
    path: Path | None
    title: str
    external: bool


def onnx_module() -> Any:
    """Return the onnx package.

    Raises
    ------
    QWorkbenchError
        When it is not installed.
    """
    try:
        import onnx
        import onnx.inliner
        import onnx.reference
    except ImportError:
        raise QWorkbenchError("reading ONNX files needs the onnx package; pip install 'qworkbench[onnx]'") from None
    return onnx


def load_source(given: str | Path | bytes) -> Source:
    """Parse `given`, a path or the bytes of a file.

    Raises
    ------
    FileFormatError
        Missing, truncated, not ONNX, too large, too old, recursive functions, or weights that cannot be read.
    """
    onnx = onnx_module()
    path = None if isinstance(given, bytes) else Path(given)
    shown = "the given bytes" if path is None else repr(str(path))
    model = _parse(onnx, _content(given, path), shown)
    opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    opset = opsets.get("", newest)
    if not OLDEST_OPSET <= opset <= newest:
        raise FileFormatError(
            f"{shown} uses opset {opset}; opsets {OLDEST_OPSET} to {newest} are read; convert it with "
            "onnx.version_converter or export it again"
        )
    external = load_external(model, None if path is None else path.parent)
    if model.functions:
        try:
            model = onnx.inliner.inline_local_functions(model)
        except Exception as error:
            raise FileFormatError(f"{shown} has local functions that cannot be inlined: {_line(error)}") from error
        opsets = {**opsets, **{o.domain: o.version for o in model.opset_import if o.domain not in ("", "ai.onnx")}}
    title = path.stem if path is not None else model.graph.name or "model"
    return Source(model, opset, opsets, path, title, external)


def _content(given: str | Path | bytes, path: Path | None) -> bytes:
    if path is None:
        assert isinstance(given, bytes)
        content, size = given, len(given)
    else:
        try:
            size = path.stat().st_size
            content = path.read_bytes() if size <= LARGEST_FILE else b""
        except FileNotFoundError:
            raise FileFormatError(f"no file {str(path)!r}; the path is taken from {str(Path.cwd())!r}") from None
        except OSError as error:
            raise FileFormatError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    if size > LARGEST_FILE:
        raise FileFormatError(
            f"the model has {size} bytes, more than the 2 GB that one ONNX file can hold; save it with its "
            "weights in a second file (onnx.save(..., save_as_external_data=True))"
        )
    return content


def _parse(onnx: Any, content: bytes, shown: str) -> ModelProto:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    model: ModelProto = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise FileFormatError(f"{shown} is no ONNX model, or it is truncated; export or copy it again") from None
    if not content or not model.HasField("graph") or not model.opset_import or model.ir_version < 1:
        raise FileFormatError(f"{shown} is no ONNX model (no graph and no opset in it)")
    if not model.graph.output:
        raise FileFormatError(f"{shown} has no outputs; export the model again")
    if any(isinstance(name, bytes) for node in model.graph.node for name in (node.name, *node.input, *node.output)):
        raise FileFormatError(f"{shown} holds names that are no text; the file is damaged")
    return model


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
