"""Float, calibrated int8, trained int8 and converted accuracy of a small CNN on scikit-learn's digits.

The model is made hard to quantize without changing what it computes in float: two channels of the first layer are
scaled up and the weights that read them down, so that one scale per tensor leaves the other channels few codes.

Run ``python benchmarks/qat_digits.py`` (about 10 s on one core). Prints the accuracies on the test split, and two
checks: a learning rate of 0 gives the calibrated model, fake quantization off gives the float model.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import qworkbench.qat as horizon
from qworkbench.qat.quantization import (
    FakeQuantState,
    convert_fx,
    get_default_qconfig,
    prepare_qat_fx,
    set_fake_quantize,
)
from tutorials.hard_digits import HardDigits, correct, fit, make_hard


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


def measure(*, epochs: int = 15, qat_epochs: int = 12, seed: int = 0) -> Figures:
    """Train, calibrate, train with fake quantization, convert; return the figures."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    train_x, test_x, train_y, test_y = data()
    model = HardDigits()
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
        100 * correct(model, test_x, test_y),
        100 * correct(calibrated, test_x, test_y),
        100 * correct(trained, test_x, test_y),
        100 * correct(converted, test_x, test_y),
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
