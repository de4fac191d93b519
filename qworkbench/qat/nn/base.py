"""The mark of this package's own modules: fx takes each as one node."""

from __future__ import annotations


class OwnModule:
    """Mixed into every fused, QAT and quantized module."""
