"""Edits of one node: where it runs, its scale, its dtypes, its calibration.

They must not know the graph: that the node exists is checked by the workbench.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from qworkbench.calibration.method import DEFAULT_PERCENTILE, CalibrationMethod
from qworkbench.errors import EditError, unknown_name
from qworkbench.march import get_march
from qworkbench.numerics.dtypes import ALIASES, check_scale
from qworkbench.placement.types import DtypeRequest
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits.base import Edit


@dataclass(frozen=True)
class SetPlacement(Edit):
    """Send `node` to the "bpu" or "cpu", or back to the rules with "auto"."""

    node: str
    on: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        wish = str(self.on).lower()
        if wish not in ("bpu", "cpu", "auto"):
            raise unknown_name("placement", self.on, ("bpu", "cpu", "auto"))
        kept = {name: on for name, on in config.on.items() if name != self.node}
        if wish != "auto":
            kept[self.node] = "bpu" if wish == "bpu" else "cpu"
        return replace(config, on=kept)

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        words = {"bpu": "run_on_bpu", "cpu": "run_on_cpu", "auto": "placed by the rules"}
        return f"{self.node}: {words[self.on.lower()]}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"placement of {self.node!r}", self.on.lower()),)


@dataclass(frozen=True)
class FixScale(Edit):
    """Pin the output scale of `node` (or of a model input)."""

    node: str
    scale: float

    def check(self) -> None:
        """See :meth:`Edit.check`."""
        scale: Any = self.scale
        if not isinstance(scale, (int, float)) or isinstance(scale, bool):
            raise EditError(f"scale of {self.node!r} must be a number, got {self.scale!r}; e.g. 1 / 128")
        super().check()

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        return replace(config, scales={**config.scales, self.node: float(check_scale(self.scale, self.node))})

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.node}: scale fixed at {float(self.scale):.9g}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"scale of {self.node!r}", self.scale),)


@dataclass(frozen=True)
class ClearScale(Edit):
    """Let calibration decide the scale of `node` again."""

    node: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        if self.node not in config.scales:
            raise EditError(f"{self.node!r} has no fixed scale to clear")
        return replace(config, scales={name: s for name, s in config.scales.items() if name != self.node})

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.node}: scale calibrated again"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"scale of {self.node!r}", None),)


@dataclass(frozen=True)
class SetDtype(Edit):
    """Ask for a dtype that the march has ("auto" clears): of the output, as in ``node_info``, or of input, weight."""

    node: str
    output: str | None = None
    input: str | None = None
    weight: str | None = None

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        asked = {"output": self.output, "input": self.input, "weight": self.weight}
        if all(value is None for value in asked.values()):
            raise EditError(
                f"no dtype given for {self.node!r}; say output, input or weight = 'int8' | 'int16' | 'auto'"
            )
        wish = config.dtypes.get(self.node, DtypeRequest())
        for part, value in asked.items():
            if value is not None:
                wish = _with(wish, part, None if value == "auto" else _legal(value, config.march))
        kept = {name: w for name, w in config.dtypes.items() if name != self.node}
        return replace(config, dtypes=kept if wish == DtypeRequest() else {**kept, self.node: wish})

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        parts = [f"{part} {getattr(self, part)}" for part in ("input", "weight", "output") if getattr(self, part)]
        return f"{self.node}: {', '.join(parts)}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        parts = [(part, getattr(self, part)) for part in ("output", "input", "weight")]
        return tuple((f"{part} dtype of {self.node!r}", value) for part, value in parts if value is not None)


def _with(wish: DtypeRequest, part: str, dtype: str | None) -> DtypeRequest:
    if part == "input":
        return replace(wish, input=dtype, slots=())
    return replace(wish, output=dtype) if part == "output" else replace(wish, weight=dtype)


@dataclass(frozen=True)
class SetInputDtype(Edit):
    """Ask for the dtype of one of several data inputs, as ``InputType0`` and ``InputType1`` of ``node_info`` do."""

    node: str
    slot: int
    dtype: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        wish = config.dtypes.get(self.node, DtypeRequest())
        slots = {slot: dtype for slot, dtype in wish.slots if slot != self.slot}
        if self.dtype != "auto":
            slots[self.slot] = _legal(self.dtype, config.march)
        wish = replace(wish, slots=tuple(sorted(slots.items())))
        kept = {name: w for name, w in config.dtypes.items() if name != self.node}
        return replace(config, dtypes=kept if wish == DtypeRequest() else {**kept, self.node: wish})

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.node}: input {self.slot} {self.dtype}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"dtype of input {self.slot} of {self.node!r}", self.dtype),)


def _legal(value: str, march: str) -> str:
    dtype = ALIASES.get(value, value)
    has = get_march(march).dtypes
    if dtype not in has:
        raise EditError(f"dtype {value!r} is not one that {march} has; it has {' and '.join(has)}")
    return dtype


@dataclass(frozen=True)
class SetNodeCalibration(Edit):
    """Read the thresholds of the outputs of `node` (or of a model input) by a method of their own; "auto" clears."""

    node: str
    method: str
    percentile: float = DEFAULT_PERCENTILE

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        kept = {name: method for name, method in config.methods.items() if name != self.node}
        if self.method != "auto":
            kept[self.node] = CalibrationMethod(self.method, self.percentile)
        return replace(config, methods=kept)

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        if self.method == "auto":
            return f"{self.node}: calibrated as all others"
        return f"{self.node}: calibration {CalibrationMethod(self.method, self.percentile).describe()}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return ((f"calibration of {self.node!r}", (self.method, self.percentile)),)
