"""Modules: ``intrinsic`` (fused, float), ``qat`` (in training), ``quantized`` (on integers)."""

from __future__ import annotations
