"""Classifiers made of convolutions in the shapes of published nets: their blocks and names, few and narrow layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class ConvNormAct(nn.Sequential):
    """Convolution, batch normalisation, activation (ReLU unless told otherwise; None for none)."""

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        act: type[nn.Module] | None = nn.ReLU,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(cout),
        ]
        super().__init__(*layers, *([act()] if act else []))


# -- residual ----
class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand; one ReLU module for three places."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1, groups: int = 1, expansion: int = 4) -> None:
        super().__init__()
        out = planes * expansion
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inplanes != out:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        identity = x if self.downsample is None else self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet50(nn.Module):
    """All sixteen bottlenecks of ResNet-50, eight times narrower."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inplanes = 8
        for i, (planes, blocks) in enumerate(zip((8, 16, 32, 64), (3, 4, 6, 3), strict=True), 1):
            layers = []
            for j in range(blocks):
                layers.append(Bottleneck(inplanes, planes, 2 if i > 1 and j == 0 else 1))
                inplanes = planes * 4
            self.add_module(f"layer{i}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inplanes, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; one ReLU module for both places."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet18(nn.Module):
    """All eight basic blocks of ResNet-18, four times narrower."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (16, 16, 32, 64, 128)
        for i in range(1, 5):
            blocks = (BasicBlock(widths[i - 1], widths[i], 2 if i > 1 else 1), BasicBlock(widths[i], widths[i]))
            self.add_module(f"layer{i}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class RegNetBlock(nn.Module):
    """The X block with squeeze and excitation (Y), grouped 3x3."""

    def __init__(self, cin: int, cout: int, stride: int, group_width: int = 8) -> None:
        super().__init__()
        self.proj = ConvNormAct(cin, cout, 1, stride, act=None) if stride != 1 or cin != cout else None
        self.f = nn.ModuleDict(
            {
                "a": ConvNormAct(cin, cout, 1),
                "b": ConvNormAct(cout, cout, 3, stride, cout // group_width),
                "se": SqueezeExcitation(cout, cin // 4, nn.ReLU, nn.Sigmoid),
                "c": ConvNormAct(cout, cout, 1, act=None),
            }
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.f.values():
            y = layer(y)
        return self.activation((x if self.proj is None else self.proj(x)) + y)


class RegNetY(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormAct(3, 8, 3, 2)
        rows = [(8, 16, 2), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 32, 1)]
        self.trunk_output = nn.Sequential(*(RegNetBlock(*row) for row in rows))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.trunk_output(self.stem(x))).flatten(start_dim=1))


# -- mobile ----
class MobileNetV1(nn.Module):
    """Thirteen depthwise separable layers, eight times narrower."""

    def __init__(self) -> None:
        super().__init__()
        widths = [8, 8, 16, 16, 32, 32, 64, 64, 64, 64, 64, 64, 96, 96]
        strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
        layers = [ConvNormAct(3, 8, 3, 2)]
        for cin, cout, stride in zip(widths, widths[1:], strides, strict=False):
            layers.append(nn.Sequential(*ConvNormAct(cin, cin, 3, stride, cin), *ConvNormAct(cin, cout, 1)))
        self.model = nn.Sequential(*layers, nn.AvgPool2d(2))
        self.fc = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.model(x)
        return self.fc(x.view(-1, 96))


class LinearBottleneck(nn.Module):
    """Expand, depthwise, project without activation; added to what came in where sizes allow."""

    def __init__(self, cin: int, cout: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = cin * expansion
        layers: list[nn.Module] = [ConvNormAct(cin, hidden, 1, act=nn.ReLU6)] if expansion > 1 else []
        layers += [
            ConvNormAct(hidden, hidden, 3, stride, hidden, nn.ReLU6),
            nn.Conv2d(hidden, cout, 1, bias=False),
            nn.BatchNorm2d(cout),
        ]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Six of the published stages, two blocks each at most, a quarter of the width."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormAct(3, 8, 3, 2, act=nn.ReLU6)]
        cin = 8
        for expansion, cout, blocks, stride in ((1, 8, 1, 1), (6, 8, 2, 2), (6, 8, 2, 2), (6, 16, 2, 2), (6, 24, 1, 1)):
            for i in range(blocks):
                layers.append(LinearBottleneck(cin, cout, stride if i == 0 else 1, expansion))
                cin = cout
        layers.append(ConvNormAct(cin, 96, 1, act=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(96, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class SqueezeExcitation(nn.Module):
    """Global pool, two 1x1 convolutions, a gate on every channel."""

    def __init__(self, channels: int, squeezed: int, act: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = act()
        self.scale_activation = gate()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return self.scale_activation(scale) * x


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze and excitation where asked for, project, shortcut where shapes allow it."""

    def __init__(
        self,
        cin: int,
        hidden: int,
        cout: int,
        kernel: int,
        stride: int,
        act: type[nn.Module],
        se: tuple[int, type[nn.Module], type[nn.Module]] | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormAct(cin, hidden, 1, act=act)] if hidden != cin else []
        layers.append(ConvNormAct(hidden, hidden, kernel, stride, hidden, act))
        if se:
            layers.append(SqueezeExcitation(hidden, *se))
        layers.append(ConvNormAct(hidden, cout, 1, act=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        result = self.block(x)
        if self.use_res_connect:
            result += x
        return result


class MobileNetV3(nn.Module):
    """The small variant's blocks: ReLU first, hard swish later, squeeze and excitation with a hard sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        se = (8, nn.ReLU, nn.Hardsigmoid)
        relu, hs = nn.ReLU, nn.Hardswish
        self.features = nn.Sequential(
            ConvNormAct(3, 8, 3, 2, act=hs),
            InvertedResidual(8, 8, 8, 3, 2, relu, se),
            InvertedResidual(8, 32, 12, 3, 2, relu, None),
            InvertedResidual(12, 40, 12, 3, 1, relu, None),
            InvertedResidual(12, 48, 20, 5, 2, hs, se),
            InvertedResidual(20, 60, 20, 5, 1, hs, se),
            ConvNormAct(20, 64, 1, act=hs),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(64, 48), nn.Hardswish(inplace=True), nn.Dropout(0.2, inplace=True), nn.Linear(48, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class EfficientNetB0(nn.Module):
    """MBConv blocks with SiLU everywhere and a sigmoid gate."""

    def __init__(self) -> None:
        super().__init__()
        rows = [
            (8, 8, 8, 3, 1), (8, 24, 12, 3, 2), (12, 48, 12, 3, 1), (12, 48, 16, 5, 2), (16, 64, 16, 5, 1),
            (16, 64, 24, 3, 2), (24, 96, 24, 5, 1), (24, 96, 32, 5, 2), (32, 128, 32, 3, 1),
        ]  # fmt: skip
        se = (4, nn.SiLU, nn.Sigmoid)
        self.features = nn.Sequential(
            ConvNormAct(3, 8, 3, 2, act=nn.SiLU),
            *(nn.Sequential(InvertedResidual(*row, nn.SiLU, se)) for row in rows),
            ConvNormAct(32, 64, 1, act=nn.SiLU),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of `groups` groups."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, channels, height, width)


class ShuffleUnit(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        half = cout // 2
        self.stride = stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(*ConvNormAct(cin, cin, 3, stride, cin, None), *ConvNormAct(cin, half, 1))
        self.branch2 = nn.Sequential(
            *ConvNormAct(cin if stride > 1 else half, half, 1),
            *ConvNormAct(half, half, 3, stride, half, None),
            *ConvNormAct(half, half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            x1, x2 = x.chunk(2, dim=1)
            out = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            out = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(out, 2)


class ShuffleNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(3, 8, 3, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.stage2 = nn.Sequential(ShuffleUnit(8, 16, 2), ShuffleUnit(16, 16, 1), ShuffleUnit(16, 16, 1))
        self.stage3 = nn.Sequential(ShuffleUnit(16, 32, 2), ShuffleUnit(32, 32, 1))
        self.conv5 = ConvNormAct(32, 64, 1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv5(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        return self.fc(x.mean([2, 3]))


# -- plain and branched ----
class VGG(nn.Module):
    """VGG-11 with batch normalisation: five stages, three fully connected layers behind a 7x7-like pool."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        cin = 3
        for width in (8, "M", 16, "M", 32, 32, "M", 64, 64, "M"):
            if width == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(cin, int(width), 3, padding=1), nn.BatchNorm2d(int(width)), nn.ReLU(inplace=True)]
                cin = int(width)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(256, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 64), nn.ReLU(True), nn.Dropout(),
            nn.Linear(64, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Fire(nn.Module):
    def __init__(self, cin: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(cin, squeeze, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        a, b = self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))
        return torch.cat([a, b], 1)


class SqueezeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(16, 8, 16), Fire(32, 8, 16), nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(32, 12, 24), Fire(48, 12, 24),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(48, 10, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


class DenseLayer(nn.Module):
    def __init__(self, cin: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(cin), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(cin, 4 * growth, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(4 * growth), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        bottleneck = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(bottleneck)))


class DenseBlock(nn.ModuleDict):
    def __init__(self, layers: int, cin: int, growth: int) -> None:
        super().__init__({f"denselayer{i + 1}": DenseLayer(cin + i * growth, growth) for i in range(layers)})

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet121(nn.Module):
    """Pre-activation dense blocks with transitions between them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(ConvNormAct(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1))
        channels = 16
        for i, layers in enumerate((3, 4, 3), 1):
            self.features.add_module(f"denseblock{i}", DenseBlock(layers, channels, 8))
            channels += layers * 8
            if i < 3:
                transition = nn.Sequential(
                    nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels // 2, 1, bias=False),
                    nn.AvgPool2d(2, 2),
                )  # fmt: skip
                self.features.add_module(f"transition{i}", transition)
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.features(x), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(out, (1, 1)), 1))


class InceptionBlock(nn.Module):
    """GoogLeNet's four branches."""

    def __init__(self, cin: int, c1: int, c3r: int, c3: int, c5r: int, c5: int, pool: int) -> None:
        super().__init__()
        self.branch1 = ConvNormAct(cin, c1, 1)
        self.branch2 = nn.Sequential(ConvNormAct(cin, c3r, 1), ConvNormAct(c3r, c3, 3))
        self.branch3 = nn.Sequential(ConvNormAct(cin, c5r, 1), ConvNormAct(c5r, c5, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), ConvNormAct(cin, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    """Stem, two inception stages with ceil-mode pools, an auxiliary head that only training runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(3, 16, 7, 2)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a = InceptionBlock(16, 8, 8, 16, 4, 8, 8)
        self.inception3b = InceptionBlock(40, 16, 8, 24, 4, 8, 8)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = InceptionBlock(56, 16, 8, 24, 4, 8, 16)
        self.aux = nn.Linear(64, 10)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = x * 0.458 - 0.03
        x = self.inception4a(self.maxpool3(self.inception3b(self.inception3a(self.maxpool1(self.conv1(x))))))
        x = torch.flatten(self.avgpool(x), 1)
        if self.training:
            return self.fc(self.dropout(x)), self.aux(x)
        return self.fc(self.dropout(x))


class InceptionV3(nn.Module):
    """Factorised 1x7 and 7x1 convolutions, an average pool branch, a strided grid reduction."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormAct(3, 16, 3, 2)
        self.branch1x1 = ConvNormAct(16, 8, 1)
        self.branch7x7_1 = ConvNormAct(16, 8, 1)
        self.branch7x7_2 = nn.Conv2d(8, 8, (1, 7), padding=(0, 3), bias=False)
        self.branch7x7_3 = nn.Conv2d(8, 8, (7, 1), padding=(3, 0), bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.branch_pool = ConvNormAct(16, 8, 1)
        self.reduce3x3 = nn.Conv2d(24, 16, 3, 2)
        self.fc = nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.bn(self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))))
        pool = self.branch_pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        x = torch.cat([self.branch1x1(x), F.relu(y, inplace=True), pool], 1)
        x = torch.cat([self.reduce3x3(x), F.max_pool2d(x, kernel_size=3, stride=2)], 1)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


# -- modern ----
class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of an image."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return torch.permute(x, self.dims)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, then linear layers with the channels last, scaled per channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim), Permute(0, 2, 3, 1), nn.LayerNorm(dim, eps=1e-6),
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim), Permute(0, 3, 1, 2),
        )  # fmt: skip
        self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1) * 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer_scale * self.block(x) + x


class ConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 16, 4, 4), LayerNorm2d(16, eps=1e-6)),
            nn.Sequential(ConvNeXtBlock(16), ConvNeXtBlock(16)),
            nn.Sequential(LayerNorm2d(16, eps=1e-6), nn.Conv2d(16, 32, 2, 2)),
            nn.Sequential(ConvNeXtBlock(32), ConvNeXtBlock(32)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(LayerNorm2d(32, eps=1e-6), nn.Flatten(1), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)))
