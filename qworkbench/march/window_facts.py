"""Facts of the ops with a sliding window: convolutions and pools.

Axes are named from the last one: ``w``, then ``h``, then ``d``. Knows shapes and attributes, not the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from qworkbench.march.clauses import Fact

Shape = tuple[int, ...]


def window_facts(op: str, attrs: Mapping[str, Any], inputs: Sequence[Shape | None], output: Shape) -> dict[str, Fact]:
    """Return kernel, stride, dilation, pad and channel facts of `op`; nothing for an op without a window."""
    if "kernel_shape" not in attrs:
        return {}
    kernel: Shape = tuple(attrs["kernel_shape"])
    count = len(kernel)
    ones, zeros = (1,) * count, (0,) * count
    strides: Shape = tuple(attrs.get("strides") or ones)
    dilations: Shape = tuple(attrs.get("dilations") or ones)
    pads: Shape = tuple(attrs.get("pads") or zeros * 2)
    output_padding: Shape = tuple(attrs.get("output_padding") or zeros)
    facts: dict[str, Fact] = {
        "kernel_area": prod(kernel),
        "stride_area": prod(strides),
        "stride_hw": strides[-2:],
        "dilated": any(d > 1 for d in dilations),
    }
    for axis, letter in enumerate("dhw"[-count:]):
        k, s = kernel[axis], strides[axis]
        facts |= {
            f"kernel_{letter}": k,
            f"stride_{letter}": s,
            f"dilation_{letter}": dilations[axis],
            f"pad_{letter}": max(pads[axis], pads[axis + count]),
            f"half_kernel_{letter}": k // 2,
        }
        if op == "ConvTranspose":
            facts |= {
                f"output_padding_{letter}": output_padding[axis],
                f"half_kernel_below_{letter}": (k - 1) // 2,
                # pad < kernel / stride for an odd stride, pad <= kernel / stride for an even one
                f"pad_limit_{letter}": k // s if s % 2 == 0 else -(-k // s) - 1,
            }
    weight = inputs[1] if op in ("Conv", "ConvTranspose") and len(inputs) > 1 else None
    if weight is not None and inputs[0] is not None:
        facts |= _channels(op, int(attrs.get("group", 1)), weight, inputs[0], output, bool(facts["dilated"]))
        if op == "ConvTranspose" and count == 2:
            facts["effective_kernel_volume"] = _effective_volume(facts)
    return facts


def _channels(op: str, group: int, weight: Shape, x: Shape, output: Shape, dilated: bool) -> dict[str, Fact]:
    cin, cout = x[1], output[1]
    return {
        "group": group,
        "in_channels_per_group": cin // group,
        "out_channels_per_group": cout // group,
        "weight_n": weight[0],
        "weight_c": weight[1],
        "weight_elements": prod(weight),
        "kernel_volume": prod(weight[2:]) * cin // group,
        "kernel_depth_channels": weight[2] * cin // group if len(weight) == 5 else 0,
        "plain_conv": op == "Conv" and group == 1 and not dilated,
    }


def _effective_volume(facts: Mapping[str, Fact]) -> int:
    """Return the kernel volume per output phase of a transposed convolution (RDK X5, row ConvTranspose)."""
    volume = int(str(facts["in_channels_per_group"]))
    for letter in "hw":
        k, s, p = (int(str(facts[f"{name}_{letter}"])) for name in ("kernel", "stride", "pad"))
        volume *= (k - 1 + p % s) // s + 1
    return volume
