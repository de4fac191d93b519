"""Files that a workbench exchanges with the toolchain: ONNX, PTQ yaml, ``quant_config``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qworkbench.workbench.telling import Telling

if TYPE_CHECKING:
    from qworkbench.toolchain.quant_config import QuantConfig


class Exchanging(Telling):
    """A workbench that writes files for the toolchain, and takes over what they say."""

    def to_onnx(self, path: str | Path, *, opset: int = 11) -> Path:
        """Write the float model as it is edited now, unit convs included, as ONNX with the same node names.

        Parameters
        ----------
        path : str or Path
        opset : int
            11 by default, the newest that every converter of these marches reads.

        Raises
        ------
        FileFormatError
            An operator that ONNX has no form for, or a path that cannot be written.
        """
        from qworkbench.toolchain.onnx_export import to_onnx

        return to_onnx(self.graph, path, opset=opset)

    def export_yaml(self, path: str | Path) -> list[str]:
        """Write the state as a PTQ configuration; a file that is there is changed key by key and keeps its comments.

        Returns
        -------
        list of str
            One line per setting for which the file has no key.

        Raises
        ------
        FileFormatError
            When what is there is no PTQ configuration, or the path cannot be written.
        """
        from qworkbench.toolchain.ptq_yaml import PtqYaml
        from qworkbench.workbench.edits import SetCalibration
        from qworkbench.workbench.ptq_writing import writing

        base = PtqYaml.read(path) if Path(path).exists() else None
        chosen = any(isinstance(edit, SetCalibration) for entry in self._history.done for edit in entry.edits)
        document, lost = writing(self.config, self.graph, base, chosen=chosen)
        document.write(path)
        return lost

    def apply_yaml(self, path: str | Path) -> list[str]:
        """Take march, placement, dtypes and calibration of a PTQ configuration over, as one step.

        Where the file leaves the method to a search, the search runs as a second step if there is data to search on.

        Returns
        -------
        list of str
            One line per key without effect.

        Raises
        ------
        QWorkbenchError
            A file that cannot be read, a value outside its allowed set, a node that the model does not have.
        """
        from qworkbench.toolchain.ptq_yaml import PtqYaml
        from qworkbench.toolchain.quant_config import QuantConfig
        from qworkbench.workbench.ptq_reading import reading

        document = PtqYaml.read(path)
        found = reading(document, self.config, self.graph)
        if found.edits:
            self.edit(*found.edits)
        inner = document.get("quant_config")
        if isinstance(inner, Mapping):
            found.remarks += self._apply_quant(QuantConfig(json.dumps(inner)))
        elif inner:
            found.remarks.append(f"quant_config {inner}: a file of its own is opened by itself, %qwb open FILE.json")
        if found.search is not None and self.statistics is not None and self.statistics.sketches:
            self.calibrate(method=found.search)
        elif found.search is not None:
            way = f"%qwb calibrate DATA --method {found.search}"
            found.remarks.append(f"calibration_type {found.search}: {way} searches as the tool will")
        return found.remarks

    def export_quant_config(self, path: str | Path) -> list[str]:
        """Write placement, dtypes and calibration as a ``quant_config``; other keys of a file that is there stay.

        Returns
        -------
        list of str
            One line per setting for which the file has no key.

        Raises
        ------
        FileFormatError
            When what is there is no quant_config, or the path cannot be written.
        """
        from qworkbench.toolchain.quant_config import QuantConfig
        from qworkbench.workbench.quant import writing

        base = QuantConfig.read(path) if Path(path).exists() else None
        document, lost = writing(self.config, base)
        document.write(path)
        return lost

    def apply_quant_config(self, path: str | Path) -> list[str]:
        """Take placement, dtypes and calibration of a ``quant_config`` over, as one step.

        Where the file lists several methods, each is tried as a second step if there is data to try them on.

        Returns
        -------
        list of str
            One line per key without effect.

        Raises
        ------
        QWorkbenchError
            A file that cannot be read, a value outside its allowed set, a node that the model does not have.
        """
        from qworkbench.toolchain.quant_config import QuantConfig

        return self._apply_quant(QuantConfig.read(path))

    def _apply_quant(self, document: QuantConfig) -> list[str]:
        from qworkbench.workbench.quant import reading

        found = reading(document, self.config, self.graph, self.placement)
        if found.edits:
            self.edit(*found.edits)
        if found.methods and self.statistics is not None and self.statistics.sketches:
            self.calibrate_among(found.methods)
        elif found.methods:
            found.remarks.append("model_config.activation lists methods: calibrate with data, then open it again")
        return found.remarks
