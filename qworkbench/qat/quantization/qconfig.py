"""QConfig: how the output and the weight of an op are quantized; the presets that the documents name.

``activation=None`` means that the output is not quantized: the high-precision output of a model's last convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from qworkbench.errors import unknown_name
from qworkbench.qat.dtype import FLOAT_NAMES, dtype_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import CalibFakeQuantize, FakeQuantize
from qworkbench.qat.quantization.histogram_observer import (
    HistogramObserver,
    KLObserver,
    MixObserver,
    MSEObserver,
    PercentileObserver,
)
from qworkbench.qat.quantization.observer import (
    ClipObserver,
    ClipStdObserver,
    FixedScaleObserver,
    MovingAveragePerChannelMinMaxObserver,
    MovingAveragePerTensorMinMaxObserver,
    ObserverBase,
)

Factory = Callable[..., Any]


@dataclass(frozen=True)
class QConfig:
    """The quantization of one op.

    Attributes
    ----------
    activation, weight : callable or None
        ``FakeQuantize.with_args(...)``; None leaves that tensor in float.
    input : callable, tuple of callables, or None
        For inputs that must have another dtype than their producers write; a tuple has one per operand, None takes
        them as they come.
    """

    activation: Factory | None = None
    weight: Factory | None = None
    input: Factory | tuple[Factory | None, ...] | None = None

    def inputs(self, count: int) -> list[Factory | None]:
        """Return what each of `count` operands is brought to its dtype by."""
        if not isinstance(self.input, tuple):
            return [self.input] * count
        return [self.input[min(number, len(self.input) - 1)] for number in range(count)]

    @property
    def input_dtype(self) -> str | None:
        """Dtype that the first input is brought to, or None."""
        return factory_dtype(self.inputs(1)[0])

    @property
    def kind(self) -> str | None:
        """``"calibration"``, ``"qat"``, or None where nothing is quantized."""
        factories = (self.activation, self.weight, *self.inputs(2))
        classes = [factory_class(f) for f in factories if f is not None]
        kinds = {"calibration" if issubclass(c, CalibFakeQuantize) else "qat" for c in classes if c is not FakeCast}
        if len(kinds) > 1:
            raise QATError("a QConfig mixes calibration and QAT fake quantization; use the same class for both parts")
        return kinds.pop() if kinds else None

    def dtype(self, part: str) -> str | None:
        """Return the dtype of ``"activation"`` or ``"weight"``, or None."""
        return factory_dtype(getattr(self, part))


def factory_dtype(factory: Factory | None) -> str | None:
    """Return the dtype that ``Class.with_args(...)`` makes, or None."""
    if factory is None:
        return None
    default = "float16" if factory_class(factory) is FakeCast else "qint8"
    return dtype_name(getattr(factory, "keywords", {}).get("dtype", default))


def factory_class(factory: Factory) -> type:
    """Return the class that ``Class.with_args(...)`` makes."""
    made = getattr(factory, "func", factory)
    if not isinstance(made, type):
        raise QATError(f"a qconfig holds FakeQuantize.with_args(...), got {factory!r}")
    return made


_OBSERVERS: dict[str, type[ObserverBase]] = {
    "min_max": MovingAveragePerTensorMinMaxObserver,
    "fixed_scale": FixedScaleObserver,
    "percentile": PercentileObserver,
    "clip": ClipObserver,
    "clip_std": ClipStdObserver,
    "mse": MSEObserver,
    "kl": KLObserver,
    "mix": MixObserver,
}
_FAKE_QUANTS = ("fake_quant", "lsq", "pact", None)


def get_default_qconfig(
    activation_fake_quant: str | None = "fake_quant",
    weight_fake_quant: str | None = "fake_quant",
    activation_observer: str = "min_max",
    weight_observer: str = "min_max",
    activation_qkwargs: dict[str, Any] | None = None,
    weight_qkwargs: dict[str, Any] | None = None,
) -> QConfig:
    """Build a QAT qconfig from names.

    Parameters
    ----------
    activation_fake_quant, weight_fake_quant : "fake_quant" | "lsq" | "pact" | None
    activation_observer : "min_max" | "fixed_scale" | "clip" | "clip_std" | "percentile" | "mse" | "kl" | "mix"
    weight_observer : "min_max"
        Weights are always symmetric per output channel.
    activation_qkwargs, weight_qkwargs : dict, optional
        For the fake quantization and its observer: ``dtype``, ``averaging_constant``, ``percentile``, ``scale`` ...
    """
    for name in (activation_fake_quant, weight_fake_quant):
        if name not in _FAKE_QUANTS:
            raise unknown_name("fake quantization", str(name), ("fake_quant", "lsq", "pact"))
    if activation_observer not in _OBSERVERS:
        raise unknown_name("observer", activation_observer, _OBSERVERS)
    if weight_observer != "min_max":
        raise QATError(f"the weight observer must be 'min_max' (weights are per channel), got {weight_observer!r}")
    activation = weight = None
    if activation_fake_quant is not None:
        activation = FakeQuantize.with_args(
            observer=_OBSERVERS[activation_observer],
            **{"learnable": _learnable(activation_fake_quant), **(activation_qkwargs or {})},
        )
    if weight_fake_quant is not None:
        weight = weight_factory(FakeQuantize, **{"learnable": _learnable(weight_fake_quant), **(weight_qkwargs or {})})
    return QConfig(activation, weight)


def _learnable(name: str) -> str | bool:
    return False if name == "fake_quant" else name


def get_qconfig(
    observer: Any = HistogramObserver,
    in_dtype: Any = None,
    weight_dtype: Any = "qint8",
    out_dtype: Any = "qint8",
    fix_scale: bool = False,
) -> QConfig:
    """Build a qconfig from dtypes.

    Parameters
    ----------
    observer : type
        :class:`HistogramObserver`, :class:`MSEObserver` and the like (for calibration) or a min-max observer (for
        QAT).
    in_dtype : str, torch.dtype or None
        Inputs that come in another dtype are brought to this one. None, the default, takes what the producers write.
    weight_dtype, out_dtype : str, torch.dtype or None
        ``qint8``, ``qint16`` or ``torch.float16``; ``out_dtype=None`` is the high-precision output.
    fix_scale : bool
        Keep the scales that the model has (from calibration) instead of updating them in training.

    Raises
    ------
    QATError
        If `observer` is no observer class.
    UnknownNameError
        For a dtype that does not exist.
    """
    if not (isinstance(observer, type) and issubclass(observer, ObserverBase)):
        raise QATError(f"observer is an observer class such as HistogramObserver or MinMaxObserver, got {observer!r}")
    cls = CalibFakeQuantize if issubclass(observer, HistogramObserver) else FakeQuantize
    fixed = {"fix_scale": True} if fix_scale else {}

    def activation(dtype: Any) -> Factory | None:
        if dtype is None:
            return None
        if dtype_name(dtype) in FLOAT_NAMES:
            return FakeCast.with_args(dtype=dtype)
        return cls.with_args(observer=observer, dtype=dtype_name(dtype), **fixed)

    weight: Factory | None = None
    if weight_dtype is not None:
        weight = (
            FakeCast.with_args(dtype=weight_dtype)
            if dtype_name(weight_dtype) in FLOAT_NAMES
            else weight_factory(cls, dtype=dtype_name(weight_dtype))
        )
    return QConfig(activation(out_dtype), weight, activation(in_dtype))


def weight_factory(cls: type[FakeQuantize], **kwargs: Any) -> Factory:
    """Return the fake quantization of weights: per output channel, following each batch."""
    given = {"observer": MovingAveragePerChannelMinMaxObserver, "ch_axis": 0, "averaging_constant": 1.0, **kwargs}
    return cls.with_args(**given)


def _preset(cls: type[FakeQuantize], observer: type[ObserverBase], dtype: str | None, **kwargs: Any) -> QConfig:
    activation = None if dtype is None else cls.with_args(observer=observer, dtype=dtype, **kwargs)
    return QConfig(activation, weight_factory(cls))


_MIN_MAX = MovingAveragePerTensorMinMaxObserver

default_qat_8bit_fake_quant_qconfig = _preset(FakeQuantize, _MIN_MAX, "qint8")
default_qat_8bit_weight_16bit_act_fake_quant_qconfig = _preset(FakeQuantize, _MIN_MAX, "qint16")
default_qat_8bit_weight_32bit_out_fake_quant_qconfig = _preset(FakeQuantize, _MIN_MAX, None)
default_qat_out_8bit_fake_quant_qconfig = default_qat_8bit_weight_32bit_out_fake_quant_qconfig
default_qat_8bit_fixed_act_fake_quant_qconfig = _preset(FakeQuantize, _MIN_MAX, "qint8", averaging_constant=0.0)
default_qat_8bit_weight_16bit_fixed_act_fake_quant_qconfig = _preset(
    FakeQuantize, _MIN_MAX, "qint16", averaging_constant=0.0
)
default_qat_8bit_lsq_quant_qconfig = get_default_qconfig("lsq", "lsq")
default_calib_8bit_fake_quant_qconfig = _preset(CalibFakeQuantize, PercentileObserver, "qint8")
default_calib_8bit_weight_16bit_act_fake_quant_qconfig = _preset(CalibFakeQuantize, PercentileObserver, "qint16")
default_calib_8bit_weight_32bit_out_fake_quant_qconfig = _preset(CalibFakeQuantize, PercentileObserver, None)
default_calib_out_8bit_fake_quant_qconfig = default_calib_8bit_weight_32bit_out_fake_quant_qconfig
fp16_qconfig = QConfig(FakeCast.with_args(dtype=torch.float16), FakeCast.with_args(dtype=torch.float16))
