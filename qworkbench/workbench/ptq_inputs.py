"""``input_parameters`` of a PTQ configuration: image types, mean and scale as declarations of a workbench, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qworkbench.calibration.preprocess import Preprocess
from qworkbench.errors import unknown_name
from qworkbench.toolchain.ptq_rules import entries
from qworkbench.toolchain.ptq_schema import HB_COMPILE_MARCHES
from qworkbench.toolchain.ptq_yaml import PtqYaml
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits import Edit, SetPreprocess
from qworkbench.workbench.edits.inputs import text_of

if TYPE_CHECKING:
    from qworkbench.graph.ir import Graph

_INPUT_KEYS = (
    *("input_type_rt", "input_type_train", "input_layout_train", "input_space_and_range", "norm_type"),
    *("mean_value", "scale_value", "std_value"),
)


def _per_input(document: PtqYaml, key: str, count: int) -> list[str]:
    """Return one text per input; a list in the file is the numbers of a single input."""
    value = document.get(key)
    if isinstance(value, (list, tuple)):
        value = " ".join(str(entry) for entry in value)
    parts = [part.strip() for part in str("" if value is None else value).split(";")]
    return [*parts, *([""] * count)][:count]


def input_edits(document: PtqYaml, config: Config, graph: Graph, remarks: list[str]) -> list[Edit]:
    """Return the edits that declare what the file says; what it leaves open goes to `remarks`.

    Raises
    ------
    UnknownNameError
        An input that the model does not have.
    QWorkbenchError
        A declaration that cannot be.
    """
    edits: list[Edit] = []
    names = entries(document.get("input_name")) or list(graph.inputs)
    if not document.get("input_type_rt") and not document.get("input_type_train"):
        return edits
    columns = {key: _per_input(document, key, len(names)) for key in _INPUT_KEYS}
    later = str(document.get("march")).startswith("nash")
    for index, name in enumerate(names):
        row = {key: column[index] for key, column in columns.items()}
        rt, train = row["input_type_rt"], row["input_type_train"]
        if name not in graph.inputs:
            raise unknown_name("model input (asked for in input_name)", name, graph.inputs)
        if not rt or not train:
            missing = "input_type_train" if rt else "input_type_rt"
            remarks.append(f"input_parameters: {missing} of {name!r} is not set; its preprocessing stays as it is")
            continue
        if rt in ("yuv444_128", "yuv420sp_bt601_video", "yuv_bt601_full"):
            remarks.append(f"input_type_rt {rt} of {name!r}: prepared as {'yuv444' if '444' in rt else 'nv12'}")
            row["input_space_and_range"] = "bt601_video" if "video" in rt else ""
            rt = "yuv444" if "444" in rt else "nv12"
        if "featuremap" in (rt, train):
            if name in config.inputs and config.inputs[name].is_image:
                edits.append(SetPreprocess(name, "auto"))
            continue
        norm = "" if later else row["norm_type"]
        edit = SetPreprocess(
            name,
            rt,
            train,
            (row["mean_value"] or None) if not norm or "mean" in norm else None,
            (row["scale_value"] or None) if not norm or "scale" in norm else None,
            row["std_value"] or None,
            row["input_layout_train"] or "NCHW",
            row["input_space_and_range"] or "regular",
            config.inputs[name].fit if name in config.inputs else "exact",
        )
        if config.inputs.get(name) != edit.declared:
            edits.append(edit)
    return edits


def input_keys(config: Config, graph: Graph, base: PtqYaml | None) -> dict[str, Any]:
    """Return the keys of ``input_parameters`` that say what `config` declares; none where `base` says it already."""
    if not config.inputs and base is None:
        return {}
    if base is not None and not input_edits(base, config, graph, []):
        return {}
    plain = Preprocess("featuremap", "featuremap")
    each = [config.inputs.get(name, plain) for name in graph.inputs]

    def column(texts: list[str]) -> str | None:
        return ";".join(texts) if any(texts) else None

    norms = [
        {(1, 1): "data_mean_and_scale", (1, 0): "data_mean", (0, 1): "data_scale"}.get(
            (int(bool(p.mean)), int(bool(p.scale))), "no_preprocess"
        )
        for p in each
    ]
    spaces = [p.space for p in each]
    return {
        "input_name": ";".join(graph.inputs),
        "input_type_rt": ";".join(p.rt for p in each),
        "input_type_train": ";".join(p.train for p in each),
        "input_layout_train": ";".join(p.layout for p in each),
        "input_space_and_range": ";".join(spaces) if set(spaces) != {"regular"} else None,
        "norm_type": None if config.march in HB_COMPILE_MARCHES else ";".join(norms),
        "mean_value": column([text_of(p.mean) for p in each]),
        "scale_value": column([text_of(p.scale) for p in each]),
        "std_value": None,
    }
