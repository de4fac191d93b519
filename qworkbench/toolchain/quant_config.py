"""The ``quant_config`` file of the newer tools: JSON whose unknown keys stay, with values checked.

``model_config`` < ``op_config`` < ``subgraph_config`` < ``node_config``, as the public manuals rank them. What a key
means for a workbench is in :mod:`qworkbench.workbench.quant`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qworkbench.errors import FileFormatError, nearest
from qworkbench.files import read_text, write_text

LARGEST = 4 * 1024 * 1024
SECTIONS = ("model_config", "op_config", "subgraph_config", "node_config")
ACTIVATION = ("calibration_type", "max_percentile", "per_channel", "asymmetric")
WEIGHT = ("bias_correction",)
NODE_TYPES = ("int8", "int16", "float16")
OP_TYPES = ("int8", "int16", "dual-int16", "float16")
METHODS = ("max", "kl")
ON = ("CPU", "BPU")


class QuantConfig:
    """A configuration in memory.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    tree : dict
    remarks : list of str
        Keys that are not known.

    Raises
    ------
    FileFormatError
        Text that is no JSON object, or a known key with a value outside its allowed set.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            tree = json.loads(text or "{}", object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(f"the quant_config is not valid JSON: {error}") from None
        if not isinstance(tree, dict):
            raise FileFormatError(f"a quant_config is a JSON object, got {type(tree).__name__}")
        self.tree: dict[str, Any] = tree
        self.remarks = list(_check(tree))

    @classmethod
    def read(cls, path: str | Path) -> QuantConfig:
        """Read a file.

        Raises
        ------
        FileFormatError
        """
        return cls(read_text(path, what="a quant_config", largest=LARGEST))

    def with_tree(self, tree: Mapping[str, Any]) -> QuantConfig:
        """Return a configuration with another tree, indented as this one; equal trees keep the text as it is."""
        if tree == self.tree:
            return self
        found = re.search(r"\n([ \t]+)\"", self.text)
        indent = found[1] if found else "    "
        return QuantConfig(json.dumps(tree, indent=indent, ensure_ascii=False) + "\n")

    def write(self, path: str | Path) -> Path:
        """Write the text; an existing file is replaced only when the new one is complete."""
        return write_text(path, self.text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} is there twice; keep one")
        found[name] = value
    return found


def _check(tree: Mapping[str, Any]) -> Iterable[str]:
    for name, section in tree.items():
        if name not in SECTIONS:
            yield _unknown(name, SECTIONS)
        elif not isinstance(section, Mapping):
            raise FileFormatError(f"{name} must be an object, got {section!r}")
    model = tree.get("model_config", {})
    for name, value in model.items():
        if name == "all_node_type":
            _among("model_config.all_node_type", value, NODE_TYPES)
        elif name == "activation":
            yield from _activation(value)
        elif name == "weight":
            yield from _keys("model_config.weight", value, WEIGHT)
        else:
            yield _unknown(f"model_config.{name}", ("all_node_type", "activation", "weight"))
    for op, info in tree.get("op_config", {}).items():
        yield from _keys(f"op_config.{op}", info, ("qtype",))
        _among(f"op_config.{op}.qtype", info.get("qtype", "int8"), OP_TYPES)
    for node, info in tree.get("node_config", {}).items():
        where = f"node_config.{node}"
        slots = [key for key in _mapping(where, info) if re.fullmatch(r"input\d+", key)]
        yield from _keys(where, info, ("qtype", "ON", *slots))
        _among(f"{where}.qtype", info.get("qtype", "int8"), OP_TYPES)
        _among(f"{where}.ON", info.get("ON", "BPU"), (*ON, *NODE_TYPES))
        for key in slots:
            _among(f"{where}.{key}", info[key], NODE_TYPES)


def _activation(value: Any) -> Iterable[str]:
    where = "model_config.activation"
    yield from _keys(where, value, ACTIVATION)
    for entry in listed(value.get("calibration_type", "max")):
        _among(f"{where}.calibration_type", entry, METHODS)
    for entry in listed(value.get("max_percentile", 1.0)):
        if isinstance(entry, bool) or not isinstance(entry, (int, float)) or not 0 < entry <= 1:
            raise FileFormatError(f"{where}.max_percentile must lie in (0, 1], got {entry!r}")
    for key in ("per_channel", "asymmetric"):
        for entry in listed(value.get(key, False)):
            if not isinstance(entry, bool):
                raise FileFormatError(f"{where}.{key} must be true or false, got {entry!r}")


def listed(value: Any) -> list[Any]:
    """Return a list of what may be one value or several."""
    return value if isinstance(value, list) else [value]


def _mapping(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FileFormatError(f"{where} must be an object, got {value!r}")
    return value


def _keys(where: str, value: Any, known: Iterable[str]) -> Iterable[str]:
    known = tuple(known)
    return [_unknown(f"{where}.{name}", known) for name in _mapping(where, value) if name not in known]


def _among(where: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = nearest(str(value), known, count=1)
        also = f"; did you mean {hint[0]!r}?" if hint else ""
        raise FileFormatError(f"{where} must be one of {', '.join(known)}, got {value!r}{also}")


def _unknown(name: str, known: Iterable[str]) -> str:
    hint = nearest(name.rpartition(".")[2], known, count=1)
    return f"{name}: unknown key" + (f"; did you mean {hint[0]!r}?" if hint else "")
