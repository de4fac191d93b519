"""Calibration data on disk: a folder per input, one sample per file, read one at a time.

``.npy`` files carry shape and dtype. Raw files carry neither: the shape is the input's, and the dtype follows the rule
of the PTQ documents, a folder whose name ends in ``_f32`` holds float32, any other one uint8. Image files go through
the preprocessing that is declared for the input; arrays hold pixels of the training type and get its mean and scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from qworkbench.calibration.preprocess import IMAGE_FILES, Preprocess, read_image
from qworkbench.errors import CalibrationError, nearest
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym

_IGNORED = {".txt", ".md", ".json", ".yaml", ".yml", ".csv"}


def folder(path: str | Path, graph: Graph, inputs: Mapping[str, Preprocess] | None = None) -> FolderSamples:
    """Return the samples in `path`, or in several folders written ``first;second`` as in ``cal_data_dir``.

    Parameters
    ----------
    path : str or Path
        The folder of the only input; or one folder per input, in the order of the inputs; or a folder with one
        subfolder per input, named after it.
    graph : Graph
    inputs : Mapping of str to Preprocess, optional
        What is declared of image inputs.

    Raises
    ------
    CalibrationError
        A folder that is missing or empty, or folders that do not fit the inputs.
    """
    parts = [Path(part).expanduser() for part in str(path).split(";") if part]
    names = graph.inputs
    if len(parts) == 1 and len(names) > 1:
        _existing(parts[0])
        subfolders = sorted(child.name for child in parts[0].iterdir() if child.is_dir())
        for name in names:
            if name not in subfolders:
                hint = nearest(name, subfolders)
                found = (
                    f"; did you mean {hint[0]!r} to be it?" if hint else f"; found {', '.join(subfolders) or 'none'}"
                )
                raise CalibrationError(f"{str(parts[0])!r} has no subfolder {name!r} for that input{found}")
        parts = [parts[0] / name for name in names]
    if len(parts) != len(names):
        raise CalibrationError(
            f"{len(parts)} folders for {len(names)} inputs ({', '.join(names)}); write one for each, with ';' between"
        )
    files = {name: _files(part) for name, part in zip(names, parts, strict=True)}
    counts = {name: len(found) for name, found in files.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise CalibrationError(f"every input needs as many files as the others, got {told}")
    return FolderSamples(graph, files, inputs or {})


class FolderSamples:
    """Samples on disk, with a known number; one is in memory at a time."""

    def __init__(self, graph: Graph, files: dict[str, list[Path]], inputs: Mapping[str, Preprocess]) -> None:
        self._graph, self._files, self._inputs = graph, files, inputs

    def __len__(self) -> int:
        return len(next(iter(self._files.values())))

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for together in zip(*self._files.values(), strict=True):
            yield {
                name: read_sample(path, self._graph, name, self._inputs.get(name))
                for name, path in zip(self._files, together, strict=True)
            }


def read_sample(path: Path, graph: Graph, name: str, declared: Preprocess | None = None) -> np.ndarray:
    """Return one file as a sample of input `name`: batch axis added where it lacks, in the input's dtype.

    Raises
    ------
    CalibrationError
        A file that is damaged, or whose size does not fit the input.
    """
    value = graph.values[name]
    shape = tuple(dim.factor if isinstance(dim, Sym) else int(dim) for dim in value.shape)
    image = declared is not None and declared.is_image
    if path.suffix.lower() in IMAGE_FILES:
        if declared is None or not image:
            raise CalibrationError(
                f"{path.name!r} is an image, and no preprocessing is declared for input {name!r}; declare it first: "
                f"%qwb input {name} --rt nv12 --train rgb --mean ... --scale ..."
            )
        pixels = declared.fitted(read_image(path), declared.size_of(shape))
        return declared.floats(declared.intermediate(declared.runtime(pixels)))
    if path.suffix == ".npy":
        try:
            array = np.asarray(np.load(path, allow_pickle=False))
        except (ValueError, EOFError, OSError) as error:
            raise CalibrationError(f"{path.name!r} is no readable .npy file: {error}") from None
        if array.ndim == len(shape) - 1:
            array = array[None]
    else:
        dtype = np.float32 if path.parent.name.endswith("_f32") else np.uint8
        raw = path.read_bytes()
        wanted = math.prod(shape) * np.dtype(dtype).itemsize
        if len(raw) != wanted:
            other = "uint8" if dtype is np.float32 else "float32"
            named = "ends" if dtype is np.float32 else "does not end"
            rule = f"{np.dtype(dtype).name}, since the name of its folder {named} in _f32"
            fits = math.prod(shape) * (1 if dtype is np.float32 else 4) == len(raw)
            hint = f"its size fits {other}: rename the folder" if fits else f"the input is {shape}"
            raise CalibrationError(f"{path.name!r} has {len(raw)} bytes, not {wanted} ({rule}); {hint}")
        array = np.frombuffer(raw, dtype).reshape(shape)
    if declared is not None and image and (declared.mean or declared.scale) and array.ndim == 4:
        return declared.laid_out(
            declared.normalised(array if declared.layout == "NCHW" else array.transpose(0, 3, 1, 2))
        )
    return array.astype(value.dtype) if value.dtype == "float32" else array


def _existing(path: Path) -> None:
    if not path.is_dir():
        raise CalibrationError(f"{str(path)!r} is not a folder; give the folder that holds the calibration samples")


def _files(path: Path) -> list[Path]:
    _existing(path)
    found = sorted(p for p in path.iterdir() if p.is_file() and p.suffix not in _IGNORED and p.name[0] != ".")
    if not found:
        raise CalibrationError(f"the folder {str(path)!r} holds no samples; put one .npy or raw file per sample there")
    return found
