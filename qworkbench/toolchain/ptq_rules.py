"""Rules between keys of the PTQ configuration: what must come together, exclude each other, or have equal lengths.

One function per rule; its docstring is the rule. A function yields remarks, and raises where the tools would refuse the
file. Values by themselves are checked by :mod:`qworkbench.toolchain.ptq_schema`.
"""
# ruff: noqa: ARG001, D401 (every rule has one signature, and its docstring is the rule itself)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qworkbench.calibration.preprocess import RUNTIME
from qworkbench.errors import FileFormatError, nearest

Get = Callable[[str], Any]

REMOVABLE = ("Quantize", "Transpose", "Dequantize", "Cast", "Reshape", "Softmax")
PER_INPUT = (
    "input_type_rt",
    "input_type_train",
    "input_layout_rt",
    "input_layout_train",
    "input_space_and_range",
    "norm_type",
    "cal_data_dir",
    "cal_data_type",
)
SOURCES = {
    "pyramid": ("nv12", "gray", "yuv420sp_bt601_video", "yuv_bt601_full"),
    "resizer": ("nv12", "gray", "yuv420sp_bt601_video", "yuv_bt601_full"),
    "ddr": ("rgb", "bgr", "yuv444", "yuv444_128", "gray", "featuremap"),
}
CORES = {"bernoulli2": 2, "bayes-e": 2, "nash-p": 4, "nash-h": 4}


def entries(value: Any) -> list[str]:
    """Return the parts of a ``;`` list, blanks stripped; a file's trailing ``;`` is no entry."""
    return [part.strip() for part in str(value or "").split(";") if part.strip()]


def one_model(get: Get, tool: str) -> Iterator[str]:
    """A file names one model: onnx_model, or caffe_model with prototxt."""
    if get("onnx_model") and get("caffe_model"):
        raise FileFormatError("model_parameters names onnx_model and caffe_model; keep the one to convert")
    if get("caffe_model") and not get("prototxt"):
        raise FileFormatError("model_parameters.caffe_model needs prototxt beside it")
    if not get("onnx_model") and not get("caffe_model"):
        yield "model_parameters: names no model; the tools need onnx_model, or caffe_model with prototxt"


def equal_lengths(get: Get, tool: str) -> Iterator[str]:
    """Keys that speak of inputs have one entry per input, in the order of input_name."""
    counts = {name: len(entries(get(name))) for name in ("input_name", "input_shape", *PER_INPUT)}
    inputs = counts["input_name"] or max(counts["input_shape"], counts["input_type_rt"], counts["input_type_train"])
    for name, count in counts.items():
        if inputs and count and count != inputs:
            raise FileFormatError(
                f"{name} has {count} entr{'y' if count == 1 else 'ies'} for {inputs} input{'' if inputs == 1 else 's'}"
                "; write one for each, with ';' between"
            )
    yield from ()


def shapes(get: Get, tool: str) -> Iterator[str]:
    """input_shape is written in whole numbers with x between them, also for a dynamic model."""
    for shape in entries(get("input_shape")):
        if not all(size.isdecimal() and int(size) >= 1 for size in shape.lower().split("x")):
            raise FileFormatError(
                f"input_shape must be whole numbers >= 1 with x between them, got {shape!r}; e.g. 1x3x224x224"
            )
    yield from ()


def image_types(get: Get, tool: str) -> Iterator[str]:
    """The runtime type must be one that the tools can bring to the training type."""
    pairs = zip(entries(get("input_type_rt")), entries(get("input_type_train")), strict=False)
    for rt, train in pairs:
        allowed = RUNTIME.get(train, ())
        later = {"yuv444_128", "yuv420sp_bt601_video"} if train in ("rgb", "bgr") else {"yuv444_128"}
        if rt != train and rt not in allowed and not (train in ("rgb", "bgr", "yuv444") and rt in later):
            raise FileFormatError(
                f"input_type_rt {rt} cannot become input_type_train {train}; allowed: {_list(allowed)}"
            )
    yield from ()


def even_sizes(get: Get, tool: str) -> Iterator[str]:
    """NV12 needs an even height and width."""
    layouts = entries(get("input_layout_train")) or ["NCHW"] * 99
    for shape, rt, layout in zip(entries(get("input_shape")), entries(get("input_type_rt")), layouts, strict=False):
        sizes = [int(part) for part in shape.split("x") if part.isdigit()]
        if rt == "nv12" and len(sizes) == 4:
            height, width = sizes[2:] if layout == "NCHW" else sizes[1:3]
            if height % 2 or width % 2:
                raise FileFormatError(f"input_shape {shape}: nv12 needs an even height and width")
    yield from ()


def normalisation(get: Get, tool: str) -> Iterator[str]:
    """norm_type, mean_value, scale_value and std_value agree; a featuremap has none of them."""
    if get("scale_value") and get("std_value"):
        raise FileFormatError("scale_value and std_value exclude each other; scale is 1 / std")
    if get("std_value") and tool == "hb_mapper":
        yield "input_parameters.std_value: hb_mapper does not know it; write scale_value = 1 / std"
    norms = " ".join(entries(get("norm_type"))) if tool == "hb_mapper" else ""
    for word, key in (("mean", "mean_value"), ("scale", "scale_value")):
        if word in norms and get(key) in (None, ""):
            yield f"input_parameters.norm_type {norms}: needs {key}, which is not set"
    types = entries(get("input_type_train"))
    if types and set(types) == {"featuremap"} and any(get(k) for k in ("mean_value", "scale_value", "std_value")):
        yield "input_parameters: mean, scale and std have no effect on a featuremap"


