"""Facts of ops that move, reduce or resize a tensor, and of Gemm's view of its input.

Knows the graph only where a fact needs it: the dtype of Gather's indices, and what Gemm's input was before flattening.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.march.broadcast import align
from qworkbench.march.clauses import Fact

Shape = tuple[int, ...]
PLAIN_ATTRIBUTES = ("axis", "axes", "keepdims", "mode", "blocksize", "padding_mode", "sorted")


def shape_facts(
    graph: Graph, node: Node, attrs: Mapping[str, Any], inputs: Sequence[Shape | None], output: Shape
) -> dict[str, Fact]:
    """Return axis, block, split, pad, resize and reduction facts of `node`."""
    facts: dict[str, Fact] = {}
    for name in PLAIN_ATTRIBUTES:
        value = attrs.get(name)
        if value is not None:
            facts[name] = tuple(value) if isinstance(value, (list, tuple)) else value
    x = inputs[0] if inputs else None
    if x is None:
        return facts
    if node.op == "Concat":
        facts["input_channels"] = tuple(shape[1] for shape in inputs if shape is not None and len(shape) > 1)
    elif node.op == "Split" and attrs.get("split"):
        facts |= {"split_parts": tuple(attrs["split"]), "split_dim": x[attrs["axis"]]}
    elif node.op == "Pad" and attrs.get("pads"):
        pads, rank = attrs["pads"], len(x)
        facts["padded_axes"] = tuple(axis for axis in range(rank) if pads[axis] or pads[axis + rank])
    elif node.op in ("Expand", "Tile") and len(x) <= len(output):
        pairs = zip(align(x, len(output)), output, strict=True)
        facts["changed_dims"] = sum(before != after for before, after in pairs)
    elif node.op in ("Resize", "Upsample") and len(x) == len(output) == 4:
        facts |= {"resize_factor_h": output[2] / x[2], "resize_factor_w": output[3] / x[3]}
        if "coordinate_transformation_mode" in attrs:
            facts["coordinate_mode"] = attrs["coordinate_transformation_mode"]
    elif node.op.startswith("Reduce"):
        axes = tuple(attrs.get("axes") or range(len(x)))
        facts |= {
            "axes": axes,
            "axes_count": len(axes),
            "reduced_dims": tuple(x[axis] for axis in axes),
            "reduces_hw": tuple(sorted(axes)) == (len(x) - 2, len(x) - 1),
        }
    elif node.op == "LayerNormalization" and attrs.get("normalized_shape"):
        facts["normalized_dims"] = len(attrs["normalized_shape"])
    elif node.op in ("ArgMax", "ArgMin") and "axis" in attrs:
        facts["reduced_dims"] = (x[attrs["axis"]],)
    elif node.op in ("Gather", "GatherElements") and len(inputs) > 1 and node.inputs[1] is not None:
        indices = node.inputs[1]
        facts |= {
            "indices_rank": len(inputs[1] or ()),
            "indices_dtype": graph.values[indices].dtype,
            "indices_constant": not graph.is_activation(indices),
        }
        if node.op == "GatherElements" and "axis" in attrs:
            reach = enumerate(zip(inputs[1] or (), x, strict=False))
            facts["indices_fit"] = all(picked <= size for axis, (picked, size) in reach if axis != attrs["axis"])
    return facts


def gemm_facts(graph: Graph, node: Node, batch: int) -> dict[str, Fact]:
    """Return what Gemm looks like as the convolution that it is converted to.

    ``gemm_h``, ``gemm_w``, ``gemm_c`` are the dims of the 4-D tensor that a Flatten or Reshape in front of the Gemm
    rolled up; 1, 1 and the input features where there is none.
    """
    name = node.inputs[0]
    if name is None or node.inputs[1] is None:
        return {}
    features = graph.shape(name, batch)[-1]
    weight = graph.shape(node.inputs[1], batch)
    h = w = 1
    c = features
    producer = graph.producer(name)
    while producer is not None and producer.op in ("Flatten", "Reshape", "Squeeze", "Dropout", "Identity"):
        source = producer.inputs[0]
        if source is None:
            break
        shape = graph.shape(source, batch)
        if len(shape) == 4 and shape[1] * shape[2] * shape[3] == features:
            c, h, w = shape[1:]
            break
        producer = graph.producer(source)
    out_features = weight[0] if node.attrs.get("transB", True) else weight[1]
    return {
        "gemm_h": h,
        "gemm_w": w,
        "gemm_c": c,
        "in_features": features,
        "out_features": out_features,
    }
