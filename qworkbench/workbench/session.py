"""The workbench: the one thing that remembers.

Holds a captured model, the history of configurations, calibration statistics and cached results. Every action of the
magics and the widgets is one call here. Safe to call from several threads: edits and publications take one lock, long
work runs on a snapshot and publishes only if nothing newer has been published.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.workbench.exchanging import Exchanging
from qworkbench.workbench.models import InputShape

if TYPE_CHECKING:
    import torch

    from qworkbench.qat.quantization.qconfig_setter import QconfigSetter
    from qworkbench.workbench.splitting import Split


class Workbench(Exchanging):
    """A model on a march, ready to be edited and rerun in place.

    Parameters
    ----------
    model : torch.nn.Module, str or Path
        A trained model, which is captured in eval mode and left as it was, or the path of an ``.onnx`` file.
    example : tensor, array, tuple or dict
        One sample (or batch) as the model takes it; also what :meth:`run` uses by default. May be left out for an ONNX
        file; the first calibration sample then takes its place.
    calibration : array, tensor or iterable of batches, optional
        Calibrates at once with the `max` method; otherwise call :meth:`calibrate`.
    march : str
        ``"bernoulli2"``, ``"bayes"``, ``"bayes-e"``, ``"nash-e"``, ``"nash-m"``, ``"nash-p"``, ``"nash-h"`` or
        ``"nash-b"``.
    cache_bytes : int
        Bound of the result cache.
    input_shape : sequence of int, or Mapping of str to sequence of int, optional
        Sizes of axes that an ONNX file leaves open, where no example gives them.

    Raises
    ------
    CaptureError
        When the model cannot be turned into a graph; the text holds file, line and the ways out.
    FileFormatError
        When the path leads to no readable ONNX file.
    CalibrationError
        When calibration data does not fit the model.
    UnknownNameError
        For an unknown march.

    Examples
    --------
    >>> wb = Workbench(model, example, calibration=images, march="bayes-e")  # doctest: +SKIP
    >>> wb.edit(SetPlacement("softmax", "bpu"))  # doctest: +SKIP
    >>> wb.run().table  # doctest: +SKIP
    """

    def __init__(
        self,
        model: torch.nn.Module | str | Path,
        example: Any = None,
        *,
        calibration: Any = None,
        march: str | None = None,
        name: str | None = None,
        cache_bytes: int | None = None,
        input_shape: InputShape | None = None,
    ) -> None:
        super().__init__(model, example, march=march, name=name, cache_bytes=cache_bytes, input_shape=input_shape)
        if calibration is not None:
            self.calibrate(calibration)
        elif self._trained is not None:
            self.calibrate(example)  # every trained scale is fixed; only what was left in float reads a threshold

    def split(self, *nodes: str) -> Split:
        """Cut the model behind `nodes` into two workbenches, for deployment in segments; this one stays as it is.

        The second stage is what lies downstream of `nodes`. Every tensor that crosses keeps its dtype and scale on
        both sides, so the stages, chained, give what the whole gives bit for bit.

        Parameters
        ----------
        *nodes : str
            One node, or several (the levels of a pyramid).

        Returns
        -------
        Split
            ``stage1``, ``stage2``, ``boundaries``; ``run(x)`` chains them, ``export(folder)`` writes ONNX and yaml.

        Raises
        ------
        UnknownNameError
            A name that is no node.
        EditError
            Nothing lies behind the cut, it goes through a fused unit, or a crossing tensor has a scale per channel.
        CalibrationError
            Before any calibration.
        """
        from qworkbench.workbench.splitting import split

        return split(self, nodes)

    def qconfig_setter(self, method: str = "jit-strip") -> QconfigSetter:
        """Return dtypes and scales as a ``QconfigSetter`` for ``prepare``: a prepared model that opens with them.

        Parameters
        ----------
        method : "jit-strip" | "jit" | "eager" | "symbolic"
            How the model will be prepared: the names of additions and the like depend on it.

        Raises
        ------
        CalibrationError
            Before any calibration.
        EditError
            A model from a file, or one whose prepared form differs from the graph.
        """
        from qworkbench.workbench.qconfigs import qconfig_setter

        return qconfig_setter(self, method)

    def qconfig_code(self, method: str = "jit-strip") -> str:
        """Return the Python text that makes :meth:`qconfig_setter`, the march included."""
        from qworkbench.workbench.qconfigs import qconfig_code

        return qconfig_code(self, method)

    def save(self, path: str | Path) -> Path:
        """Write edits and thresholds to a ``.qwb.json`` file, checked against the model when it is opened again."""
        from qworkbench.workbench.saved import save

        return save(self, Path(path))

    @classmethod
    def open(
        cls, path: str | Path, model: torch.nn.Module | str | Path, example: Any = None, *, calibration: Any = None
    ) -> Workbench:
        """Rebuild a workbench from a saved file and the same model.

        Parameters
        ----------
        path : str or Path
        model : torch.nn.Module, or str or Path of an ONNX file
        example : optional
            Needed only when the file holds none (inputs above 4 MB).
        calibration : optional
            Replaces the saved thresholds.

        Raises
        ------
        FileFormatError
            A file that is damaged, of another kind or version, or of another model.
        """
        from qworkbench.workbench.opening import open_saved

        return open_saved(cls, Path(path), model, example, calibration)

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML file: picture, reasons, tables, journal, assumptions, environment."""
        from qworkbench.workbench.reporting import write_report

        return write_report(self, Path(path))

    def __repr__(self) -> str:
        placed = self.placement
        return (
            f"<Workbench {self.title}: {len(placed)} nodes, {placed.count('BPU')} on BPU, {placed.count('CPU')} on "
            f"CPU, edits: {len(self.journal)}>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        from qworkbench.widgets import display_bundle

        return display_bundle(self, include=include, exclude=exclude)
