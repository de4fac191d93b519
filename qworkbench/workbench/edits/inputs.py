"""The edit that declares how images become a model input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from qworkbench.calibration.preprocess import Preprocess
from qworkbench.errors import EditError
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits.base import Edit


@dataclass(frozen=True)
class SetPreprocess(Edit):
    """Declare the preprocessing of model input `node`, in the words of a PTQ configuration; rt "auto" clears.

    ``mean``, ``scale`` and ``std`` are numbers with spaces between, as in the file: ``"123.675 116.28 103.53"``.
    """

    node: str
    rt: str
    train: str = "rgb"
    mean: str | None = None
    scale: str | None = None
    std: str | None = None
    layout: str = "NCHW"
    space: str = "regular"
    fit: str = "exact"

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        kept = {name: declared for name, declared in config.inputs.items() if name != self.node}
        if self.rt != "auto":
            kept[self.node] = self.declared
        return replace(config, inputs=kept)

    @property
    def declared(self) -> Preprocess:
        """The declaration that the fields say."""
        if self.scale and self.std:
            raise EditError(f"input {self.node!r}: give scale or std, not both; scale is 1 / std")
        scale = numbers(self.scale, "scale_value")
        std = numbers(self.std, "std_value")
        if any(value == 0 for value in std):
            raise EditError(f"std_value of {self.node!r} must not be 0")
        scale = scale or tuple(1.0 / value for value in std)
        mean = numbers(self.mean, "mean_value")
        return Preprocess(self.rt, self.train, mean, scale, self.layout, self.space, self.fit)

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        if self.rt == "auto":
            return f"input {self.node}: no preprocessing declared"
        parts = [f"{name} {getattr(self, name)}" for name in ("mean", "scale", "std") if getattr(self, name)]
        return ", ".join([f"input {self.node}: {self.rt} at runtime, trained on {self.train}", *parts])

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"preprocessing of {self.node!r}", self.as_dict()),)


def numbers(text: str | None, what: str) -> tuple[float, ...]:
    """Read ``"123.675 116.28 103.53"`` (commas are fine, too).

    Raises
    ------
    EditError
    """
    try:
        return tuple(float(word) for word in (text or "").replace(",", " ").split())
    except ValueError:
        raise EditError(f"{what} must be numbers with spaces between, got {text!r}") from None


def text_of(values: tuple[float, ...]) -> str:
    """Return numbers as the configuration file writes them."""
    return " ".join(f"{value:.9g}" for value in values)
