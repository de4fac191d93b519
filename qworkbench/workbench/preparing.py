"""Images as inputs: what is declared about them, and the arrays that a run then takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qworkbench.calibration.preprocess import Preprocess, read_image
from qworkbench.errors import CalibrationError, QWorkbenchError, unknown_name
from qworkbench.placement.types import Placement
from qworkbench.workbench.calibrating import Calibrating
from qworkbench.workbench.edits import SetPreprocess
from qworkbench.workbench.edits.inputs import text_of

Numbers = Sequence[float] | float | None


class Preparing(Calibrating):
    """A workbench that takes images."""

    def declare_input(
        self,
        name: str | None = None,
        *,
        rt: str,
        train: str = "rgb",
        mean: Numbers = None,
        scale: Numbers = None,
        std: Numbers = None,
        layout: str = "NCHW",
        space: str = "regular",
        fit: str = "exact",
    ) -> Placement:
        """Declare how images become the model input `name` (the only one, if left out), as one step.

        Parameters
        ----------
        name : str, optional
        rt, train : str
            ``input_type_rt`` and ``input_type_train`` of a PTQ configuration; rt "auto" clears the declaration.
        mean, scale, std : float or sequence of float, optional
            One number, or one per channel; `std` is written as scale = 1 / std.
        layout, space, fit : str
            See :class:`qworkbench.calibration.preprocess.Preprocess`.

        Raises
        ------
        QWorkbenchError
            Types that do not go together, or that do not fit the input's shape.
        """
        m, s, d = (None if v is None else text_of(tuple(np.atleast_1d(v).tolist())) for v in (mean, scale, std))
        return self.edit(SetPreprocess(self._input(name), rt, train, m, s, d, layout, space, fit))

    def prepare(
        self, image: np.ndarray | str | Path, name: str | None = None, *, integers: bool = False
    ) -> dict[str, np.ndarray]:
        """Return what :meth:`run` takes for one image, through the declared preprocessing.

        Parameters
        ----------
        image : array, or str or Path of an image file
            uint8, (H, W, 3) RGB or (H, W); or the runtime array itself: (H * 3 / 2, W) for nv12.
        name : str, optional
            Of the model input.
        integers : bool
            Return what the preprocess node writes in integers, times its scale: the emulator then reads exactly those
            codes. Needs a calibrated workbench whose input is quantized.

        Returns
        -------
        dict of str to numpy.ndarray
            float32, by input name.

        Raises
        ------
        QWorkbenchError
            No declaration, or an image that does not fit it.
        """
        name = self._input(name)
        declared = self.config.inputs.get(name)
        if declared is None:
            raise CalibrationError(
                f"no preprocessing is declared for input {name!r}; declare it: %qwb input {name} --rt nv12 --train rgb "
                f"--mean ... --scale ..., or wb.declare_input({name!r}, rt='nv12', train='rgb', mean=..., scale=...)"
            )
        pixels = read_image(image) if isinstance(image, (str, Path)) else np.asarray(image)
        size = declared.size_of(self.base_graph.shape(name)) if declared.is_image else (0, 0)
        runtime = pixels if _is_nv12(declared, pixels, size) else declared.runtime(declared.fitted(pixels, size))
        between = declared.intermediate(runtime)
        return {name: self._input_codes(name, declared, between) if integers else declared.floats(between)}

    def _input_codes(self, name: str, declared: Preprocess, intermediate: np.ndarray) -> np.ndarray:
        from qworkbench.emulator.preprocess import preprocess_codes

        plan = self._stages.plan(self.config)
        quantity = next((plan.quantities[k] for k in plan.quantities if k in (f"{name}@int8", f"{name}@int16")), None)
        if quantity is None or quantity.scale.size != 1:
            raise CalibrationError(f"input {name!r} is not quantized as a whole here, so it has no integer form")
        scale = float(quantity.scale[0])
        codes = preprocess_codes(declared, intermediate, scale, quantity.dtype, self.config.arithmetic)
        return (codes.astype(np.float32) * np.float32(scale)).astype(np.float32)

    def _input(self, name: str | None) -> str:
        inputs = self.base_graph.inputs
        if name is None and len(inputs) != 1:
            raise QWorkbenchError(f"the model has the inputs {', '.join(inputs)}; name the one that is meant")
        if name is not None and name not in inputs:
            raise unknown_name("model input", name, inputs)
        return name or inputs[0]


def _is_nv12(declared: Preprocess, pixels: np.ndarray, size: tuple[int, int]) -> bool:
    return declared.rt == "nv12" and pixels.shape == (size[0] * 3 // 2, size[1])
