"""A ViT of the small size (patches of 16, width 384, 12 blocks of 6 heads), random weights, for the benchmarks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

HEADS = 6


class Block(nn.Module):
    """Attention and a two-layer perceptron, each behind a LayerNorm and beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out, self.up, self.down = nn.Linear(width, width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, tokens, width) to the same."""
        batch, tokens, width = x.shape
        y = self.norm1(x)
        shape = (batch, tokens, HEADS, width // HEADS)
        query, key, value = (part(y).reshape(shape).transpose(1, 2) for part in (self.query, self.key, self.value))
        weight = torch.softmax(query @ key.transpose(2, 3) / (width // HEADS) ** 0.5, -1)
        x = x + self.out((weight @ value).transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(self.activation(self.up(self.norm2(x))))


class ViT(nn.Module):
    """Images (N, 3, 224, 224) to 1,000 scores by the mean of all tokens."""

    def __init__(self, width: int = 384, depth: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(tokens)).mean(1))


def vit_small(seed: int = 0, depth: int = 12) -> ViT:
    """Return the net in eval mode."""
    torch.manual_seed(seed)
    return ViT(depth=depth).eval()
