"""Architectures that people bring, by name, reduced in width and depth.

Weights are random and seeded; batch statistics are those of random images, then moved, so that activations keep their
size and no normalisation is an identity. :data:`ARCHITECTURES` maps a name to its :class:`Architecture`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tests.models.architectures import attention, convolutional, dense, huggingface


@dataclass(frozen=True)
class Architecture:
    """How to build a model and what it is called with.

    Attributes
    ----------
    make : callable
        Returns the module with fresh weights.
    sample : tuple of int
        Shape of one sample without the batch: three axes are an image, one is a sequence of tokens.
    needs : str
        Package that has to be installed, "" for none.
    """

    make: Callable[[], nn.Module]
    sample: tuple[int, ...] = (3, 32, 32)
    needs: str = ""

    @property
    def missing(self) -> bool:
        """Tell whether a package is not installed."""
        return bool(self.needs) and importlib.util.find_spec(self.needs) is None

    def build(self) -> nn.Module:
        """Return the model in evaluation mode with seeded weights and statistics."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self.make()
            norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
            for module in norms:
                module.momentum = 1.0
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
            if norms:
                with torch.no_grad():
                    model.train()(self.batch(4, seed=11))
            for module in norms:
                with torch.no_grad():
                    module.running_mean += 0.1 * torch.randn(module.num_features)
                    module.running_var *= torch.rand(module.num_features) * 0.4 + 0.8
            return model.eval()

    def calibration(self) -> Tensor:
        """Return eight samples, the first of which is ``batch(1)``, so that no threshold cuts it off."""
        return torch.cat([self.batch(1), self.batch(7, seed=5)])

    def batch(self, size: int, seed: int = 0) -> Tensor:
        """Return `size` samples."""
        generator = torch.Generator().manual_seed(seed)
        if len(self.sample) == 1:
            return torch.randint(0, 30, (size, *self.sample), generator=generator)
        return torch.randn(size, *self.sample, generator=generator)


LARGER = (3, 64, 64)
ARCHITECTURES: dict[str, Architecture] = {
    "ResNet-18": Architecture(convolutional.ResNet18, LARGER),
    "ResNet-50": Architecture(convolutional.ResNet50, LARGER),
    "MobileNetV1": Architecture(convolutional.MobileNetV1, LARGER),
    "MobileNetV2": Architecture(convolutional.MobileNetV2, LARGER),
    "MobileNetV3": Architecture(convolutional.MobileNetV3, LARGER),
    "EfficientNet-B0": Architecture(convolutional.EfficientNetB0, LARGER),
    "ShuffleNetV2": Architecture(convolutional.ShuffleNetV2, LARGER),
    "DenseNet-121": Architecture(convolutional.DenseNet121),
    "GoogLeNet": Architecture(convolutional.GoogLeNet),
    "InceptionV3": Architecture(convolutional.InceptionV3),
    "SqueezeNet": Architecture(convolutional.SqueezeNet, LARGER),
    "VGG": Architecture(convolutional.VGG),
    "RegNetY": Architecture(convolutional.RegNetY),
    "ConvNeXt": Architecture(convolutional.ConvNeXt),
    "ViT": Architecture(attention.VisionTransformer),
    "DeiT": Architecture(attention.DistilledDeiT),
    "Swin": Architecture(attention.Swin),
    "SegFormer": Architecture(attention.SegFormer),
    "DETR": Architecture(attention.DETR),
    "UNet": Architecture(dense.UNet),
    "YOLO": Architecture(dense.YOLO, LARGER),
    "RetinaNet": Architecture(dense.RetinaNet, LARGER),
    "bi-LSTM": Architecture(attention.Tagger, (6,)),
    "GRU": Architecture(attention.SequenceClassifier, (6, 8)),
    "TransformerEncoder": Architecture(attention.TextEncoder, (6,)),
    "SegFormer (transformers)": Architecture(huggingface.segformer, needs="transformers"),
    "DeiT (transformers)": Architecture(huggingface.deit, needs="transformers"),
    "DETR (transformers)": Architecture(huggingface.detr, LARGER, needs="transformers"),
}
