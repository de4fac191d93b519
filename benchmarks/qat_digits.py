"""Float, calibrated int8, trained int8 and converted accuracy of a small CNN on scikit-learn's digits.

The model is made hard to quantize without changing what it computes in float: two channels of the first layer are
scaled up and the weights that read them down, so that one scale per tensor leaves the other channels few codes.

Run ``python benchmarks/qat_digits.py`` (about 10 s on one core). Prints the accuracies on the test split, and two
checks: a learning rate of 0 gives the calibrated model, fake quantization off gives the float model.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import qworkbench.qat as horizon
from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat.quantization import (
    FakeQuantState,
    convert_fx,
    get_default_qconfig,
    prepare_qat_fx,
    set_fake_quantize,
)


class Digits(nn.Module):
    """Two convolutions, a residual, a linear layer; 8 x 8 images, ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub(scale=1 / 128)
        self.conv1, self.bn1 = nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.conv2, self.bn2 = nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24)
        self.conv3 = nn.Conv2d(24, 24, 3, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(24, 10)
        self.dequant = DeQuantStub()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) of images (N, 1, 8, 8) in -1..1."""
        x = self.relu(self.bn1(self.conv1(self.quant(x))))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(x + self.conv3(x))
        return self.dequant(self.fc(x.mean((2, 3))))


@dataclass(frozen=True)
class Figures:
    """Accuracies on the test split, and whether the two checks hold."""

    float_model: float
    calibrated: float
    trained: float
    converted: float
    rate_zero_is_calibration: bool
    off_is_float: bool


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training and test images in -1..1 and their labels."""
    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(found.target)
    a, b, c, d = train_test_split(images, labels, test_size=0.4, random_state=0)
    return a, b, c, d


def fit(model: nn.Module, x: Tensor, y: Tensor, *, epochs: int, rate: float) -> None:
    """Train with any loop: this one is Adam on batches of 64."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(x)), 64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
        schedule.step()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of right answers, in percent."""
    with torch.no_grad():
        return float(100.0 * (model(x).argmax(1) == y).float().mean())


def make_hard(model: Digits, factor: float = 60.0) -> None:
    """Scale one channel in six up before the first ReLU and down where it is read; the float values stay."""
    with torch.no_grad():
        chosen = torch.arange(model.bn1.num_features) % 6 == 0
        model.bn1.weight[chosen] *= factor
        model.bn1.bias[chosen] *= factor
        model.conv2.weight[:, chosen] /= factor


def measure(*, epochs: int = 15, qat_epochs: int = 12, seed: int = 0) -> Figures:
    """Train, calibrate, train with fake quantization, convert; return the figures."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    train_x, test_x, train_y, test_y = data()
    model = Digits()
    fit(model, train_x, train_y, epochs=epochs, rate=1e-2)
    model.eval()
    make_hard(model)
    horizon.set_march("bayes")

    calibration = {"": horizon.qconfig.default_calib_8bit_fake_quant_qconfig}
    calibrated = prepare_qat_fx(copy.deepcopy(model), calibration)
    for part in torch.split(train_x, 64):
        calibrated(part)
    set_fake_quantize(calibrated, FakeQuantState.VALIDATION)

    fixed = {"": get_default_qconfig(activation_qkwargs={"averaging_constant": 0.0})}
    still = prepare_qat_fx(copy.deepcopy(model), fixed)
    still.load_state_dict(calibrated.state_dict())
    fit(still, train_x[:256], train_y[:256], epochs=1, rate=0.0)
    still.eval()
    with torch.no_grad():
        rate_zero = torch.equal(still(test_x), calibrated(test_x))

    trained = prepare_qat_fx(copy.deepcopy(model), {"": horizon.qconfig.default_qat_8bit_fake_quant_qconfig})
    trained.load_state_dict(calibrated.state_dict())
    fit(trained.train(), train_x, train_y, epochs=qat_epochs, rate=2e-3)
    trained.eval()
    set_fake_quantize(trained, FakeQuantState.VALIDATION)
    converted = convert_fx(trained)

    set_fake_quantize(calibrated, FakeQuantState._FLOAT)
    with torch.no_grad():
        off = torch.allclose(calibrated(test_x), model(test_x), rtol=1e-4, atol=1e-3)
    set_fake_quantize(calibrated, FakeQuantState.VALIDATION)
    return Figures(
        accuracy(model, test_x, test_y),
        accuracy(calibrated, test_x, test_y),
        accuracy(trained, test_x, test_y),
        accuracy(converted, test_x, test_y),
        rate_zero,
        off,
    )


def main() -> None:
    """Print the figures."""
    found = measure()
    rows = (
        ("float", found.float_model),
        ("calibrated int8", found.calibrated),
        ("QAT int8", found.trained),
        ("converted", found.converted),
    )
    for name, value in rows:
        print(f"{name:<16} {value:6.2f} %")
    print(f"learning rate 0 equals calibration: {found.rate_zero_is_calibration}")
    print(f"fake quant off equals float: {found.off_is_float}")


if __name__ == "__main__":
    main()
