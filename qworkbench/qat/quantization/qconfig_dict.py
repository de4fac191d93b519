"""Which qconfig a module gets: ``""`` < ``module_type`` < ``module_name`` < the module's own ``qconfig``.

A ``qconfig`` attribute counts for everything below the module that has it; on the model itself it is the global
default, like ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from qworkbench.errors import unknown_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.march import March, check_dtype
from qworkbench.qat.nn.intrinsic import Fused
from qworkbench.qat.nn.qat import Operation
from qworkbench.qat.quantization.qconfig import QConfig, factory_dtype

_KEYS = ("", "module_type", "module_name")


class Resolver(Protocol):
    """What tells the qconfig of a module."""

    def __call__(self, path: str, module: nn.Module) -> QConfig | None:
        """Return the qconfig of `module` at `path`, or None to leave it in float."""

    def check_names(self, model: nn.Module) -> None:
        """Raise for a name that no module of `model` has."""

    def look_at(self, made: nn.Module) -> None:
        """See the fused graph before the first question."""


class QConfigRules:
    """What holds for the qconfigs of one prepare call: dtypes of the march, and calibration or QAT, not both."""

    def __init__(self, march: March) -> None:
        self._march = march
        self._kinds: dict[str, str] = {}

    def checked(self, path: str, found: QConfig | None) -> QConfig | None:
        """Return `found`, the qconfig of the module at `path`.

        Raises
        ------
        QATError
        """
        if found is None:
            return None
        for part in ("activation", "weight"):
            dtype = found.dtype(part)
            if dtype is not None and not (part == "weight" and dtype in ("float16", "float32")):
                check_dtype(self._march, dtype, path, what="weight" if part == "weight" else "output")
        for dtype in map(factory_dtype, found.inputs(2)):
            if dtype is not None:
                check_dtype(self._march, dtype, path, what="input")
        if found.kind is not None:
            self._kinds.setdefault(found.kind, path)
        if len(self._kinds) > 1:
            raise QATError(
                f"{self._kinds['calibration']!r} has a calibration qconfig and {self._kinds['qat']!r} a QAT qconfig; "
                "one prepare call takes one kind, so use the same kind for every module"
            )
        return found


class QConfigResolver:
    """Answers for every module of one model.

    Parameters
    ----------
    given : mapping or None
        The user's dict.
    model : Module
        The float model, for the ``qconfig`` attributes.
    march : March
        Whose dtypes are legal.
    """

    def __init__(self, given: Mapping[str, Any] | None, model: nn.Module, march: March) -> None:
        given = dict(given or {})
        for key in given:
            if key not in _KEYS:
                raise unknown_name("key of a qconfig dict", key, _KEYS)
        self._default = given.get("", getattr(model, "qconfig", None))
        self._by_type = dict(given.get("module_type") or {})
        self._by_name = dict(given.get("module_name") or {})
        self._model = model
        self._rules = QConfigRules(march)
        if not given and not any(getattr(m, "qconfig", None) is not None for m in model.modules()):
            raise QATError(
                'no qconfig is given; pass {"": default_qat_8bit_fake_quant_qconfig}, or set the model\'s qconfig'
            )
        for entry in (self._default, *self._by_type.values(), *self._by_name.values()):
            if entry is not None and not isinstance(entry, QConfig):
                raise QATError(f"a qconfig is a QConfig or None, got {type(entry).__name__}")

    def check_names(self, model: nn.Module) -> None:
        """Raise for a ``module_name`` that no module of `model` (or of the float model) has."""
        known = {name for m in (model, self._model) for name, _ in m.named_modules() if name}
        for name in self._by_name:
            if name not in known:
                raise unknown_name("module", name, known)

    def look_at(self, made: nn.Module) -> None:
        """Need nothing of the graph."""

    def __call__(self, path: str, module: nn.Module) -> QConfig | None:
        """Return the qconfig of `module` at `path`, checked against the march and the other qconfigs."""
        return self._rules.checked(path, self._find(path, module))

    def _find(self, path: str, module: nn.Module) -> QConfig | None:
        core = module.conv if isinstance(module, Fused) else module
        for holder in (module, core):
            own = holder.__dict__.get("qconfig", self)
            if own is not self:
                return own  # type: ignore[no-any-return]
        prefixes = [path.rsplit(".", k)[0] for k in range(path.count(".") + 1)]
        for prefix in prefixes:
            parent = _child(self._model, prefix)
            if parent is not None and "qconfig" in parent.__dict__:
                return parent.__dict__["qconfig"]  # type: ignore[no-any-return]
        for prefix in prefixes:
            if prefix in self._by_name:
                return self._by_name[prefix]  # type: ignore[no-any-return]
        kinds = [type(module), type(core)]
        if isinstance(module, Operation):
            kinds.append(type(module.operation))
        for kind in kinds:
            if kind in self._by_type:
                return self._by_type[kind]  # type: ignore[no-any-return]
        return self._default


def with_hybrid(
    given: Mapping[str, Any] | None, model: nn.Module, hybrid: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the qconfig dict `given` with the modules of `hybrid` left in float."""
    for key in hybrid:
        if key not in _KEYS[1:]:
            raise unknown_name("key of a hybrid dict", str(key), _KEYS[1:])
    if not hybrid:
        return given
    made = dict(given or {"": getattr(model, "qconfig", None)})
    for key in hybrid:
        made[key] = {**dict(made.get(key) or {}), **dict.fromkeys(hybrid[key])}
    return made


def _child(model: nn.Module, path: str) -> nn.Module | None:
    for name in path.split("."):
        found = model._modules.get(name)
        if found is None:
            return None
        model = found
    return model
