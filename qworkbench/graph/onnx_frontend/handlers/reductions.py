"""Reductions, softmaxes, sorting and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.carried import recurrent
from qworkbench.graph.onnx_frontend.importer import ShapeError, UnsupportedError
from qworkbench.graph.onnx_frontend.known import merged_all
from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import Slot


def _axes(c: Call) -> tuple[int, ...] | None:
    """Return the reduced axes; None where nothing is reduced."""
    given = c.fixed_ints(1, "axes")
    if not given:
        return None if c.attr("noop_with_empty_axes", 0) else tuple(range(c.rank()))
    return tuple(sorted(c.axis(a) for a in given))


def _settings(c: Call) -> dict[str, Any] | None:
    axes = _axes(c)
    return None if axes is None else {"axes": axes, "keepdims": bool(c.attr("keepdims", 1))}


def _reduce(c: Call) -> str:
    attrs = _settings(c)
    if attrs is None:
        return c.emit("Identity", [c.x(0)])
    if c.op == "ReduceMean" and not c.dtype().is_floating_point:
        raise UnsupportedError("a mean of integers")
    return c.emit(c.op, [c.x(0)], attrs)


def _length(order: int) -> Callable[[Call], str]:
    def handler(c: Call) -> str:
        attrs = _settings(c)
        if attrs is None or not c.dtype().is_floating_point:
            raise UnsupportedError(f"{c.op} of integers or without axes")
        return c.carry(c.op, "Length", [c.x(0)], attrs, attrs["axes"], attrs["keepdims"], order)[0]

    return handler


def _other_reduction(c: Call) -> str:
    attrs = _settings(c)
    if attrs is None or not c.dtype().is_floating_point:
        raise UnsupportedError(f"{c.op} of integers or without axes")
    return c.carry(c.op, c.op, [c.x(0)], attrs, attrs["axes"], attrs["keepdims"])[0]


def _position(c: Call) -> str:
    if c.attr("select_last_index", 0):
        raise UnsupportedError(f"{c.op} that takes the last of equal elements")
    attrs = {"axis": c.axis(c.attr("axis", 0)), "keepdims": bool(c.attr("keepdims", 1))}
    return c.emit(c.op, [c.x(0)], attrs)


def _softmax(c: Call) -> str:
    """Return Softmax over one axis; before opset 13 it was over all axes from ``axis`` on, rolled into one."""
    rank = c.rank()
    axis = c.axis(c.attr("axis", 1 if c.opset < 13 else -1))
    behind = [size[axis + 1 :] for size in c.sizes(0)]
    if c.opset >= 13 or axis == rank - 1 or all(set(rest) <= {1} for rest in behind):
        return c.emit(c.op, [c.x(0)], {"axis": axis})
    rolled = c.emit("Flatten", [c.x(0)], {"axis": axis}, sub="flatten")
    found = c.emit(c.op, [rolled], {"axis": 1})
    return c.emit("Reshape", [found], {"shape": merged_all(c.sizes(0))}, sub="reshape")


def _top_k(c: Call) -> tuple[str, ...]:
    sizes = c.fixed_ints(1, "k")
    assert sizes is not None
    attrs = {
        "k": sizes[0],
        "axis": c.axis(c.attr("axis", -1)),
        "largest": bool(c.attr("largest", 1)),
        "sorted": bool(c.attr("sorted", 1)),
    }
    return c.carry("TopK", "TopK", [c.x(0)], attrs, *attrs.values(), outputs=2)


def _cumulative_sum(c: Call) -> str:
    axis = c.axis(int(c.content(1).reshape(-1)[0]))
    attrs = {"axis": axis, "exclusive": bool(c.attr("exclusive", 0)), "reverse": bool(c.attr("reverse", 0))}
    return c.carry("CumSum", "CumSum", [c.x(0)], attrs, *attrs.values())[0]


def _check_recurrent(c: Call, directions: int) -> None:
    """Refuse sizes that do not belong together; torch's fused layers read past the end of such tensors."""
    gates = 4 if c.op == "LSTM" else 3
    for index in range(len(c.importer.batches)):
        x, r = c.sizes(0)[index], c.sizes(2)[index]
        if len(x) != 3 or len(r) != 3 or r[-1] < 1:
            raise ShapeError(f"{c.op} on shapes {x} and {r}")
        rows, state = gates * r[-1], (directions, x[1], r[-1])
        wanted = {
            1: (directions, rows, x[2]),
            2: (directions, rows, r[-1]),
            3: (directions, 2 * rows),
            5: state,
            6: state,
        }
        for slot, shape in wanted.items():
            if not c.has(slot):
                continue
            if tuple(c.sizes(slot)[index]) != shape or c.dtype(slot) != c.dtype(0):
                raise ShapeError(
                    f"input {slot} of {c.op} has shape {c.sizes(slot)[index]}, not {shape}, or another type"
                )


def _recurrent(c: Call) -> tuple[str, ...]:
    """Return a recurrent layer as one operator, run by torch where torch computes the same."""
    plain = {"activations", "activation_alpha", "activation_beta", "clip"}
    if any(a.name in plain for a in c.proto.attribute) or c.attr("layout", 0) or c.attr("input_forget", 0):
        raise UnsupportedError(f"{c.op} with other activations, clipping or layout")
    if c.has(4) or c.has(7) or (c.op == "GRU" and not c.attr("linear_before_reset", 0)):
        raise UnsupportedError(f"{c.op} with sequence lengths, peepholes or its reset before the product")
    direction = c.attr("direction", "forward")
    _check_recurrent(c, 2 if direction == "bidirectional" else 1)
    slots = (c.has(3), c.has(5) and not c.is_zero(5), c.op == "LSTM" and c.has(6) and not c.is_zero(6))
    if c.op == "LSTM" and slots[1] != slots[2]:
        slots = (slots[0], c.has(5), c.has(6))
    given = [c.x(slot) for slot in (0, 1, 2)] + [c.x(s) for s, there in zip((3, 5, 6), slots, strict=True) if there]
    tensors = tuple(Slot(i) for i in range(len(given)))
    run = Replay(recurrent, (c.op, direction, slots, *tensors), {}, c.importer.batches[0])
    attrs = {
        "hidden_size": c.attr("hidden_size", c.sizes(2)[0][-1]),
        "num_layers": 1,
        "bidirectional": direction == "bidirectional",
        "batch_first": False,
    }
    return c.emit_many(c.op, given, attrs, 3 if c.op == "LSTM" else 2, call=run)


HANDLERS: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"), _reduce),
    "ReduceL1": _length(1),
    "ReduceL2": _length(2),
    **dict.fromkeys(("ReduceSumSquare", "ReduceLogSumExp"), _other_reduction),
    **dict.fromkeys(("ArgMax", "ArgMin"), _position),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    "TopK": _top_k,
    "CumSum": _cumulative_sum,
    **dict.fromkeys(("LSTM", "GRU"), _recurrent),
}
