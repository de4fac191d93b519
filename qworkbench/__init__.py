"""qworkbench: see where each op of a model runs on the BPU and why, change it, and watch the integers move.

The public names load on first use, so that ``%load_ext qworkbench`` imports neither torch nor numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Workbench": "qworkbench.workbench.session",
    "Run": "qworkbench.workbench.run",
    "Config": "qworkbench.workbench.config",
    "capture": "qworkbench.graph.torch_frontend",
    "wrap": "qworkbench.graph.wrap",
    "normalised_range": "qworkbench.analysis.ranges",
    "Preprocess": "qworkbench.calibration.preprocess",
    "QWorkbenchError": "qworkbench.errors",
    **dict.fromkeys(
        (
            "SetPlacement",
            "InsertUnitConv",
            "RemoveUnitConv",
            "FixScale",
            "ClearScale",
            "SetDtype",
            "SetMarch",
            "SetCalibration",
            "SetNodeCalibration",
            "SetArithmetic",
            "SetSharing",
            "SplitModule",
            "SetAssumption",
            "SetBatch",
            "SetInputDtype",
            "SetInputOrder",
            "SetPreprocess",
            "edit_from_dict",
        ),
        "qworkbench.workbench.edits",
    ),
}

__all__ = [*_HOME, "load_ipython_extension", "unload_ipython_extension"]  # noqa: PLE0604 (names come from the table)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qworkbench' has no attribute {name!r}")
    found = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})


def load_ipython_extension(shell: Any) -> None:
    """Add ``%qwb``, ``%%qwb`` and their completion to `shell`; loading twice is harmless."""
    from qworkbench.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Remove exactly what :func:`load_ipython_extension` added."""
    from qworkbench.magics import unload

    unload(shell)


if TYPE_CHECKING:
    from qworkbench.analysis.ranges import normalised_range as normalised_range
    from qworkbench.calibration.preprocess import Preprocess as Preprocess
    from qworkbench.errors import QWorkbenchError as QWorkbenchError
    from qworkbench.graph.torch_frontend import capture as capture
    from qworkbench.graph.wrap import wrap as wrap
    from qworkbench.workbench.config import Config as Config
    from qworkbench.workbench.edits import ClearScale as ClearScale
    from qworkbench.workbench.edits import FixScale as FixScale
    from qworkbench.workbench.edits import InsertUnitConv as InsertUnitConv
    from qworkbench.workbench.edits import RemoveUnitConv as RemoveUnitConv
    from qworkbench.workbench.edits import SetArithmetic as SetArithmetic
    from qworkbench.workbench.edits import SetAssumption as SetAssumption
    from qworkbench.workbench.edits import SetBatch as SetBatch
    from qworkbench.workbench.edits import SetCalibration as SetCalibration
    from qworkbench.workbench.edits import SetDtype as SetDtype
    from qworkbench.workbench.edits import SetInputDtype as SetInputDtype
    from qworkbench.workbench.edits import SetInputOrder as SetInputOrder
    from qworkbench.workbench.edits import SetMarch as SetMarch
    from qworkbench.workbench.edits import SetNodeCalibration as SetNodeCalibration
    from qworkbench.workbench.edits import SetPlacement as SetPlacement
    from qworkbench.workbench.edits import SetPreprocess as SetPreprocess
    from qworkbench.workbench.edits import SetSharing as SetSharing
    from qworkbench.workbench.edits import SplitModule as SplitModule
    from qworkbench.workbench.edits import edit_from_dict as edit_from_dict
    from qworkbench.workbench.run import Run as Run
    from qworkbench.workbench.session import Workbench as Workbench
