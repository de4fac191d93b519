"""Edits: small frozen commands, each one pure step from a configuration to the next.

Undo, journal, saved file, the widget's messages and "copy as code" all come from these. Whether an edit fits the model
is checked by the workbench, which knows the graph; an edit knows only its own fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from qworkbench.calibration.method import DEFAULT_PERCENTILE, MAX_NUM_BIN, NUM_BIN, CalibrationMethod
from qworkbench.errors import EditError, unknown_name
from qworkbench.march import get_march
from qworkbench.numerics.arithmetic import MULTIPLIER_CODES, ROUNDING_CODES, Arithmetic
from qworkbench.numerics.dtypes import ALIASES, check_scale
from qworkbench.placement.types import DtypeRequest
from qworkbench.workbench.config import Config, UnitConv

# what a field may hold, by its annotation, and how to say it
_KINDS_OF_VALUE: Mapping[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "str | None": ((str, type(None)), "text"),
    "int": ((int,), "a whole number"),
    "int | None": ((int, type(None)), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "True or False"),
}


@dataclass(frozen=True)
class Edit:
    """Base of every edit; a NumPy or torch number in a field becomes a Python number, which files and code can hold."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
                object.__setattr__(self, field.name, value.item())

    def check(self) -> None:
        """Raise EditError when a field holds a value of the wrong type."""
        for field in fields(self):
            value = getattr(self, field.name)
            types, wanted = _KINDS_OF_VALUE[str(field.type)]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise EditError(f"{type(self).__name__}: {field.name} must be {wanted}, got {value!r}")

    def apply(self, config: Config) -> Config:
        """Return the configuration after this edit.

        Raises
        ------
        QWorkbenchError
            When the edit's own fields are wrong; `config` is never changed.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """Return one line for the journal."""
        raise NotImplementedError

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """Return the (setting, wanted value) pairs that this edit decides, to find contradictions."""
        return ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data with the edit's kind; :func:`edit_from_dict` reads it back."""
        return {"kind": type(self).__name__, **{k: v for k, v in asdict(self).items() if v is not None}}

    def as_code(self) -> str:
        """Return the Python expression that makes this edit."""
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            required = field.default is MISSING
            if required:
                parts.append(repr(value))
            elif value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"q.{type(self).__name__}({', '.join(parts)})"


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
class InsertUnitConv(Edit):
    """Insert a depthwise 1x1 identity convolution "before" or "after" `node`."""

    node: str
    where: str = "after"
    slot: int | None = None

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        if self.where not in ("before", "after"):
            raise unknown_name("side", self.where, ("before", "after"))
        if self.where == "after" and self.slot is not None:
            raise EditError(f"slot picks an input, and a unit conv after {self.node!r} has none to pick; leave it out")
        if (self.node, self.where, self.slot) in [u.place for u in config.unit_convs]:
            raise EditError(f"{self.node!r} already has a unit conv {self.where} it; undo or remove that one first")
        index = max((u.index for u in config.unit_convs), default=-1) + 1
        unit = UnitConv(self.node, self.where, self.slot, index)  # type: ignore[arg-type]
        return replace(config, unit_convs=(*config.unit_convs, unit))

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.node}: unit conv {self.where}{'' if self.slot is None else f' (input {self.slot})'}"


@dataclass(frozen=True)
class RemoveUnitConv(Edit):
    """Take out the unit conv "before" or "after" `node` again."""

    node: str
    where: str = "after"
    slot: int | None = None

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        kept = tuple(u for u in config.unit_convs if u.place != (self.node, self.where, self.slot))
        if len(kept) == len(config.unit_convs):
            places = ", ".join(f"{u.where} {u.node!r}" for u in config.unit_convs) or "nowhere"
            raise EditError(f"there is no unit conv {self.where} {self.node!r} to remove; there are some {places}")
        gone = {f"_unitconv_{u.index}" for u in config.unit_convs if u not in kept}
        return replace(
            config,
            unit_convs=kept,
            on={name: wish for name, wish in config.on.items() if name not in gone},
            scales={name: wish for name, wish in config.scales.items() if name not in gone},
            dtypes={name: wish for name, wish in config.dtypes.items() if name not in gone},
            methods={name: method for name, method in config.methods.items() if name not in gone},
        )

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.node}: unit conv {self.where} removed"


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
    """Ask for "int8" or "int16" ("auto" clears): of the output, as in ``node_info``, or of input or weight."""

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
                wish = replace(wish, **{part: None if value == "auto" else _legal(value, config.march)})
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


def _legal(value: str, march: str) -> str:
    dtype = ALIASES.get(value, value)
    has = ("int8", "int16") if get_march(march).parameters["int16_supported"].value else ("int8",)
    if dtype not in has:
        raise EditError(f"dtype {value!r} is not one that {march} has; it has {' and '.join(has)}")
    return dtype


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
        known: Mapping[str, Sequence[Any]] = {
            "rounding": tuple(ROUNDING_CODES),
            "multiplier_int8": tuple(MULTIPLIER_CODES),
            "multiplier_int16": tuple(MULTIPLIER_CODES),
            "scale_denominator": (127, 128),
        }
        for name, value in given.items():
            if value not in known[name]:
                raise EditError(f"{name} must be one of {', '.join(map(str, known[name]))}, got {value!r}")
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


KINDS: Mapping[str, type[Edit]] = {
    kind.__name__: kind
    for kind in (
        SetPlacement,
        InsertUnitConv,
        RemoveUnitConv,
        FixScale,
        ClearScale,
        SetDtype,
        SetMarch,
        SetCalibration,
        SetNodeCalibration,
        SetArithmetic,
    )
}


def edit_from_dict(data: Mapping[str, Any]) -> Edit:
    """Read an edit back from plain data (a saved file or a widget's message).

    Raises
    ------
    QWorkbenchError
        On an unknown kind, an unknown or missing field, or a field of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise EditError(f"an edit is a mapping with a 'kind', got {type(data).__name__}")
    kind = KINDS.get(str(data.get("kind")))
    if kind is None:
        raise unknown_name("edit", str(data.get("kind")), KINDS)
    given = {k: v for k, v in data.items() if k != "kind"}
    allowed = {f.name: f for f in fields(kind)}
    for name in given:
        if name not in allowed:
            raise unknown_name(f"field of {kind.__name__}", name, allowed)
    missing = [name for name, f in allowed.items() if f.default is MISSING and name not in given]
    if missing:
        raise EditError(f"{kind.__name__} lacks {', '.join(missing)}")
    edit = kind(**given)
    edit.check()
    return edit


def check_contradictions(edits: Sequence[Edit]) -> None:
    """Raise when two edits of one step want different things of the same setting."""
    wanted: dict[str, tuple[Any, Edit]] = {}
    for edit in edits:
        if not isinstance(edit, Edit):
            raise EditError(f"edit() takes edits such as SetPlacement('softmax', 'bpu'), got {type(edit).__name__}")
        edit.check()
        for setting, value in edit.targets():
            if setting in wanted and wanted[setting][0] != value:
                first = wanted[setting][0]
                raise EditError(f"the edits contradict: {setting} is asked to be {first!r} and {value!r}; keep one")
            wanted[setting] = (value, edit)
