"""Transformers on images and sequences, and recurrent nets: the published blocks, two layers deep, 16 to 32 wide."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


# -- plain vision transformers ----
class EncoderBlock(nn.Module):
    """nn.MultiheadAttention between layer normalisations, as ViT has it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(dim, heads, dropout=0.1, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.ln_2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=False)
        x = self.dropout(y) + x
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, 32, 8, 8)
        self.class_token = nn.Parameter(torch.randn(1, 1, 32))
        self.pos_embedding = nn.Parameter(torch.randn(1, 17, 32) * 0.1)
        self.layers = nn.Sequential(EncoderBlock(32, 4), EncoderBlock(32, 4))
        self.ln = nn.LayerNorm(32, eps=1e-6)
        self.heads = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        x = self.conv_proj(x).reshape(n, 32, -1).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(n, -1, -1), x], dim=1) + self.pos_embedding
        return self.heads(self.ln(self.layers(x))[:, 0])


class QkvAttention(nn.Module):
    """One linear layer for queries, keys and values, taken apart by reshape, permute and unbind."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
        attn = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(b, n, c))


class DeiTBlock(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = QkvAttention(dim, heads), Mlp(dim, 2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DistilledDeiT(nn.Module):
    """Class and distillation token, the mean of two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 32, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 32))
        self.dist_token = nn.Parameter(torch.randn(1, 1, 32))
        self.pos_embed = nn.Parameter(torch.randn(1, 18, 32) * 0.1)
        self.blocks = nn.Sequential(DeiTBlock(32, 4), DeiTBlock(32, 4))
        self.norm = nn.LayerNorm(32)
        self.head, self.head_dist = nn.Linear(32, 10), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = self.cls_token.expand(len(x), -1, -1), self.dist_token.expand(len(x), -1, -1)
        x = self.norm(self.blocks(torch.cat((*tokens, x), 1) + self.pos_embed))
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2


# -- windows ----
def window_partition(x: Tensor, size: int) -> Tensor:
    """Return (windows, size * size, C) of (B, H, W, C)."""
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, size * size, c)


