"""Attention opened up into products, a softmax and projections, so that each part can be placed on its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from qworkbench.graph.replay import Replay
from qworkbench.graph.structure import Slot
from qworkbench.graph.torch_frontend.builder import Builder
from qworkbench.graph.torch_frontend.values import UnsupportedError


def _masked(mask: torch.Tensor, scores: torch.Tensor, keep_where_true: bool, instead: float) -> torch.Tensor:
    return scores.masked_fill(~mask if keep_where_true else mask, instead)


def _apply_mask(b: Builder, scores: Slot, mask: Slot, name: str = "mask", *, keep_where_true: bool) -> Slot:
    if b.dtype(mask) == torch.bool:
        run = Replay(_masked, (Slot(0), Slot(1), keep_where_true, float("-inf")), {}, b.batch)
        return b.emit("Where", [mask, scores], sub=name, replay=run)
    return b.emit("Add", [scores, mask], sub=name)


def _weights(
    b: Builder,
    query: Slot,
    key: Slot,
    mask: Slot | None,
    scale: float,
    *,
    keep_where_true: bool,
    padding: Slot | None = None,
) -> Slot:
    rank = b.rank(key)
    perm = (*range(rank - 2), rank - 1, rank - 2)
    turned = b.emit("Transpose", [key], {"perm": perm}, sub="k_transpose")
    scores = b.emit("MatMul", [b.emit("Mul", [query, scale], sub="scale"), turned], sub="qk")
    if mask is not None:
        scores = _apply_mask(b, scores, mask, keep_where_true=keep_where_true)
    if padding is not None:
        scores = _apply_mask(b, scores, padding, "padding", keep_where_true=False)
    return b.emit("Softmax", [scores], {"axis": b.rank(scores) - 1}, sub="softmax")


def scaled_dot_product_attention(
    b: Builder,
    query: Slot,
    key: Slot,
    value: Slot,
    attn_mask: Slot | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Slot:
    """Return ``softmax(scale * q @ k.T + mask) @ v``."""
    if dropout_p or enable_gqa:
        raise UnsupportedError("attention with dropout or shared key heads")
    length, width = b.shape(query)[-2], b.static(b.shape(query)[-1], "the embedding")
    if is_causal:
        size = b.static(length, "the sequence"), b.static(b.shape(key)[-2], "the sequence")
        causal = torch.full(size, float("-inf")).triu(1)
        attn_mask = b.constant(causal, "causal_mask")
    factor = 1 / math.sqrt(width) if scale is None else scale
    weights = _weights(b, query, key, attn_mask, factor, keep_where_true=True)
    return b.emit("MatMul", [weights, value])


def _projection(b: Builder, m: Any, x: Slot, part: int, name: str) -> Slot:
    rows = (part * m.embed_dim, (part + 1) * m.embed_dim)
    weight = b.weight("in_proj_weight", rows=rows) if m._qkv_same_embed_dim else b.weight(f"{name}_proj_weight")
    bias = b.weight("in_proj_bias", rows=rows)
    projected = b.emit("Gemm", [x, weight, bias], {"transB": True}, sub=f"{name}_proj")
    batch, length = b.shape(x)[:2]
    heads = (batch, length, m.num_heads, m.head_dim)
    return b.emit(
        "Transpose",
        [b.emit("Reshape", [projected], {"shape": heads}, sub=f"{name}_split")],
        {"perm": (0, 2, 1, 3)},
        sub=f"{name}_heads",
    )


def multihead_attention(
    b: Builder,
    m: Any,
    query: Slot,
    key: Slot,
    value: Slot,
    key_padding_mask: Slot | None = None,
    need_weights: bool = True,
    attn_mask: Slot | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Slot, Slot | None]:
    """Return ``nn.MultiheadAttention`` as projections, attention and the output projection."""
    if b.rank(query) != 3 or m.bias_k is not None or m.add_zero_attn:
        raise UnsupportedError("multi-head attention without batch axis or with added keys")
    given = [query, key, value]
    if not m.batch_first:
        turned = {s: b.emit("Transpose", [s], {"perm": (1, 0, 2)}, sub=f"batch_first{i}") for i, s in
                  enumerate(dict.fromkeys(given))}  # fmt: skip
        given = [turned[s] for s in given]
    q, k, v = (_projection(b, m, x, i, n) for i, (x, n) in enumerate(zip(given, "qkv", strict=True)))
    if attn_mask is not None and b.rank(attn_mask) == 3:  # one per batch element and head, in one axis
        shape = (b.shape(given[0])[0], m.num_heads, *b.shape(attn_mask)[1:])
        attn_mask = b.emit("Reshape", [attn_mask], {"shape": shape}, sub="mask_heads")
    if key_padding_mask is not None:
        key_padding_mask = b.emit("Unsqueeze", [key_padding_mask], {"axes": (1, 2)}, sub="padding_heads")
    factor = 1 / math.sqrt(m.head_dim)
    weights = _weights(b, q, k, attn_mask, factor, keep_where_true=False, padding=key_padding_mask)
    mixed = b.emit(
        "Transpose", [b.emit("MatMul", [weights, v], sub="av")], {"perm": (0, 2, 1, 3)}, sub="merge_transpose"
    )
    merged = b.emit("Reshape", [mixed], {"shape": (*b.shape(given[0])[:2], m.embed_dim)}, sub="merge")
    last = None if m.batch_first else "out_proj"
    parts = [merged, b.weight("out_proj.weight"), b.weight("out_proj.bias")]
    out = b.emit("Gemm", parts, {"transB": True}, sub=last)
    if not m.batch_first:
        out = b.emit("Transpose", [out], {"perm": (1, 0, 2)})
    if not need_weights:
        return out, None
    if average_attn_weights:
        weights = b.emit("ReduceMean", [weights], {"axes": (1,), "keepdims": False}, sub="mean_weights")
    return out, weights


FUNCTIONS: dict[str, Callable[..., Any]] = {"scaled_dot_product_attention": scaled_dot_product_attention}
MODULES: dict[str, Callable[..., Any]] = {"MultiheadAttention": multihead_attention}
