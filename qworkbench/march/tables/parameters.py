"""What varies per march or is left open by the public material, with its basis: read by name, listed in reports."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from qworkbench.march.row import Basis, Parameter


def parameters(
    *,
    int16: tuple[bool, Basis],
    tail_lut_int16: tuple[bool, Basis],
    residual_add: tuple[str, Basis],
) -> MappingProxyType[str, Parameter]:
    """Return the parameters of an X3, Ultra or X5 march; the arguments are (value, basis) of those that differ."""
    return all_parameters(
        int16=int16,
        tail_lut_int16=tail_lut_int16,
        residual_add=residual_add,
        tail_dtype=("int32", "documented"),
        float16=("none", "documented"),
        float_output=(False, "documented"),
        dual_int16=(False, "documented"),
        classes_basis="documented",
    )


def all_parameters(
    *,
    int16: tuple[bool, Basis],
    tail_lut_int16: tuple[bool, Basis],
    residual_add: tuple[str, Basis],
    tail_dtype: tuple[str, Basis],
    float16: tuple[str, Basis],
    float_output: tuple[bool, Basis],
    dual_int16: tuple[bool, Basis],
    classes_basis: Basis,
) -> MappingProxyType[str, Parameter]:
    """Return the parameters that every march has; the arguments are (value, basis) of those that differ."""
    values: dict[str, tuple[Any, Basis, str]] = {
        "input_batch": (1, "documented", "the board model is compiled for this batch; symbolic dims follow it"),
        "int16_supported": (*int16, "activations may be int16 where the op's row allows it"),
        "tail_ops": (
            ("Conv", "Gemm", "MatMul"),
            "documented",
            "ops that leave the model with their accumulator; Gemm is converted to Conv, the MatMul row lists int32",
        ),
        "tail_dtype": (
            *tail_dtype,
            "how they leave: int32 with a Dequantize on the CPU, or float32 where the tensor unit writes floats itself",
        ),
        "float16": (
            *float16,
            "whether the BPU computes in float16: none, on request (node by node), or by default for everything but "
            "the inputs of multiply-accumulate ops",
        ),
        "float_output": (*float_output, "whether multiply-accumulate ops can write float16 or float32"),
        "dual_int16": (
            *dual_int16,
            "whether activation and weight (or both inputs of a MatMul) of one op may be int16 together",
        ),
        "classes": (
            "active, passive, manual",
            classes_basis,
            "ops find their threshold as the article on active, passive and manual quantization says",
        ),
        "tail_scope": (
            "model",
            "inferred",
            "the high-precision tail is taken at the outputs of the model; whether a conv in front of a CPU op inside "
            "the model leaves so too is not published",
        ),
        "tail_lut_int16": (*tail_lut_int16, "a lookup at the output of the model is int16 (HzLut2Layer)"),
        "run_on_bpu_passive": (
            "single-input",
            "unknown",
            "passive ops that run_on_bpu can move: those with one data input, since which ones is not published",
        ),
        "residual_add": (
            *residual_add,
            "form of an Add of two feature maps: an element-wise op, or an identity convolution with a summed input",
        ),
        "group_threshold": (
            "max",
            "inferred",
            "of several active consumers behind one scale group the largest threshold wins; the logs fit the nearest "
            "consumer equally well",
        ),
        "layer_norm": (
            "whole",
            "inferred",
            "LayerNormalization that the list does not name, whose pieces the converter sees: one op in float on the "
            "CPU (whole), or on bayes and bayes-e those of its definition on the BPU (pieces); in which numbers they "
            "compute is not public",
        ),
        "concat_target": (
            "nearest",
            "inferred",
            "a tensor that flows into several Concats takes the scale of the nearest one and is requantized for the "
            "others; in every printed case the nearest also has the largest threshold",
        ),
    }
    return MappingProxyType({name: Parameter(*entry) for name, entry in values.items()})