def batches(get: Get, tool: str) -> Iterator[str]:
    """input_batch is for a single input whose first dimension is 1; separate_batch excludes separate_name."""
    if get("separate_batch") and get("separate_name"):
        raise FileFormatError("separate_batch and separate_name exclude each other; keep one")
    batch, shapes = get("input_batch"), entries(get("input_shape"))
    if isinstance(batch, int):
        many = max(len(entries(get("input_name"))), len(shapes))
        if many > 1:
            raise FileFormatError(f"input_batch {batch} is for models with a single input; this one has {many}")
        if shapes and shapes[0].split("x")[0] != "1":
            raise FileFormatError(f"input_batch {batch} needs an input_shape that begins with 1, got {shapes[0]}")
    yield from ()


def thresholds(get: Get, tool: str) -> Iterator[str]:
    """max_percentile is for calibration_type max; default and mix choose percentile and per_channel themselves."""
    kind = get("calibration_type")
    for key in ("max_percentile", "per_channel"):
        if get(key) not in (None, "", False, 1.0) and kind not in (
            None,
            "",
            "max",
            *(("kl",) * (key != "max_percentile")),
        ):
            yield f"calibration_parameters.{key}: no effect with calibration_type {kind}"
    if kind in (None, "", "default", "mix", "kl", "max") and not get("cal_data_dir"):
        yield "calibration_parameters.cal_data_dir: not set; the tools then calibrate with random data"


def removable(get: Get, tool: str) -> Iterator[str]:
    """remove_node_type names operators that can be taken off the ends."""
    for name in entries(get("remove_node_type")):
        if name not in REMOVABLE:
            hint = nearest(name, REMOVABLE, count=1)
            also = f"; did you mean {hint[0]!r}?" if hint else ""
            raise FileFormatError(f"remove_node_type must be among {_list(REMOVABLE)}, got {name!r}{also}")
    yield from ()


def compiling(get: Get, tool: str) -> Iterator[str]:
    """Balance needs balance_factor; max_time_per_fc is 0 or from 1000; core_num as the march has cores."""
    march = str(get("march") or "")
    if get("compile_mode") == "balance" and get("balance_factor") is None:
        raise FileFormatError("compile_mode balance needs balance_factor (0 to 100)")
    if get("balance_factor") is not None and get("compile_mode") != "balance":
        yield "compiler_parameters.balance_factor: no effect without compile_mode balance"
    limit, top = get("max_time_per_fc"), 10_000_000 if tool == "hb_compile" else 4_294_967_295
    if isinstance(limit, int) and limit and not 1000 <= limit <= top:
        raise FileFormatError(f"max_time_per_fc must be 0 or lie in [1000, {top}] us, got {limit}")
    cores = get("core_num")
    if march == "bayes" and cores is not None:
        raise FileFormatError("core_num must not be set for march bayes; take it out")
    if march in CORES and isinstance(cores, int) and cores > CORES[march]:
        raise FileFormatError(f"core_num must lie in [1, {CORES[march]}] on {march}, got {cores}")
    if get("max_l2m_size") and march in ("nash-b", "nash-b-lite", "nash-b-plus", "nash-e", "nash-m"):
        yield f"compiler_parameters.max_l2m_size: {march} has no L2M; no effect"
    if tool == "hb_mapper" and not get("optimize_level"):
        yield "compiler_parameters.optimize_level: not set; hb_mapper requires it (O3 for real performance)"


def sources(get: Get, tool: str) -> Iterator[str]:
    """input_source must be able to deliver the input's runtime type."""
    given = get("input_source")
    if isinstance(given, Mapping):
        types = dict(zip(entries(get("input_name")), entries(get("input_type_rt")), strict=False))
        for name, source in given.items():
            if str(source) not in SOURCES:
                hint = nearest(str(source), SOURCES, count=1)
                also = f"; did you mean {hint[0]!r}?" if hint else ""
                raise FileFormatError(f"input_source of {name!r} must be one of {_list(SOURCES)}, got {source!r}{also}")
            rt = types.get(str(name))
            if rt is not None and rt not in SOURCES[str(source)]:
                raise FileFormatError(
                    f"input_source {source} of {name!r} cannot deliver {rt}; it delivers {_list(SOURCES[str(source)])}"
                )
    yield from ()


def _list(words: Any) -> str:
    return ", ".join(words)


RULES = (
    one_model,
    equal_lengths,
    shapes,
    image_types,
    even_sizes,
    normalisation,
    batches,
    thresholds,
    removable,
    compiling,
    sources,
)


def check_rules(get: Get, tool: str) -> list[str]:
    """Return the remarks of every rule.

    Raises
    ------
    FileFormatError
        Where the tools would refuse the file.
    """
    return [remark for rule in RULES for remark in rule(get, tool)]
