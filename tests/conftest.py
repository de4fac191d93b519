"""What the tests share: one torch thread, fixed seeds, a small model with one of everything, and a workbench on it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qworkbench as q
from qworkbench.graph.ir import Graph

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
QUIET_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Chromium, and skip it where there is none."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine; tests/chromium.sh installs it"))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "args": QUIET_CHROMIUM, "headless": True, "executable_path": CHROMIUM}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1500, "height": 1000}}


class Mixed(nn.Module):
    """Convolutions, a residual, a concat in the middle and one at the end, a softmax over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.left = nn.Conv2d(8, 4, 3, 2, 1)
        self.right = nn.Conv2d(8, 4, 1)
        self.pool = nn.MaxPool2d(2)
        self.mix = nn.Conv2d(8, 6, 1)
        self.act = nn.SiLU()
        self.head = nn.Conv2d(6, 4, 1)
        self.side = nn.Conv2d(6, 4, 1)
        self.softmax = nn.Softmax(1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.bn(self.stem(x)))
        x = torch.relu(x + self.block(x))
        x = torch.cat([self.left(x), self.pool(self.right(x))], 1)
        x = self.act(self.mix(x))
        head, side = self.head(x), self.side(x)
        return self.softmax(head), torch.cat([head, side], 1)


def seeded(model: nn.Module, seed: int = 0) -> nn.Module:
    """Return `model` in eval mode with every weight and batch statistic drawn from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.4)
    return model.eval()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (hypothesis and torch data loaders read the legacy state)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def mixed_model() -> nn.Module:
    """The small model; nobody may change it."""
    return seeded(Mixed())


@pytest.fixture(scope="session")
def samples() -> Tensor:
    """Twelve images of the small model."""
    return torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="session")
def make_workbench(mixed_model: nn.Module, samples: Tensor) -> Callable[..., q.Workbench]:
    """Return a function that makes a fresh, calibrated workbench (on the small model unless told otherwise)."""

    def make(model: nn.Module | None = None, example: Any = None, **options: Any) -> q.Workbench:
        if model is None:
            options.setdefault("calibration", samples)
            example = samples[:1] if example is None else example
        elif "calibration" not in options:
            options["calibration"] = [example]
        return q.Workbench(mixed_model if model is None else model, example, **options)

    return make


@pytest.fixture
def wb(make_workbench: Callable[..., q.Workbench]) -> q.Workbench:
    """A fresh, calibrated workbench on the small model."""
    return make_workbench()


@pytest.fixture(scope="session")
def captured() -> Callable[..., Graph]:
    """Return a function that captures ``forward(module, *inputs)`` with the given layers as a graph."""

    def capture(forward: Callable[..., Any], *shapes: tuple[int, ...], **layers: nn.Module) -> Graph:
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                for name, layer in layers.items():
                    self.add_module(name, layer)

            def forward(self, *inputs: Tensor) -> Any:
                return forward(self, *inputs)

        example = tuple(
            torch.randn(*shape, generator=torch.Generator().manual_seed(i)) for i, shape in enumerate(shapes)
        )
        return q.capture(seeded(Model()), example[0] if len(example) == 1 else example)

    return capture
