"""Operators of a converted model, on integers by the emulator's kernels; and the FloatFunctional of float models."""

from __future__ import annotations

from qworkbench.nn import FloatFunctional

__all__ = ["FloatFunctional"]
