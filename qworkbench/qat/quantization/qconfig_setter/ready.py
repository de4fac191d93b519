"""Setters that decide operator by operator; of several in a tuple, the first that has an answer decides.

The ready ones come in two kinds, calibration and QAT, and leave the last convolution its high precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from qworkbench.errors import unknown_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization import qconfig as presets
from qworkbench.qat.quantization.qconfig import QConfig
from qworkbench.qat.quantization.qconfig_setter.tables import most_sensitive
from qworkbench.qat.quantization.sites import Site

PASS = object()


class OneByOne(Protocol):
    """A setter that is asked for each operator."""

    def answer(self, site: Site) -> Any:
        """Return a QConfig, None (stays in float), or ``PASS``."""

    def check_names(self, names: set[str]) -> None:
        """Raise for a name that the model does not have."""


class ModuleNameQconfigSetter:
    """Qconfigs by name; a name counts for everything below it, the longest one wins.

    Parameters
    ----------
    module_name_to_qconfig : mapping of str to QConfig or None
    """

    def __init__(self, module_name_to_qconfig: Mapping[str, QConfig | None]) -> None:
        self.given = dict(module_name_to_qconfig)
        for name, found in self.given.items():
            if found is not None and not isinstance(found, QConfig):
                raise QATError(f"the qconfig of {name!r} is a QConfig or None, got {type(found).__name__}")

    def answer(self, site: Site) -> Any:
        """Return the qconfig of the longest name that fits."""
        fitting = [n for n in self.given if not n or site.path == n or site.path.startswith(f"{n}.")]
        return self.given[max(fitting, key=len)] if fitting else PASS

    def check_names(self, names: set[str]) -> None:
        """Raise UnknownNameError for a name that the model does not have."""
        for name in self.given:
            if name and name not in names:
                raise unknown_name("module", name, names)


class SameForAll:
    """One qconfig for every operator, another one for a last convolution."""

    def __init__(self, name: str, common: QConfig, tail: QConfig) -> None:
        self.name, self.common, self.tail = name, common, tail

    def answer(self, site: Site) -> QConfig:
        """Return it."""
        return self.tail if site.tail else self.common

    def check_names(self, names: set[str]) -> None:
        """Know no names."""

    def __repr__(self) -> str:
        return self.name


class SensitiveOps:
    """One qconfig for the most sensitive operators' outputs; passes on all others."""

    def __init__(self, table: Any, topk: int | None, ratio: float | None, qconfig: QConfig) -> None:
        if (topk is None) == (ratio is None):
            raise QATError(f"give either topk or ratio, got topk={topk!r} and ratio={ratio!r}")
        count: Any = int(topk) if topk is not None else float(ratio or 0.0)
        self.names = {name for name, kind in most_sensitive(table, count) if kind == "activation"}
        self.qconfig = qconfig

    def answer(self, site: Site) -> Any:
        """Return the qconfig for a sensitive operator."""
        return self.qconfig if site.path in self.names and not site.tail else PASS

    def check_names(self, names: set[str]) -> None:
        """Pass over rows of operators that this model does not have, as fusion removes some."""


def sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter(
    table: Any, topk: int | None = None, ratio: float | None = None
) -> SensitiveOps:
    """Return the calibration setter that gives int16 outputs to the first rows of a sensitivity table."""
    return SensitiveOps(table, topk, ratio, presets.default_calib_8bit_weight_16bit_act_fake_quant_qconfig)


def sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter(
    table: Any, topk: int | None = None, ratio: float | None = None
) -> SensitiveOps:
    """Return the QAT setter that gives int16 outputs to the first rows of a sensitivity table."""
    return SensitiveOps(table, topk, ratio, presets.default_qat_8bit_weight_16bit_act_fake_quant_qconfig)


sensitive_op_8bit_weight_16bit_act_calibration_setter = sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter
sensitive_op_8bit_weight_16bit_act_qat_setter = sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter

default_calibration_qconfig_setter = SameForAll(
    "default_calibration_qconfig_setter",
    presets.default_calib_8bit_fake_quant_qconfig,
    presets.default_calib_8bit_weight_32bit_out_fake_quant_qconfig,
)
default_qat_qconfig_setter = SameForAll(
    "default_qat_qconfig_setter",
    presets.default_qat_8bit_fake_quant_qconfig,
    presets.default_qat_8bit_weight_32bit_out_fake_quant_qconfig,
)
calibration_8bit_weight_16bit_act_qconfig_setter = SameForAll(
    "calibration_8bit_weight_16bit_act_qconfig_setter",
    presets.default_calib_8bit_weight_16bit_act_fake_quant_qconfig,
    presets.default_calib_8bit_weight_32bit_out_fake_quant_qconfig,
)
qat_8bit_weight_16bit_act_qconfig_setter = SameForAll(
    "qat_8bit_weight_16bit_act_qconfig_setter",
    presets.default_qat_8bit_weight_16bit_act_fake_quant_qconfig,
    presets.default_qat_8bit_weight_32bit_out_fake_quant_qconfig,
)
