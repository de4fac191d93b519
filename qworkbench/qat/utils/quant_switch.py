"""Switch fake quantization off for a part of a forward pass, to find the part that loses accuracy."""

from __future__ import annotations


class GlobalFakeQuantSwitch:
    """``disable()`` before and ``enable()`` behind a block of ``forward``: what runs between stays in float."""

    _on = [True]  # noqa: RUF012 (one switch for all, as the API has it)

    @classmethod
    def disable(cls) -> None:
        """Values pass every FakeQuantize unchanged from here on."""
        cls._on[0] = False

    @classmethod
    def enable(cls) -> None:
        """Every FakeQuantize does again what its state says."""
        cls._on[0] = True

    @classmethod
    def state(cls) -> bool:
        """Tell whether fake quantization is enabled."""
        return cls._on[0]
