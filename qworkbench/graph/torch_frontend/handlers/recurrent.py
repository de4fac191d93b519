"""Recurrent layers stay one operator under their ONNX name; a single LSTM cell is opened up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder, UnsupportedError


def _layer(op: str) -> Callable[..., Any]:
    def handler(b: Builder, m: Any, input: Slot, hx: Any = None) -> Any:
        attrs = {
            "hidden_size": m.hidden_size,
            "num_layers": m.num_layers,
            "bidirectional": m.bidirectional,
            "batch_first": m.batch_first,
        }
        return b.replay(op, attrs)

    return handler


def _lstm_cell(b: Builder, m: Any, input: Slot, hx: Any = None) -> tuple[Slot, Slot]:
    if hx is None:
        raise UnsupportedError("an LSTM cell that starts from an implied zero state")
    if b.rank(input) != 2:
        raise UnsupportedError("an LSTM cell without a batch axis")
    hidden, cell = hx
    from_input = b.emit("Gemm", [input, b.weight("weight_ih"), b.weight("bias_ih")], {"transB": True}, sub="ih")
    from_state = b.emit("Gemm", [hidden, b.weight("weight_hh"), b.weight("bias_hh")], {"transB": True}, sub="hh")
    gates = b.emit("Add", [from_input, from_state], sub="gates")
    sizes = (m.hidden_size,) * 4
    i, f, g, o = b.emit_many("Split", [gates], {"axis": 1, "split": sizes}, 4, sub="split")
    i, f, o = (b.emit("Sigmoid", [x], sub=n) for x, n in ((i, "i"), (f, "f"), (o, "o")))
    kept = b.emit("Mul", [f, cell], sub="forget")
    added = b.emit("Mul", [i, b.emit("Tanh", [g], sub="g")], sub="remember")
    cell = b.emit("Add", [kept, added], sub="cell")
    return b.emit("Mul", [o, b.emit("Tanh", [cell], sub="tanh_cell")]), cell


MODULES: dict[str, Callable[..., Any]] = {
    "LSTM": _layer("LSTM"),
    "GRU": _layer("GRU"),
    "RNN": _layer("RNN"),
    "LSTMCell": _lstm_cell,
}
