"""Codes with their scale, as they flow through a converted model.

A tensor subclass, so that code between the modules (``x.reshape``, ``torch.flatten``, ``F.max_pool2d``) works on the
codes where the scale is kept. Any other torch function is what the hardware leaves to the CPU: it gets the dequantized
numbers and answers in float.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qworkbench.qat import codes as code_ops


class QTensor(Tensor):
    """int8, int16 or int32 codes with the scale of one code.

    Use :meth:`make` to build one; the number that a code stands for is ``code * scale``.
    """

    _scale: Tensor
    _axis: int

    @staticmethod
    def make(codes: Tensor, scale: Tensor, axis: int = 1) -> QTensor:
        """Return `codes` (int8, int16, int32) with `scale`: float32, (1,), or (channels,) along `axis`."""
        made = codes.as_subclass(QTensor)
        made._scale = scale
        made._axis = axis
        return made

    def int_repr(self) -> Tensor:
        """Return the codes as a plain tensor."""
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor)

    def q_scale(self) -> Tensor:  # type: ignore[override]
        """Return the scale, float32, (1,) or (channels,)."""
        return self._scale

    def q_per_channel_axis(self) -> int:
        """Return the axis of a per-channel scale."""
        return self._axis

    def dequantize(self) -> Tensor:
        """Return ``codes * scale``, float32."""
        codes, scale = self.int_repr(), self._scale
        if scale.numel() > 1:
            shape = [1] * codes.ndim
            shape[self._axis] = -1
            scale = scale.reshape(shape)
        return codes.to(torch.float32) * scale

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"QTensor({self.int_repr()!r}, scale={self._scale.tolist()})"

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Move codes, run the integer form of `func`, or hand the dequantized numbers to it.

        What it calls is hidden from function modes: they have seen the call of the user's code already.
        """
        name = getattr(func, "__name__", "")
        kwargs = kwargs or {}
        if name == "__get__" or name in code_ops.ABOUT:
            with torch._C.DisableTorchFunction():
                return func(*args, **kwargs)
        source = next((a for a in args if isinstance(a, QTensor)), None)
        if source is not None and source._scale.numel() == 1 and args[0] is source:
            if name in code_ops.MOVES:
                with torch._C.DisableTorchFunction():
                    return _again(func(*_plain(args), **_plain(kwargs)), source)
            if name in code_ops.KEEP_SCALE:
                found = code_ops.KEEP_SCALE[name](source.int_repr(), float(source._scale), *args[1:], **kwargs)
                if found is not None:
                    return _again(found, source)
        with torch._C.DisableTorchFunction():
            return func(*_real(args), **_real(kwargs))


def _again(result: Any, source: QTensor) -> Any:
    if isinstance(result, Tensor):
        return QTensor.make(result, source._scale.to(result.device), source._axis)
    return type(result)(_again(part, source) for part in result)


def _each(value: Any, change: Callable[[QTensor], Tensor]) -> Any:
    if isinstance(value, QTensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(_each(part, change) for part in value)
    if isinstance(value, dict):
        return {key: _each(part, change) for key, part in value.items()}
    return value


def _plain(value: Any) -> Any:
    return _each(value, QTensor.int_repr)


def _real(value: Any) -> Any:
    return _each(value, QTensor.dequantize)
