"""Every key of the PTQ configuration file, as a table: group, allowed values, generation.

Two generations: ``hb_mapper`` (bernoulli2, bayes, bayes-e) and ``hb_compile`` (nash and expt; that expt is one of its
marches is inferred). Sources: the public toolchain
documents of X3, Ultra and X5, and the public agent manuals of S100 / S600. Knows nothing of workbenches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qworkbench.errors import FileFormatError, nearest, unknown_name

Generation = Literal["hb_mapper", "hb_compile"]
HB_MAPPER_MARCHES = ("bernoulli2", "bayes", "bayes-e")
# the last three are listed by the tools without a description
HB_COMPILE_MARCHES = (
    *("nash-e", "nash-m", "nash-p", "nash-h", "nash-b", "nash-b-lite", "nash-b-plus"),
    *("nash-starry-p", "expt", "nash"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes
    ----------
    group : str
    kind : "text" | "choice" | "integer" | "number" | "flag" | "any"
        ``any`` also covers mappings and lists.
    choices : tuple of str
        Of hb_mapper; `later` where hb_compile's differ.
    low, high : float
        Bounds of numbers, both included.
    many : bool
        A ``;`` list with one entry per input.
    deprecated : bool
        Ignored by hb_compile.
    """

    group: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    low: float = float("-inf")
    high: float = float("inf")
    many: bool = False
    deprecated: bool = False


MODEL, INPUT, CALIBRATION, COMPILER, CUSTOM = (
    "model_parameters",
    "input_parameters",
    "calibration_parameters",
    "compiler_parameters",
    "custom_op",
)
_RT = ("rgb", "bgr", "yuv444", "nv12", "gray", "featuremap")
_RT_LATER = (*_RT, "yuv444_128", "yuv420sp_bt601_video", "yuv_bt601_full")
_LAYOUT = ("NCHW", "NHWC")

KEYS: Mapping[str, Key] = {
    **{name: Key(MODEL) for name in "onnx_model caffe_model prototxt output_model_file_prefix working_dir".split()},
    **{name: Key(MODEL) for name in "output_nodes remove_node_type remove_node_name debug_mode".split()},
    "march": Key(MODEL, "choice", HB_MAPPER_MARCHES, HB_COMPILE_MARCHES),
    "layer_out_dump": Key(MODEL, "flag"),
    "set_node_data_type": Key(MODEL, "any", deprecated=True),
    "node_info": Key(MODEL, "any"),
    "log_level": Key(MODEL, deprecated=True),
    "enable_vpu": Key(MODEL, "flag"),
    "enable_spu": Key(MODEL, "flag"),
    "input_name": Key(INPUT),
    "input_type_rt": Key(INPUT, "choice", _RT, _RT_LATER, many=True),
    "input_type_train": Key(INPUT, "choice", tuple(t for t in _RT if t != "nv12"), many=True),
    "input_layout_rt": Key(INPUT, "choice", _LAYOUT, many=True, deprecated=True),
    "input_layout_train": Key(INPUT, "choice", _LAYOUT, many=True),
    "input_space_and_range": Key(INPUT, "choice", ("regular", "bt601_video"), many=True),
    "input_shape": Key(INPUT),
    "input_batch": Key(INPUT, "integer", low=1, high=128),
    "norm_type": Key(
        INPUT,
        "choice",
        ("no_preprocess", "data_mean", "data_scale", "data_mean_and_scale"),
        many=True,
        deprecated=True,
    ),
    "mean_value": Key(INPUT, "any"),
    "scale_value": Key(INPUT, "any"),
    "std_value": Key(INPUT, "any"),
    "separate_batch": Key(INPUT, "flag"),
    "separate_name": Key(INPUT),
    "cal_data_dir": Key(CALIBRATION),
    "cal_data_type": Key(CALIBRATION, "choice", ("float32", "uint8"), many=True, deprecated=True),
    "preprocess_on": Key(CALIBRATION, "flag", deprecated=True),
    "calibration_type": Key(
        CALIBRATION,
        "choice",
        ("default", "mix", "kl", "max", "load", "skip"),
        ("default", "kl", "max", "mix", "skip"),
    ),
    "max_percentile": Key(CALIBRATION, "number", low=0.0, high=1.0),
    "per_channel": Key(CALIBRATION, "flag"),
    "run_on_cpu": Key(CALIBRATION),
    "run_on_bpu": Key(CALIBRATION),
    "optimization": Key(CALIBRATION),
    "quant_config": Key(CALIBRATION, "any"),
    "compile_mode": Key(COMPILER, "choice", ("latency", "bandwidth"), ("latency", "bandwidth", "balance")),
    "balance_factor": Key(COMPILER, "integer", low=0, high=100),
    "debug": Key(COMPILER, "flag"),
    "core_num": Key(COMPILER, "integer", low=1, high=4),
    "optimize_level": Key(COMPILER, "choice", ("O0", "O1", "O2", "O3"), ("O0", "O1", "O2")),
    "input_source": Key(COMPILER, "any"),
    "max_time_per_fc": Key(COMPILER, "integer", low=0, high=4294967295),
    "jobs": Key(COMPILER, "integer", low=1),
    "advice": Key(COMPILER, "number"),
    "cache_mode": Key(COMPILER, "choice", ("disable", "enable", "force_overwrite")),
    "cache_path": Key(COMPILER),
    "max_l2m_size": Key(COMPILER, "integer", low=0, high=25165824),
    "extra_params": Key(COMPILER, "any"),
    "custom_op_method": Key(CUSTOM, "choice", ("register",)),
    "op_register_files": Key(CUSTOM),
    "custom_op_dir": Key(CUSTOM),
}
GROUPS = (MODEL, INPUT, CALIBRATION, COMPILER, CUSTOM)


