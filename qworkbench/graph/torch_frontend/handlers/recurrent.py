"""Recurrent layers stay one operator under their ONNX name; single cells are opened up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError


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
    hidden, cell = (None, None) if hx is None else hx
    gates = _sum(b, *_products(b, input, hidden), "gates")
    sizes = (m.hidden_size,) * 4
    i, f, g, o = b.emit_many("Split", [gates], {"axis": 1, "split": sizes}, 4, sub="split")
    i, f, o = (b.emit("Sigmoid", [x], sub=n) for x, n in ((i, "i"), (f, "f"), (o, "o")))
    added = b.emit("Mul", [i, b.emit("Tanh", [g], sub="g")], sub="remember")
    if cell is None:
        cell = added
    else:
        cell = b.emit("Add", [b.emit("Mul", [f, cell], sub="forget"), added], sub="cell")
    return b.emit("Mul", [o, b.emit("Tanh", [cell], sub="tanh_cell")]), cell


def _products(b: Builder, input: Slot, hidden: Slot | None) -> tuple[Slot, Slot | None]:
    """Return the products of input and state with their weights; of a zero state only its bias is left."""
    if b.rank(input) != 2:
        raise UnsupportedError("a recurrent cell without a batch axis")
    from_input = b.emit("Gemm", [input, b.weight("weight_ih"), b.weight("bias_ih")], {"transB": True}, sub="ih")
    if hidden is None:
        return from_input, b.weight("bias_hh")
    return from_input, b.emit("Gemm", [hidden, b.weight("weight_hh"), b.weight("bias_hh")], {"transB": True}, sub="hh")


def _sum(b: Builder, x: Slot, y: Slot | None, sub: str) -> Slot:
    return x if y is None else b.emit("Add", [x, y], sub=sub)


def _gru_cell(b: Builder, m: Any, input: Slot, hx: Slot | None = None) -> Slot:
    from_input, from_state = _products(b, input, hx)
    sizes = (m.hidden_size,) * 3
    xr, xz, xn = b.emit_many("Split", [from_input], {"axis": 1, "split": sizes}, 3, sub="ih_split")
    hr = hz = hn = None
    if hx is not None and from_state is not None:
        hr, hz, hn = b.emit_many("Split", [from_state], {"axis": 1, "split": sizes}, 3, sub="hh_split")
    elif from_state is not None:
        hr, hz, hn = (b.weight("bias_hh", rows=(i * m.hidden_size, (i + 1) * m.hidden_size)) for i in range(3))
    reset = b.emit("Sigmoid", [_sum(b, xr, hr, "reset_sum")], sub="reset")
    update = b.emit("Sigmoid", [_sum(b, xz, hz, "update_sum")], sub="update")
    past = None if hn is None else b.emit("Mul", [reset, hn], sub="reset_state")
    new = b.emit("Tanh", [_sum(b, xn, past, "new_sum")], sub="new")
    difference = b.emit("Neg", [new], sub="step") if hx is None else b.emit("Sub", [hx, new], sub="step")
    return b.emit("Add", [new, b.emit("Mul", [update, difference], sub="kept")])


def _rnn_cell(b: Builder, m: Any, input: Slot, hx: Slot | None = None) -> Slot:
    total = _sum(b, *_products(b, input, hx), "sum")
    return b.emit("Tanh" if m.nonlinearity == "tanh" else "Relu", [total])


MODULES: dict[str, Callable[..., Any]] = {
    "LSTM": _layer("LSTM"),
    "GRU": _layer("GRU"),
    "RNN": _layer("RNN"),
    "LSTMCell": _lstm_cell,
    "GRUCell": _gru_cell,
    "RNNCell": _rnn_cell,
}
