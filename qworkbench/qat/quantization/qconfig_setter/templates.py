"""Templates: rules that a QconfigSetter applies one after the other, a later one over an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from qworkbench.errors import unknown_name
from qworkbench.qat.dtype import dtype_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization.qconfig_setter.tables import most_sensitive
from qworkbench.qat.quantization.sites import Site


@dataclass(frozen=True)
class Wanted:
    """The dtypes that the rules ask for at one site.

    Attributes
    ----------
    input : str, tuple of str, or None
        None: as the producers write them; a tuple: one per operand.
    weight, output : str or None
        None: not quantized; of an output: high precision.
    threshold : float or None
        Largest magnitude of the output: fixes its scale.
    frozen : bool
        Not to be adjusted afterwards.
    """

    input: str | tuple[str, ...] | None = None
    weight: str | None = "qint8"
    output: str | None = "qint8"
    threshold: float | None = None
    frozen: bool = False


class Template(Protocol):
    """One rule."""

    def apply(self, sites: Mapping[str, Site], wanted: dict[str, Wanted], names: set[str]) -> None:
        """Change `wanted` (by path); `names` are all modules of the model, containers included."""


_KEYS = {"dtype", "threshold", "input", "weight", "output"}


class ModuleNameTemplate:
    """Dtypes by the beginning of a name.

    Parameters
    ----------
    module_name_to_dtype : mapping
        ``{name: dtype}`` for outputs, ``{name: {"dtype": dtype, "threshold": T}}`` to fix the output's scale at
        ``T / 128`` (int16: ``T / 32768``), ``{name: {"input": .., "weight": .., "output": ..}}``. ``""`` is the whole
        model; a name counts for everything below it, and the longest one wins.
    freeze : bool
        Keep exactly these dtypes: the setter adjusts none of them.

    Raises
    ------
    QATError, UnknownNameError
    """

    def __init__(self, module_name_to_dtype: Mapping[str, Any], freeze: bool = False) -> None:
        self.rules: dict[str, dict[str, Any]] = {}
        for name, given in module_name_to_dtype.items():
            spec = dict(given) if isinstance(given, Mapping) else {"dtype": given}
            for key in spec:
                if key not in _KEYS:
                    raise unknown_name("key of a module's dtypes", str(key), _KEYS)
            threshold = spec.pop("threshold", None)
            if threshold is not None and not threshold > 0:
                raise QATError(f"the threshold of {name!r} must be > 0, got {threshold}; it is the largest |value|")
            changes: dict[str, Any] = {} if threshold is None else {"threshold": float(threshold)}
            for key, dtype in spec.items():
                changes["output" if key == "dtype" else key] = None if dtype is None else dtype_name(dtype)
            self.rules[name] = changes
        self.freeze = freeze

    def apply(self, sites: Mapping[str, Site], wanted: dict[str, Wanted], names: set[str]) -> None:
        """Apply the rule of the longest name to each site."""
        for name in self.rules:
            if name and name not in names:
                raise unknown_name("module", name, names)
        for path in sites:
            fitting = [name for name in self.rules if not name or path == name or path.startswith(f"{name}.")]
            if fitting:
                rule = self.rules[max(fitting, key=len)]
                wanted[path] = replace(wanted[path], **rule, frozen=self.freeze or wanted[path].frozen)


class ConvDtypeTemplate:
    """Input and weight dtype of every convolution, transposed convolution and linear layer."""

    def __init__(self, input_dtype: Any = None, weight_dtype: Any = None) -> None:
        self.input = None if input_dtype is None else dtype_name(input_dtype)
        self.weight = None if weight_dtype is None else dtype_name(weight_dtype)

    def apply(self, sites: Mapping[str, Site], wanted: dict[str, Wanted], _: set[str]) -> None:
        """Apply to the sites of kind "conv"."""
        for path, site in sites.items():
            if site.kind == "conv" and not wanted[path].frozen:
                now = wanted[path]
                wanted[path] = replace(now, input=self.input or now.input, weight=self.weight or now.weight)


class MatmulDtypeTemplate:
    """Dtypes of the two operands of every matrix product.

    Parameters
    ----------
    input_dtypes : dtype or sequence of two dtypes
    """

    def __init__(self, input_dtypes: Any) -> None:
        many = isinstance(input_dtypes, Sequence) and not isinstance(input_dtypes, str)
        found = tuple(dtype_name(d) for d in input_dtypes) if many else (dtype_name(input_dtypes),) * 2
        if len(found) != 2:
            raise QATError(f"a matrix product has two operands, got {len(found)} input_dtypes")
        self.inputs = found

    def apply(self, sites: Mapping[str, Site], wanted: dict[str, Wanted], _: set[str]) -> None:
        """Apply to the sites of kind "matmul"."""
        for path, site in sites.items():
            if site.kind == "matmul" and not wanted[path].frozen:
                wanted[path] = replace(wanted[path], input=self.inputs)


class SensitivityTemplate:
    """More bits for the most sensitive operators, where they now have few.

    Parameters
    ----------
    sensitive_table : DataFrame, sequence of rows, or path
        From ``QuantAnalysis.sensitivity``.
    topk_or_ratio : int or float
        How many rows (int), or which share of them (float in 0..1).
    sensitive_type : "activation" | "weight" | "both"
    low_precision_dtype, high_precision_dtype : dtype
        Only what has the low one gets the high one. An activation row raises the operator's output, or, where that
        is not of the low dtype, its inputs.
    """

    def __init__(
        self,
        sensitive_table: Any,
        topk_or_ratio: float,
        sensitive_type: str = "both",
        low_precision_dtype: Any = "qint8",
        high_precision_dtype: Any = "qint16",
    ) -> None:
        self.rows = most_sensitive(sensitive_table, topk_or_ratio, sensitive_type)
        self.low, self.high = dtype_name(low_precision_dtype), dtype_name(high_precision_dtype)

    def apply(self, sites: Mapping[str, Site], wanted: dict[str, Wanted], _: set[str]) -> None:
        """Apply to the operators of the rows; rows of other models' operators are passed over."""
        for path, kind in self.rows:
            if path not in sites or wanted[path].frozen:
                continue
            now = wanted[path]
            if kind == "weight":
                if now.weight == self.low:
                    wanted[path] = replace(now, weight=self.high)
            elif now.output == self.low:
                wanted[path] = replace(now, output=self.high)
            elif isinstance(now.input, tuple):
                wanted[path] = replace(now, input=tuple(self.high if d == self.low else d for d in now.input))
            elif now.input == self.low:
                wanted[path] = replace(now, input=self.high)
