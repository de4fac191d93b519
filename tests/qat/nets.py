"""Small models of the usual kinds, with stubs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from qworkbench.nn import DeQuantStub, FloatFunctional, QuantStub


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = None
        if stride > 1 or inputs != outputs:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.down is None else self.down(x)))


class ResNetLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.layer1, self.layer2 = Block(8, 8, 1), Block(8, 16, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 4)
        self.dequant = DeQuantStub()

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.stem(self.quant(x))))
        return self.dequant(self.fc(self.pool(x).flatten(1)))


class MobileLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.expand = nn.Sequential(nn.Conv2d(3, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6())
        self.depth = nn.Sequential(nn.Conv2d(12, 12, 3, 2, 1, groups=12, bias=False), nn.BatchNorm2d(12), nn.ReLU6())
        self.project = nn.Sequential(nn.Conv2d(12, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.again = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8))
        self.skip = FloatFunctional()
        self.dequant = DeQuantStub()

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(self.depth(self.expand(self.quant(x))))
        return self.dequant(self.skip.add(x, self.again(x)).mean([2, 3]))


class UNetLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.down = nn.Sequential(nn.Conv2d(3, 6, 3, 1, 1), nn.BatchNorm2d(6), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(6, 12, 3, 1, 1), nn.BatchNorm2d(12), nn.SiLU())
        self.up = nn.ConvTranspose2d(12, 6, 2, 2)
        self.out = nn.Conv2d(18, 3, 1)
        self.dequant = DeQuantStub()

    def forward(self, x: Tensor) -> Tensor:
        a = self.down(self.quant(x))
        b = self.deep(F.max_pool2d(a, 2))
        wide = F.interpolate(a[:, :, ::2, ::2], scale_factor=2, mode="nearest")
        import torch

        return self.dequant(self.out(torch.cat([a, self.up(b), wide], dim=1)))


class TransformerLike(nn.Module):
    """Patch embedding, one block of attention and MLP with norms, gated head: every kind of table and chain."""

    def __init__(self, width: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.heads, self.width = heads, width
        self.scores, self.context = FloatFunctional(), FloatFunctional()
        self.softmax = nn.Softmax(-1)
        self.proj = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, 5)
        self.dequant = DeQuantStub()

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, self.heads, self.width // self.heads).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(self.quant(x)).flatten(2).transpose(1, 2)
        y = self.norm1(x)
        q, k, v = self.split(self.q(y)), self.split(self.k(y)), self.split(self.v(y))
        scores = self.softmax(self.scores.matmul(q, k.transpose(-2, -1)) * 0.35)
        y = self.context.matmul(scores, v).transpose(1, 2).reshape(x.shape[0], -1, self.width)
        x = x + self.proj(y)
        x = x + self.mlp(self.norm2(x))
        gate = x.mean(1).sigmoid()
        return self.dequant(self.head(gate * x.mean(1).tanh()))


MODELS = (ResNetLike, MobileLike, UNetLike)
ALL = (*MODELS, TransformerLike)
