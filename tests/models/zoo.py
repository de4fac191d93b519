"""Small networks in the shapes that people bring: random weights, randomised batch statistics, a few thousand weights.

Each is written here from the idea of its architecture, small enough that a test captures and runs it in well under a
second. :data:`ZOO` maps a name to a function that builds the model and an example of batch 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class ConvBnRelu(nn.Sequential):
    def __init__(self, cin: int, cout: int, k: int = 3, stride: int = 1, groups: int = 1, act: nn.Module | None = None):
        super().__init__(
            nn.Conv2d(cin, cout, k, stride, k // 2, groups=groups, bias=False),
            nn.BatchNorm2d(cout),
            act if act is not None else nn.ReLU(inplace=True),
        )


# -- residual ----
class BasicBlock(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """ResNet-18 with 8 times fewer channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (8, 8, 16, 32, 64)
        for i in range(1, 5):
            block = nn.Sequential(
                BasicBlock(widths[i - 1], widths[i], 1 if i == 1 else 2), BasicBlock(widths[i], widths[i], 1)
            )
            self.add_module(f"layer{i}", block)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class InvertedResidual(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = cin * expand
        layers: list[nn.Module] = [] if expand == 1 else [ConvBnRelu(cin, hidden, 1, act=nn.ReLU6(inplace=True))]
        layers += [
            ConvBnRelu(hidden, hidden, 3, stride, hidden, act=nn.ReLU6(inplace=True)),
            nn.Conv2d(hidden, cout, 1, bias=False),
            nn.BatchNorm2d(cout),
        ]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        rows = [(8, 4, 1, 1), (4, 8, 2, 6), (8, 8, 1, 6), (8, 16, 2, 6), (16, 16, 1, 6)]
        self.features = nn.Sequential(
            ConvBnRelu(3, 8, 3, 2, act=nn.ReLU6(inplace=True)),
            *(InvertedResidual(*row) for row in rows),
            ConvBnRelu(16, 32, 1, act=nn.ReLU6(inplace=True)),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


# -- encoder, decoder ----
class UNet(nn.Module):
    """Two levels, transposed convolution upward, skip connections, one pooling module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1 = nn.Sequential(ConvBnRelu(3, 8), ConvBnRelu(8, 8))
        self.enc2 = nn.Sequential(ConvBnRelu(8, 16), ConvBnRelu(16, 16))
        self.bottom = ConvBnRelu(16, 32)
        self.pool = nn.MaxPool2d(2)
        self.up2 = nn.ConvTranspose2d(32, 16, 2, 2)
        self.dec2 = ConvBnRelu(32, 16)
        self.up1 = nn.ConvTranspose2d(16, 8, 2, 2)
        self.dec1 = ConvBnRelu(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.enc1(x)
        b = self.enc2(self.pool(a))
        y = self.up2(self.bottom(self.pool(b)))
        y = self.dec2(torch.cat([y, b], 1))
        y = self.dec1(torch.cat([self.up1(y), a], 1))
        return self.head(y)


class SegmentationHead(nn.Module):
    """Deconvolution, pixel shuffle and bilinear resize beside each other; a dict of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(ConvBnRelu(3, 8, stride=2), ConvBnRelu(8, 16, stride=2))
        self.deconv = nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1, bias=False)
        self.deconv_bn = nn.BatchNorm2d(8)
        self.classes = nn.Conv2d(8, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.aux = nn.Conv2d(16, 3, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.backbone(image)
        y = F.relu(self.deconv_bn(self.deconv(features)))
        aux = F.interpolate(self.aux(features), size=image.shape[-2:], mode="bilinear", align_corners=False)
        return {"out": self.shuffle(self.classes(y)), "aux": aux.softmax(1)}


# -- detection ----
class Bottleneck(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1 = ConvBnRelu(c, c, 1, act=nn.SiLU())
        self.cv2 = ConvBnRelu(c, c, 3, act=nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


class SplitBlock(nn.Module):
    """Channels in two halves, one goes through bottlenecks, everything is concatenated."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.cv1 = ConvBnRelu(cin, cout, 1, act=nn.SiLU())
        self.m = nn.ModuleList([Bottleneck(cout // 2)])
        self.cv2 = ConvBnRelu(cout // 2 * 3, cout, 1, act=nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


class Sppf(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1 = ConvBnRelu(c, c // 2, 1, act=nn.SiLU())
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.cv2 = ConvBnRelu(c * 2, c, 1, act=nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        y = [self.cv1(x)]
        y.extend(self.pool(y[-1]) for _ in range(3))
        return self.cv2(torch.cat(y, 1))


class Detector(nn.Module):
    """One-stage detector: split blocks, pooling pyramid, top-down neck, two heads, boxes decoded on a cached grid."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = ConvBnRelu(3, 8, 3, 2, act=nn.SiLU())
        self.stage1 = nn.Sequential(ConvBnRelu(8, 16, 3, 2, act=nn.SiLU()), SplitBlock(16, 16))
        self.stage2 = nn.Sequential(ConvBnRelu(16, 32, 3, 2, act=nn.SiLU()), SplitBlock(32, 32), Sppf(32))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.neck = SplitBlock(48, 16)
        self.heads = nn.ModuleList([nn.Conv2d(16, 5 + classes, 1), nn.Conv2d(32, 5 + classes, 1)])
        self.grids: dict[tuple[int, int], Tensor] = {}

    def decode(self, y: Tensor, stride: int) -> Tensor:
        n, c, h, w = y.shape
        if (h, w) not in self.grids:
            rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            self.grids[h, w] = torch.stack((columns, rows), -1).view(1, h * w, 2).float()
        y = y.view(n, c, h * w).permute(0, 2, 1).sigmoid()
        y = y.clone()
        y[..., 0:2] = (y[..., 0:2] * 2 - 0.5 + self.grids[h, w]) * stride
        y[..., 2:4] = (y[..., 2:4] * 2) ** 2 * stride
        return y

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        a = self.stage1(self.stem(x))
        b = self.stage2(a)
        p = self.neck(torch.cat([self.up(b), a], 1))
        raw = [head(f) for head, f in zip(self.heads, (p, b), strict=True)]
        boxes = [self.decode(y, s) for y, s in zip(raw, (4, 8), strict=True)]
        return torch.cat(boxes, 1), raw


# -- attention and recurrence ----
class EncoderBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.class_token = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        self.blocks = nn.Sequential(EncoderBlock(16, 2), EncoderBlock(16, 2))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Recurrent(nn.Module):
    """Embedding, recurrent layer, the last step classified."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.rnn = kind(8, 12, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(24, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        y, _ = self.rnn(self.embedding(tokens))
        return self.fc(y[:, -1])


# -- branches ----
class InceptionBlock(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.b1 = ConvBnRelu(c, 4, 1)
        self.b2 = nn.Sequential(ConvBnRelu(c, 4, 1), ConvBnRelu(4, 8, 3))
        self.b3 = nn.Sequential(
            ConvBnRelu(c, 4, 1),
            nn.Conv2d(4, 4, (1, 7), padding=(0, 3)),
            nn.ReLU(),
            nn.Conv2d(4, 4, (7, 1), padding=(3, 0)),
        )
        self.b4 = ConvBnRelu(c, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, 3, 1, 1)
        return torch.cat([self.b1(x), self.b2(x), F.relu(self.b3(x), inplace=True), self.b4(pooled)], 1)


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBnRelu(3, 8, 3, 2)
        self.mixed = nn.Sequential(InceptionBlock(8), nn.MaxPool2d(3, 2, ceil_mode=True), InceptionBlock(20))
        self.fc = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mixed(self.stem(x)).mean(dim=(2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.norm1, self.relu1, self.conv1 = nn.BatchNorm2d(c), nn.ReLU(inplace=True), nn.Conv2d(c, 8, 1, bias=False)
        self.norm2, self.relu2, self.conv2 = nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        y = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(y)))


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.layers = nn.ModuleList([DenseLayer(8), DenseLayer(12), DenseLayer(16)])
        self.norm = nn.BatchNorm2d(20)
        self.classifier = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        y = F.relu(self.norm(torch.cat(features, 1)), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(y, 1).flatten(1))


def randomised(model: nn.Module) -> nn.Module:
    """Return `model` in evaluation mode with statistics and affine parameters of every normalisation drawn anew."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            with torch.no_grad():
                module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.3)
                module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
                module.weight.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
                module.bias.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
    return model.eval()


def _image(size: int) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def _built(make: Callable[[], nn.Module], example: Callable[[], Tensor]) -> Callable[[], tuple[nn.Module, Tensor]]:
    def build() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(0)
        return randomised(make()), example()

    return build


ZOO: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "resnet18": _built(ResNet, lambda: _image(64)),
    "mobilenet_v2": _built(MobileNetV2, lambda: _image(32)),
    "unet": _built(UNet, lambda: _image(32)),
    "detector": _built(Detector, lambda: _image(64)),
    "vit": _built(VisionTransformer, lambda: _image(32)),
    "lstm": _built(lambda: Recurrent(nn.LSTM), lambda: torch.arange(6)[None] % 20),
    "gru": _built(lambda: Recurrent(nn.GRU), lambda: torch.arange(6)[None] % 20),
    "inception": _built(Inception, lambda: _image(32)),
    "densenet": _built(DenseNet, lambda: _image(32)),
    "segmentation": _built(SegmentationHead, lambda: _image(32)),
}
"""Builders of ``(model in evaluation mode, example of batch 1)`` by name."""