def generation(tree: Mapping[str, Any]) -> Generation:
    """Return which tool the file is for, by its march."""
    model = tree.get(MODEL)
    march = model.get("march") if isinstance(model, Mapping) else None
    return "hb_compile" if march in HB_COMPILE_MARCHES or str(march).startswith("nash") else "hb_mapper"


def check(tree: Mapping[str, Any]) -> list[str]:
    """Check every known value; return one line per key that is unknown or ignored by this generation.

    Raises
    ------
    FileFormatError
        A group that is no mapping, or a value outside its allowed set (the text names the set and the nearest match).
    """
    told = []
    tool = generation(tree)
    for group, keys in tree.items():
        if group not in GROUPS:
            told.append(f"{group}: no such group; known: {', '.join(GROUPS)}")
            continue
        if keys is not None and not isinstance(keys, Mapping):
            raise FileFormatError(f"{group} must be a mapping of keys to values, got {keys!r}")
        for name, value in (keys or {}).items():
            key = KEYS.get(str(name))
            if key is None:
                hint = nearest(str(name), [n for n, k in KEYS.items() if k.group == group], count=1)
                told.append(f"{group}.{name}: unknown key" + (f"; did you mean {hint[0]!r}?" if hint else ""))
            elif key.group != group:
                told.append(f"{group}.{name}: ignored here; it belongs to {key.group}")
            else:
                if key.deprecated and tool == "hb_compile":
                    told.append(f"{group}.{name}: deprecated, {tool} ignores it")
                if value is not None and value != "":
                    _check_value(f"{group}.{name}", key, value, tool)
    return told


def _check_value(name: str, key: Key, value: Any, tool: Generation) -> None:
    if key.kind == "choice":
        allowed = key.later if key.later and tool == "hb_compile" else key.choices
        for entry in str(value).split(";") if key.many else (str(value),):
            if entry.strip() and entry.strip() not in allowed:
                hint = nearest(entry.strip(), allowed, count=1)
                also = f"; did you mean {hint[0]!r}?" if hint else ""
                raise FileFormatError(f"{name} must be one of {', '.join(allowed)}, got {entry.strip()!r}{also}")
    elif key.kind == "flag":
        if not isinstance(value, bool):
            raise FileFormatError(f"{name} must be True or False, got {value!r}")
    elif key.kind in ("integer", "number"):
        types = (int,) if key.kind == "integer" else (int, float)
        what = "a whole number" if key.kind == "integer" else "a number"
        if isinstance(value, bool) or not isinstance(value, types):
            raise FileFormatError(f"{name} must be {what}, got {value!r}")
        if not key.low <= value <= key.high:
            raise FileFormatError(f"{name} must lie in [{key.low:g}, {key.high:g}], got {value}")


def key_of(name: str) -> Key:
    """Return the key called `name`.

    Raises
    ------
    UnknownNameError
    """
    if name not in KEYS:
        raise unknown_name("PTQ key", name, KEYS)
    return KEYS[name]
