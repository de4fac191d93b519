"""The mark of this package's own modules: fx takes each as one node."""

from __future__ import annotations

from typing import Any


class OwnModule:
    """Mixed into every fused, QAT and quantized module."""


class TakesAdd:
    """A convolution with an add fused behind it, where it stands in the place of the FloatFunctional.

    Attributes
    ----------
    swapped : bool
        The convolution makes the second operand of the add.
    """

    swapped = False

    def add(self, x: Any, y: Any) -> Any:
        """Return ``self(x, y)``, the operands being those of the add with the convolution's input in its place."""
        own: Any = self
        return own(y, x) if self.swapped else own(x, y)
