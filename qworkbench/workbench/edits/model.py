"""Edits of the whole model: march, calibration method, batch, order of inputs, and what is assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from qworkbench.calibration.method import DEFAULT_PERCENTILE, MAX_NUM_BIN, NUM_BIN, CalibrationMethod
from qworkbench.errors import EditError, unknown_name
from qworkbench.march import get_march
from qworkbench.march.assumptions import assumption_text, read_assumption, settable
from qworkbench.numerics.arithmetic import MULTIPLIER_CODES, ROUNDING_CODES, Arithmetic
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits.base import Edit


@dataclass(frozen=True)
class SetMarch(Edit):
    """Place and emulate for another march."""

    march: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        march = get_march(self.march).name
        # what was assumed, was assumed of the other march
        return replace(config, march=march, assumptions=config.assumptions if march == config.march else {})

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


@dataclass(frozen=True)
class SetAssumption(Edit):
    """Set a parameter or figure of the march that the public material leaves open; "auto" takes the march's own."""

    name: str
    value: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        march = get_march(config.march)
        kept = {name: value for name, value in config.assumptions.items() if name != self.name}
        if self.value == "auto":
            read_assumption(march, self.name, assumption_text(settable(march).get(self.name, "")))
            return replace(config, assumptions=kept)
        return replace(config, assumptions={**kept, self.name: read_assumption(march, self.name, self.value)})

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"assumption {self.name}: {self.value}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"assumption {self.name!r}", self.value),)


@dataclass(frozen=True)
class SetBatch(Edit):
    """Compile for several samples: ``input_batch``, or the first dimension of ``input_shape`` of a dynamic model."""

    input_batch: int | None = None
    first: int | None = None

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        if self.input_batch is None and self.first is None:
            raise EditError("SetBatch changes nothing; give input_batch, or first (the first dimension of input_shape)")
        given = {"input_batch": self.input_batch, "first": self.first}
        batching = replace(config.batching, **{name: value for name, value in given.items() if value is not None})
        return replace(config, batching=batching)

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        parts = [] if self.first is None else [f"input_shape {self.first}x..."]
        return ", ".join([*parts, *([] if self.input_batch is None else [f"input_batch {self.input_batch}"])])

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        given = (("input_batch", self.input_batch), ("first dimension", self.first))
        return tuple((name, value) for name, value in given if value is not None)


@dataclass(frozen=True)
class SetInputOrder(Edit):
    """Note in which order a stage of the vendor's tool takes the inputs: ``"input3;input1;input2"``, "auto" clears."""

    stage: str
    names: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        if self.stage not in ("quantized", "compiled"):
            raise unknown_name("stage with an input order of its own", self.stage, ("quantized", "compiled"))
        kept = {stage: names for stage, names in config.input_orders.items() if stage != self.stage}
        names = tuple(name.strip() for name in self.names.split(";") if name.strip())
        return replace(config, input_orders=kept if self.names == "auto" else {**kept, self.stage: names})

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"input order of the {self.stage} model: {self.names}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"input order of the {self.stage} model", self.names),)