def window_reverse(windows: Tensor, size: int, h: int, w: int) -> Tensor:
    """Undo :func:`window_partition`."""
    b = windows.shape[0] // (h * w // size // size)
    x = windows.view(b, h // size, w // size, size, size, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, -1)


class WindowAttention(nn.Module):
    """Attention inside windows with a learned relative position bias, and a mask where windows were shifted."""

    def __init__(self, dim: int, window: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = heads, (dim // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.2)
        coords = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0) + window - 1
        self.register_buffer("relative_position_index", relative[..., 0] * (2 * window - 1) + relative[..., 1])
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q * self.scale) @ k.transpose(-2, -1)
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        attn = attn + bias.view(n, n, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        if mask is not None:
            windows = mask.shape[0]
            attn = attn.view(b // windows, windows, self.num_heads, n, n) + mask.unsqueeze(1).unsqueeze(0)
            attn = attn.view(-1, self.num_heads, n, n)
        x = (self.softmax(attn) @ v).transpose(1, 2).reshape(b, n, c)
        return self.proj(x)


class SwinBlock(nn.Module):
    def __init__(self, dim: int, resolution: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = WindowAttention(dim, window, heads), Mlp(dim, 2 * dim)
        self.attn_mask = None
        if shift:
            image = torch.zeros(1, resolution, resolution, 1)
            parts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
            for i, (rows, columns) in enumerate((r, c) for r in parts for c in parts):
                image[:, rows, columns, :] = i
            marks = window_partition(image, window).squeeze(-1)
            different = marks.unsqueeze(1) - marks.unsqueeze(2)
            self.register_buffer("mask", different.masked_fill(different != 0, -100.0))
            self.attn_mask = "mask"

    def forward(self, x: Tensor) -> Tensor:
        _, h, w, _ = x.shape
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, shifts=(-self.shift, -self.shift), dims=(1, 2))
        y = self.attn(window_partition(y, self.window), self.mask if self.attn_mask else None)
        y = window_reverse(y, self.window, h, w)
        if self.shift:
            y = torch.roll(y, shifts=(self.shift, self.shift), dims=(1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Every second pixel four times, joined and reduced."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction, self.norm = nn.Linear(4 * dim, 2 * dim, bias=False), nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x[:, i::2, j::2, :] for j in (0, 1) for i in (0, 1)], -1)
        return self.reduction(self.norm(x))


class Swin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 16, 4, 4)
        self.stage1 = nn.Sequential(SwinBlock(16, 8, 2, 4, 0), SwinBlock(16, 8, 2, 4, 2))
        self.merge = PatchMerging(16)
        self.stage2 = nn.Sequential(SwinBlock(32, 4, 4, 4, 0))
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).permute(0, 2, 3, 1)
        x = self.norm(self.stage2(self.merge(self.stage1(x))))
        return self.head(x.permute(0, 3, 1, 2).mean((2, 3)))


# -- dense prediction ----
class EfficientAttention(nn.Module):
    """SegFormer's attention: keys and values from an image that a strided convolution made smaller."""

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        if reduction > 1:
            self.sr, self.layer_norm = nn.Conv2d(dim, dim, reduction, reduction), nn.LayerNorm(dim)
        self.dense = nn.Linear(dim, dim)

    def split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).permute(0, 2, 1, 3)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        b, n, c = x.shape
        query, context = self.split(self.query(x)), x
        if self.reduction > 1:
            image = x.permute(0, 2, 1).reshape(b, c, height, width)
            context = self.layer_norm(self.sr(image).reshape(b, c, -1).permute(0, 2, 1))
        key, value = self.split(self.key(context)), self.split(self.value(context))
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(c // self.heads)
        x = torch.matmul(F.softmax(scores, dim=-1), value)
        return self.dense(x.permute(0, 2, 1, 3).contiguous().view(b, n, c))


class MixBlock(nn.Module):
    """Attention and a feed-forward net with a depthwise convolution inside."""

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.layer_norm_1, self.layer_norm_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = EfficientAttention(dim, heads, reduction)
        self.dense1, self.dense2 = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.dwconv = nn.Conv2d(2 * dim, 2 * dim, 3, 1, 1, groups=2 * dim)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.attention(self.layer_norm_1(x), height, width)
        y = self.dense1(self.layer_norm_2(x))
        b, _, c = y.shape
        y = self.dwconv(y.transpose(1, 2).view(b, c, height, width)).flatten(2).transpose(1, 2)
        return x + self.dense2(F.gelu(y))


class SegFormer(nn.Module):
    """Two stages of overlapping patches; the decoder projects, resizes and joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embeddings = nn.ModuleList([nn.Conv2d(3, 16, 7, 4, 3), nn.Conv2d(16, 32, 3, 2, 1)])
        self.block = nn.ModuleList([MixBlock(16, 1, 4), MixBlock(32, 2, 2)])
        self.layer_norm = nn.ModuleList([nn.LayerNorm(16), nn.LayerNorm(32)])
        self.linear_c = nn.ModuleList([nn.Linear(16, 24), nn.Linear(32, 24)])
        self.linear_fuse = nn.Conv2d(48, 24, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(24)
        self.classifier = nn.Conv2d(24, 6, 1)

    def forward(self, pixel_values: Tensor) -> Tensor:
        x, levels = pixel_values, []
        for embed, block, norm in zip(self.patch_embeddings, self.block, self.layer_norm, strict=True):
            x = embed(x)
            b, c, h, w = x.shape
            y = norm(block(x.flatten(2).transpose(1, 2), h, w))
            x = y.reshape(b, h, w, c).permute(0, 3, 1, 2).contiguous()
            levels.append(x)
        size = levels[0].shape[2:]
        decoded = []
        for level, linear in zip(levels, self.linear_c, strict=True):
            b, _, h, w = level.shape
            y = linear(level.flatten(2).transpose(1, 2)).permute(0, 2, 1).reshape(b, -1, h, w)
            decoded.append(F.interpolate(y, size=size, mode="bilinear", align_corners=False))
        y = F.relu(self.batch_norm(self.linear_fuse(torch.cat(decoded[::-1], dim=1))))
        return self.classifier(y)


class SinePositions(nn.Module):
    """Sine and cosine of row and column numbers, counted by a cumulative sum over the mask of valid pixels."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, mask: Tensor) -> Tensor:
        y, x = mask.cumsum(1, dtype=torch.float32), mask.cumsum(2, dtype=torch.float32)
        y = y / (y[:, -1:, :] + 1e-6) * 2 * math.pi
        x = x / (x[:, :, -1:] + 1e-6) * 2 * math.pi
        index = torch.arange(self.features, dtype=torch.float32)
        frequency = 10000 ** (2 * torch.div(index, 2, rounding_mode="floor") / self.features)
        found = []
        for position in (y, x):
            angle = position[:, :, :, None] / frequency
            found.append(torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=4).flatten(3))
        return torch.cat(found, dim=3).permute(0, 3, 1, 2)


class DETR(nn.Module):
    """Convolutional backbone, nn.Transformer layers over its pixels and over object queries, two heads, a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, 4, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.input_proj = nn.Conv2d(32, 16, 1)
        self.position = SinePositions(8)
        self.query_embed = nn.Embedding(5, 16)
        encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        decoder = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(encoder, 2, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder, 2, norm=nn.LayerNorm(16))
        self.class_embed = nn.Linear(16, 4)
        self.bbox_embed = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.input_proj(self.backbone(images))
        mask = torch.ones(features.shape[0], *features.shape[2:], dtype=torch.bool)
        positions = self.position(mask).flatten(2).transpose(1, 2)
        memory = self.encoder(features.flatten(2).transpose(1, 2) + positions)
        queries = self.query_embed.weight.unsqueeze(0).repeat(images.shape[0], 1, 1)
        decoded = self.decoder(torch.zeros_like(queries) + queries, memory)
        return {"pred_logits": self.class_embed(decoded), "pred_boxes": self.bbox_embed(decoded).sigmoid()}


# -- sequences ----
class Tagger(nn.Module):
    """Embedding, a bidirectional LSTM, a label per token."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        self.lstm = nn.LSTM(16, 12, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(24, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        y, _ = self.lstm(self.embedding(tokens))
        return self.fc(y)


class SequenceClassifier(nn.Module):
    """A GRU over features; its last state is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 16)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, state = self.gru(torch.tanh(self.proj(x)))
        return self.fc(y[:, -1, :]), state


class TextEncoder(nn.Module):
    """nn.TransformerEncoder with a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.register_buffer("mask", torch.full((6, 6), float("-inf")).triu(1))
        self.fc = nn.Linear(16, 30)

    def forward(self, tokens: Tensor) -> Tensor:
        y = self.embedding(tokens) * math.sqrt(16)
        return self.fc(self.encoder(y, mask=self.mask))
