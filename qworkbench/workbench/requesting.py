"""What the user asked for beside what takes effect: placement, dtypes, batch, order of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qworkbench.graph.batching import check_calibration_shapes, input_shapes
from qworkbench.graph.input_order import by_name, input_orders
from qworkbench.placement.types import DtypeRequest, Placement
from qworkbench.workbench.editing import Editing

if TYPE_CHECKING:
    import pandas as pd


class Requesting(Editing):
    """A workbench that tells requested from effective."""

    def node_info(self, info: str | Mapping[str, Mapping[str, str]]) -> Placement:
        """Apply ``node_info`` of the PTQ configuration, in either of its forms, as one step.

        Parameters
        ----------
        info : str or Mapping
            ``"conv1:int16;conv2:int16"``, or ``{"softmax": {"ON": "BPU", "InputType": "int16"}}``.

        Raises
        ------
        QWorkbenchError
            A value of neither form, an unknown node, key or dtype. A request that cannot be followed is a note of the
            placement, not an error.
        """
        from qworkbench.workbench.node_info import node_info_edits

        return self.edit(*node_info_edits(info))

    def requests(self) -> pd.DataFrame:
        """Return one row per node that carries a wish: what was asked, what takes effect, and why it differs.

        Columns
        -------
        on, input, weight, output
            As asked; empty where nothing was.
        effective_on, effective_input, effective_weight, effective_output
        followed : bool
        why
            The refusal, or the note of the placement; empty where the wish is followed.
        """
        import pandas as pd

        config, placement = self.config, self.placement
        rows = []
        for name in (n for n in placement if n in config.on or n in config.dtypes):
            placed, wish = placement[name], config.dtypes.get(name, DtypeRequest())
            on = config.on.get(name, "")
            asked_input = ", ".join([*([wish.input] if wish.input else []), *(f"{s}: {d}" for s, d in wish.slots)])
            moved = not on or placed.on == on.upper()
            rows.append(
                {
                    "node": name,
                    "on": on,
                    "input": asked_input,
                    "weight": wish.weight or "",
                    "output": wish.output or "",
                    "effective_on": placed.on,
                    "effective_input": placed.input_dtype,
                    "effective_weight": placed.weight_dtype,
                    "effective_output": placed.dtype,
                    "followed": moved and not placed.notes,
                    "why": "; ".join([*([] if moved else [placed.reason.sentence]), *placed.notes]),
                }
            )
        columns = ["on", "input", "weight", "output"]
        columns = ["node", *columns, *(f"effective_{column}" for column in columns), "followed", "why"]
        return pd.DataFrame(rows, columns=columns).set_index("node")

    @property
    def input_orders(self) -> dict[str, tuple[str, ...]]:
        """Order of the inputs in the original, the quantized and the compiled model.

        The vendor's tools may change it; what they chose is noted with ``SetInputOrder`` and is the original one until
        then.
        """
        return input_orders(self.graph, self.config.input_orders)

    def named_inputs(self, tensors: Sequence[Any], order: str = "original") -> dict[str, Any]:
        """Return `tensors`, given in the order of a stage, by name: what :meth:`run` and the data checks take.

        Raises
        ------
        UnknownNameError
            For a stage other than original, quantized and compiled.
        CalibrationError
            Another number of tensors than inputs.
        """
        from qworkbench.errors import unknown_name

        orders = self.input_orders
        if order not in orders:
            raise unknown_name("input order", order, orders)
        return by_name(orders[order], tensors)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """``input_shape`` of the PTQ configuration by input name, which each sample of calibration data must have."""
        return input_shapes(self.graph, self.config.batching)

    def check_calibration_shapes(self, sample: Any) -> None:
        """Raise unless `sample` has the shape that the vendor's tool wants of each file of calibration data.

        The workbench itself calibrates on batches of any size; the tool does not.

        Raises
        ------
        CalibrationShapeError
            With the shape that is wanted.
        CalibrationError
            A sample that does not fit the model at all.
        """
        from qworkbench.graph.feeds import feeds_of

        found = {name: tuple(tensor.shape) for name, tensor in feeds_of(self.base_graph, sample).items()}
        check_calibration_shapes(self.graph, self.config.batching, found, where="this sample")
