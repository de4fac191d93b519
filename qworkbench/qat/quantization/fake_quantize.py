"""Fake quantization: observe, then round to codes and back, with gradients passed straight through.

The rounding is torch's own ``fake_quantize_per_tensor_affine`` / ``per_channel_affine`` with zero point 0: values
inside the range have gradient 1, values cut off have gradient 0.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from qworkbench.errors import unknown_name
from qworkbench.qat.dtype import code_range, dtype_name
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization.learned import RULES
from qworkbench.qat.quantization.observer import (
    SMALLEST,
    MinMaxObserver,
    MovingAveragePerTensorMinMaxObserver,
    ObserverBase,
    with_args,
)


class FakeQuantState(Enum):
    """What the fake quantization of a model does.

    ``CALIBRATION`` observes only; ``QAT`` observes and quantizes; ``VALIDATION`` quantizes with the scales it has;
    ``_FLOAT`` does neither, for diagnosis.
    """

    CALIBRATION = (True, False)
    QAT = (True, True)
    VALIDATION = (False, True)
    _FLOAT = (False, False)


class FakeQuantize(nn.Module):
    """Simulates the quantization of one tensor.

    Parameters
    ----------
    observer : type
        Observer class; finds the range. Per channel if the observer is.
    dtype : str or torch.dtype
        ``"qint8"`` or ``"qint16"``.
    ch_axis : int
        Channel axis of a per-channel observer.
    learnable : bool or "lsq" or "pact"
        The scale is a parameter once the observer has set it, with the gradient of LSQ (Esser et al. 2020; also True)
        or of PACT (Choi et al. 2018).
    fix_scale : bool
        Once there is a scale, only ``CALIBRATION`` changes it; training keeps it.
    **observer_kwargs
        For the observer: ``averaging_constant``, ``percentile`` ...

    Attributes
    ----------
    scale : Tensor
        float32, (1,) or (channels,).
    """

    scale: Tensor
    observer_enabled: Tensor
    fake_quant_enabled: Tensor
    with_args = with_args()
    start = FakeQuantState.QAT

    def __init__(
        self,
        observer: type[ObserverBase] = MovingAveragePerTensorMinMaxObserver,
        dtype: Any = "qint8",
        ch_axis: int = -1,
        *,
        channel_len: int = 1,
        learnable: bool | str = False,
        fix_scale: bool = False,
        **observer_kwargs: Any,
    ) -> None:
        super().__init__()
        self.activation_post_process = observer(
            dtype=dtype, ch_axis=ch_axis, channel_len=channel_len, **observer_kwargs
        )
        self.rule = "lsq" if learnable is True else learnable or None
        if self.rule is not None and self.rule not in RULES:
            raise unknown_name("way of learning a scale", str(learnable), RULES)
        self.learnable = self.rule is not None
        self.fix_scale = fix_scale
        start = self.activation_post_process.calculate_qparams() if self.observer.observed else None
        scale = torch.ones(channel_len if observer.per_channel else 1) if start is None else start
        if learnable:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)
        self.register_buffer("observer_enabled", torch.tensor([self.start.value[0]]), persistent=False)
        self.register_buffer("fake_quant_enabled", torch.tensor([self.start.value[1]]), persistent=False)

        self.register_load_state_dict_post_hook(_range_of_scale)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load, leaving out the histogram of a calibration where the own observer keeps none."""
        held = self.observer.state_dict(prefix=f"{prefix}activation_post_process.")
        for name in ("counts", "width"):
            if f"{prefix}activation_post_process.{name}" not in held:
                state_dict.pop(f"{prefix}activation_post_process.{name}", None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def observer(self) -> ObserverBase:
        """The observer."""
        return self.activation_post_process

    @property
    def dtype(self) -> str:
        """``"qint8"`` or ``"qint16"``."""
        return self.observer.dtype

    @property
    def observed(self) -> bool:
        """Tell whether the scale comes from data (or is fixed)."""
        return self.observer.observed

    @property
    def positive_scale(self) -> Tensor:
        """The scale in force: a learned one that training drove to zero or below counts by its magnitude."""
        return self.scale.abs().clamp(min=SMALLEST) if self.learnable else self.scale

    def set_dtype(self, dtype: Any) -> None:
        """Change the dtype; the scale follows from what was observed."""
        self.observer.dtype = dtype_name(dtype)
        self.observer.qmin, self.observer.qmax = code_range(self.observer.dtype)
        if self.observed:
            with torch.no_grad():
                self.scale.copy_(self.observer.calculate_qparams())

    def set_state(self, state: FakeQuantState) -> None:
        """Set what this module does."""
        observe, quantize = state.value
        self.observer_enabled.fill_(observe)
        self.fake_quant_enabled.fill_(quantize)

    @property
    def quantizes(self) -> bool:
        """Tell whether values are rounded at this moment (the global switch included)."""
        from qworkbench.qat.utils.quant_switch import GlobalFakeQuantSwitch

        return bool(self.fake_quant_enabled) and GlobalFakeQuantSwitch.state()

    def train(self, mode: bool = True) -> FakeQuantize:
        """Switch with the model: ``eval()`` stops observing, ``train()`` resumes it where values are quantized."""
        super().train(mode)
        if not mode:
            self.observer_enabled.fill_(False)
        elif bool(self.fake_quant_enabled):
            self.observer_enabled.fill_(True)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, on the grid of codes where quantization is on."""
        if bool(self.observer_enabled) and not (self.fix_scale and self.observed and bool(self.fake_quant_enabled)):
            was = self.observed
            self.observer(x)
            if not (self.learnable and was) and self.observed:
                with torch.no_grad():
                    self.scale.copy_(self.observer.calculate_qparams())
        if not self.quantizes:
            return x
        return self.quantized(x)

    def quantized(self, x: Tensor) -> Tensor:
        """Return ``clamp(round(x / scale), qmin, qmax) * scale`` with straight-through gradients."""
        low, high, axis = self.observer.qmin, self.observer.qmax, self.observer.ch_axis
        if self.rule is not None:
            return RULES[self.rule](x, self.positive_scale, axis, low, high)
        work = x if x.dtype in (torch.float32, torch.float64) else x.float()
        if self.observer.per_channel:
            zero = torch.zeros_like(self.scale, dtype=torch.int32)
            out = torch.fake_quantize_per_channel_affine(work, self.scale, zero, axis, low, high)
        else:
            zero = torch.zeros(1, dtype=torch.int32, device=self.scale.device)
            out = torch.fake_quantize_per_tensor_affine(work, self.scale, zero, low, high)
        return out.to(x.dtype)

    def extra_repr(self) -> str:
        """Return what print shows of this module."""
        return f"dtype={self.dtype}, scale={self.scale.detach().flatten()[:4].tolist()}"


def _range_of_scale(module: FakeQuantize, _: Any) -> None:
    """Continue from the loaded scale: calibration may have cut outliers that the loaded range still holds."""
    observer = module.observer
    if not observer.per_channel and type(observer) in (MovingAveragePerTensorMinMaxObserver, MinMaxObserver):
        top = module.scale.detach() * -observer.qmin
        observer.min_val.copy_(torch.where(observer.min_val < -top, -top, observer.min_val))
        observer.max_val.copy_(torch.where(observer.max_val > top, top, observer.max_val))


class CalibFakeQuantize(FakeQuantize):
    """A FakeQuantize that starts by observing only; what calibration qconfigs hold."""

    start = FakeQuantState.CALIBRATION


def set_fake_quantize(model: nn.Module, state: FakeQuantState) -> None:
    """Set what all fake quantization in `model` does; call it after ``model.eval()`` or ``model.train()``.

    Raises
    ------
    QATError
        If `state` is not a FakeQuantState or the model has none.
    """
    if not isinstance(state, FakeQuantState):
        raise QATError(f"the state is a FakeQuantState (CALIBRATION, QAT, VALIDATION, _FLOAT), got {state!r}")
    found = [module for module in model.modules() if isinstance(module, FakeQuantize)]
    if not found:
        raise QATError("this model has no fake quantization; call prepare_qat_fx first")
    for module in found:
        module.set_state(state)
