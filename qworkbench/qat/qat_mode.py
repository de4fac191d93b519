"""What happens to batch normalisation when a model is fused: absorbed at once, or trained along and absorbed later."""

from __future__ import annotations

from enum import StrEnum

from qworkbench.errors import unknown_name


class QATMode(StrEnum):
    """``FuseBN``: absorbed into the convolution by fusion. ``WithBN``: kept until convert, for freeze-BN training."""

    FuseBN = "fuse_bn"
    WithBN = "with_bn"


_mode = [QATMode.FuseBN]


def set_qat_mode(mode: QATMode | str) -> None:
    """Set how the following fuse and prepare calls treat batch normalisation.

    Raises
    ------
    UnknownNameError
        With the known modes.
    """
    known = {m.value: m for m in QATMode} | {m.name: m for m in QATMode}
    name = mode.value if isinstance(mode, QATMode) else str(mode)
    if name not in known:
        raise unknown_name("QAT mode", name, known)
    _mode[0] = known[name]


def get_qat_mode() -> QATMode:
    """Return the current mode; ``QATMode.FuseBN`` unless it was set."""
    return _mode[0]
