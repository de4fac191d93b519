"""Edits of the whole model: its march, its calibration method, the assumptions of the integer arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from qworkbench.calibration.method import DEFAULT_PERCENTILE, MAX_NUM_BIN, NUM_BIN, CalibrationMethod
from qworkbench.errors import EditError
from qworkbench.march import get_march
from qworkbench.numerics.arithmetic import MULTIPLIER_CODES, ROUNDING_CODES, Arithmetic
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits.base import Edit


@dataclass(frozen=True)
class SetMarch(Edit):
    """Place and emulate for another march."""

    march: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        return replace(config, march=get_march(self.march).name)

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"march {self.march}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return (("march", self.march),)


@dataclass(frozen=True)
class SetCalibration(Edit):
    """Read thresholds by another method (:data:`qworkbench.calibration.method.METHODS`)."""

    method: str = "max"
    percentile: float = DEFAULT_PERCENTILE
    per_channel: bool = False
    num_bin: int = NUM_BIN
    max_num_bin: int = MAX_NUM_BIN

    @property
    def chosen(self) -> CalibrationMethod:
        """The method that the fields say."""
        return CalibrationMethod(self.method, self.percentile, self.per_channel, self.num_bin, self.max_num_bin)

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        return replace(config, calibration=self.chosen)

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"calibration {self.chosen.describe()}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return (("calibration", self.chosen),)


ARITHMETIC_CHOICES: Mapping[str, Sequence[Any]] = {
    "rounding": tuple(ROUNDING_CODES),
    "multiplier_int8": tuple(MULTIPLIER_CODES),
    "multiplier_int16": tuple(MULTIPLIER_CODES),
    "scale_denominator": (127, 128),
}
"""What each switch of :class:`SetArithmetic` may be."""


@dataclass(frozen=True)
class SetArithmetic(Edit):
    """Switch an assumption of the integer arithmetic."""

    rounding: str | None = None
    multiplier_int8: str | None = None
    multiplier_int16: str | None = None
    scale_denominator: int | None = None

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if not given:
            raise EditError(f"SetArithmetic changes nothing; give one of {', '.join(f.name for f in fields(self))}")
        for name, value in given.items():
            if value not in ARITHMETIC_CHOICES[name]:
                known = ", ".join(map(str, ARITHMETIC_CHOICES[name]))
                raise EditError(f"{name} must be one of {known}, got {value!r}")
        changed: Arithmetic = replace(config.arithmetic, **given)
        return replace(config, arithmetic=changed)

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        given = [f"{f.name} {getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) is not None]
        return f"arithmetic: {', '.join(given)}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        given = ((f.name, getattr(self, f.name)) for f in fields(self))
        return tuple((name, value) for name, value in given if value is not None)
