"""Shape changes, joining and cutting, reading parts.

Target shapes are filled in, ``Sym`` where they follow the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qworkbench.graph.node import Dim, Sym
from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.importer import ShapeError, UnsupportedError
from qworkbench.graph.onnx_frontend.known import merged, merged_all

_FAR = 2**31 - 1


def _reshape(c: Call) -> str:
    """Return Reshape; 0 copies a size unless ``allowzero``, one -1 takes the rest."""
    filled = []
    for row, size in zip(c.rows(1), c.sizes(0), strict=True):
        shape = list(row)
        if not c.attr("allowzero", 0):
            if any(d == 0 and i >= len(size) for i, d in enumerate(shape)):
                raise ShapeError(f"it copies a size that its input of rank {len(size)} does not have")
            shape = [size[i] if d == 0 else d for i, d in enumerate(shape)]
        total, rest = int(np.prod(size, dtype=np.int64)), int(np.prod([d for d in shape if d != -1], dtype=np.int64))
        if -1 in shape:
            shape[shape.index(-1)] = total // rest if rest else 0
        if int(np.prod(shape, dtype=np.int64)) != total:
            raise ShapeError(f"{total} elements do not fill the shape {row}")
        filled.append(tuple(shape))
    return c.emit("Reshape", [c.x(0)], {"shape": merged_all(filled)})


def _flatten(c: Call) -> str:
    axis = c.attr("axis", 1)
    return c.emit("Flatten", [c.x(0)], {"axis": axis + c.rank() if axis < 0 else axis})


def _transpose(c: Call) -> str:
    return c.emit("Transpose", [c.x(0)], {"perm": c.attr("perm", tuple(reversed(range(c.rank()))))})


def _squeeze(c: Call) -> str:
    given = c.fixed_ints(1, "axes")
    axes = tuple(sorted(c.axis(a) for a in given)) if given is not None else _ones(c)
    return c.emit("Squeeze", [c.x(0)], {"axes": axes})


def _ones(c: Call) -> tuple[int, ...]:
    return tuple(axis for axis in range(c.rank()) if all(size[axis] == 1 for size in c.sizes(0)))


def _unsqueeze(c: Call) -> str:
    axes = c.fixed_ints(1, "axes") or ()
    return c.emit("Unsqueeze", [c.x(0)], {"axes": tuple(sorted(c.axis(a, c.rank() + len(axes)) for a in axes))})


def _expand(c: Call) -> str:
    shapes = [np.broadcast_shapes(size, row) for size, row in zip(c.sizes(0), c.rows(1), strict=True)]
    return c.emit("Expand", [c.x(0)], {"shape": merged_all(shapes)})


def _concat(c: Call) -> str:
    return c.emit("Concat", [c.x(slot) for slot in range(len(c))], {"axis": c.axis(c.attr("axis"))})


def _split(c: Call) -> tuple[str, ...]:
    """Return Split; without sizes the parts are equal, the last one smaller where they cannot be."""
    axis, count = c.axis(c.attr("axis", 0)), len(c.proto.output)
    sizes = c.fixed_ints(1, "split")
    if sizes is None:
        length = c.dim(0, axis)
        each = -(-length // count)
        sizes = tuple(max(min(each, length - i * each), 0) for i in range(count))
    return c.emit_many("Split", [c.x(0)], {"axis": axis, "split": sizes}, count)


def _slice(c: Call) -> str:
    """Return Slice with bounds inside the axes; the tensor itself where nothing is cut."""
    if c.opset < 10:
        starts, ends = ([tuple(c.attr(name))] * len(c.importer.batches) for name in ("starts", "ends"))
        given = c.attr("axes")
    else:
        starts, ends = c.rows(1), c.rows(2)
        given = c.fixed_ints(3)
    count = len(starts[0])
    axes = tuple(range(count)) if given is None else tuple(c.axis(a) for a in given)
    steps = (c.fixed_ints(4) if c.opset >= 10 else None) or (1,) * count
    cuts = []
    for i, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        bounds = [_bounds(s[i], e[i], step, z[axis]) for s, e, z in zip(starts, ends, c.sizes(0), strict=True)]
        size = merged([z[axis] for z in c.sizes(0)])
        start, end = merged([b[0] for b in bounds]), merged([b[1] for b in bounds])
        if (start, end, step) != (0, size, 1):
            cuts.append((axis, start, _FAR if isinstance(size, Sym) and end == size else end, step))
    if not cuts:
        return c.x(0)
    names = ("axes", "starts", "ends", "steps")
    return c.emit("Slice", [c.x(0)], {name: tuple(cut[i] for cut in cuts) for i, name in enumerate(names)})


def _bounds(start: int, end: int, step: int, size: int) -> tuple[int, int]:
    """Return start and end inside an axis; an end before the first element, when stepping back, is ``-size - 1``."""
    if step == 0:
        raise ShapeError("a slice with step 0")
    first, last, _ = slice(start, end, step).indices(size)
    if step > 0:
        return first, max(first, last)
    return max(first, 0), -size - 1 if last < 0 else last


def _gather(c: Call) -> str:
    """Return Gather; fixed positions counted from the end are counted from the front."""
    axis = c.axis(c.attr("axis", 0))
    if not c.is_known(1):
        return c.emit("Gather", [c.x(0), c.x(1)], {"axis": axis})
    index = c.content(1).astype(np.int64)
    if (index < 0).any():
        index = np.where(index < 0, index + c.dim(0, axis), index)
    same = np.array_equal(index, c.content(1)) and c.content(1).dtype == np.int64
    return c.emit("Gather", [c.x(0), c.x(1) if same else c.constant(index, "index")], {"axis": axis})


def _pad(c: Call) -> str:
    """Return Pad over all axes; pads are an attribute before opset 11, and name their axes since 18."""
    rank = c.rank()
    if c.opset < 11:
        given, value, axes = c.attr("pads"), float(c.attr("value", 0.0)), None
    else:
        given, value, axes = c.fixed_ints(1), c.number(2) or 0.0, c.fixed_ints(3)
    chosen = tuple(range(rank)) if axes is None else tuple(c.axis(a) for a in axes)
    assert given is not None
    pads = [0] * (2 * rank)
    for i, axis in enumerate(chosen):
        pads[axis], pads[axis + rank] = given[i], given[i + len(chosen)]
    mode = c.attr("mode", "constant")
    if value and mode == "constant" and c.stands(0):
        value = c.stored(0, value)
    return c.emit("Pad", [c.x(0)], {"pads": tuple(pads), "mode": mode, "value": value})


def _depth_to_space(c: Call) -> str:
    mode = c.attr("mode", "DCR") if c.op == "DepthToSpace" else "DCR"
    return c.emit(c.op, [c.x(0)], {"blocksize": c.attr("blocksize"), "mode": mode})


def _tile(c: Call) -> str:
    repeats: tuple[Dim, ...] = merged_all(c.rows(1))
    return c.carry("Tile", "Tile", [c.x(0)], {"repeats": repeats}, repeats)[0]


def _elements(c: Call) -> str:
    axis = c.axis(c.attr("axis", 0))
    if c.attr("reduction", "none") != "none":
        raise UnsupportedError("scattering that combines elements")
    op = "ScatterElements" if c.op == "Scatter" else c.op
    return c.carry(op, op, [c.x(slot) for slot in range(len(c))], {"axis": axis}, axis)[0]


def _scatter_nd(c: Call) -> str:
    reduction = c.attr("reduction", "none")
    if reduction not in ("none", "add"):
        raise UnsupportedError(f"ScatterND that combines elements by {reduction}")
    return c.carry("ScatterND", "ScatterND", [c.x(0), c.x(1), c.x(2)], {"reduction": reduction}, reduction)[0]


def _gather_nd(c: Call) -> str:
    if c.attr("batch_dims", 0):
        raise UnsupportedError("GatherND with batch axes")
    return c.carry("GatherND", "GatherND", [c.x(0), c.x(1)], {})[0]


HANDLERS: dict[str, Callable[[Call], Any]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Tile": _tile,
    "ScatterND": _scatter_nd,
    "GatherND": _gather_nd,
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _depth_to_space),
    **dict.fromkeys(("GatherElements", "ScatterElements", "Scatter"), _elements),
}
