"""The forms of a value in a plan: float, float16, codes, requantized codes; each made when somebody first needs it.

Canonical values only. Adds Quantize, Dequantize and Requantize steps; which operator needs which form is unknown here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qworkbench.emulator.fingerprint import Plain, Uncounted, brief, digest
from qworkbench.emulator.memo import PlanMemo, Written
from qworkbench.emulator.plan import Quantity, Step
from qworkbench.emulator.scales import Scales, Thresholds
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Node
from qworkbench.numerics.arithmetic import Arithmetic
from qworkbench.numerics.weights import constant_codes
from qworkbench.placement.types import Placement, Unit


class Forms(Scales):
    """The steps so far, and under which keys each value is there as floats, as float16 and as codes."""

    def __init__(
        self, graph: Graph, placement: Placement, thresholds: Thresholds, arithmetic: Arithmetic, memo: PlanMemo
    ) -> None:
        super().__init__(graph, placement, thresholds, arithmetic, memo)
        self.steps: list[Step] = []
        self.quantities: Written[Quantity] = Written()
        self.weights: Written[Quantity] = Written()
        self._floats: Written[str] = Written({name: name for name in graph.inputs})
        self._codes: Written[str] = Written()
        self._halves: Written[str] = Written()
        self._rescaled: Written[tuple[str, ...]] = Written()
        self._results: dict[str, str] = {}

    # -- steps
    def add(
        self,
        name: str,
        unit: str,
        kind: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        given: tuple[Plain, ...] | None = None,
        **params: Any,
    ) -> str:
        """Append a step and return its first output key; `given`: what all `params` follow from, where short."""
        counted = digest(kind, params) if given is None else brief(kind, *given)
        self.steps.append(Step(name, unit, kind, inputs, outputs, params, counted))
        return outputs[0]

    # -- forms of a value
    def codes(self, value: str) -> tuple[str, Quantity]:
        """Return key and quantity of the codes of canonical `value`, quantizing it here if it is float so far."""
        if value in self._codes:
            key = self._codes[value]
            return key, self.quantities[key]
        quantity = self.quantity(value)
        key = f"{value}@{quantity.dtype}"
        self.add(
            f"{value}.quantize",
            value,
            "quantize",
            (self._floats[value],),
            (key,),
            scale=quantity.scale,
            dtype=quantity.dtype,
            rounding=self.arithmetic.rounding,
            margin=self._margin(value),
        )
        return self.set_codes(value, key, quantity)

    def _margin(self, value: str) -> int | None:
        """Return how far beyond the edges convolutions read `value`; None where none reads it."""
        readers = [node.attrs for node, slot in self.graph.users(value) if node.op == "Conv" and slot == 0]
        planar = [attrs["pads"] for attrs in readers if len(attrs["kernel_shape"]) == 2]
        return max((max(pads) for pads in planar), default=None)

    def codes_for(self, value: str, unit: Unit) -> tuple[str, Quantity]:
        """Return the codes of `value` as `unit` needs them: requantized where its scale group differs."""
        key, quantity = self.codes(value)
        index = self.placement.requantized.get((value, unit.name))
        if index is None:
            return key, quantity
        target = self.group_quantity(index)
        if target.dtype == quantity.dtype and np.array_equal(target.scale, quantity.scale):
            return key, quantity
        return self.rescaled(f"{value}.requantize", unit.name, key, quantity, target)

    def rescaled(self, name: str, unit: str, key: str, source: Quantity, target: Quantity) -> tuple[str, Quantity]:
        """Append a requantize from `source` to `target`; shared by everyone who asks for the same one."""
        out = f"{key}>{target.dtype}:{float(target.single):.9g}"
        if out not in self.quantities:
            rescale = self.requantize_to(self.ratio(source, target), target)
            self.add(name, unit, "requantize", (key,), (out,), requantize=rescale)
            self.quantities[out] = target
            self._rescaled[key] = (*self._rescaled.get(key, ()), out)
        return out, self.quantities[out]

    def set_codes(self, value: str, key: str, quantity: Quantity) -> tuple[str, Quantity]:
        """Declare `key` to hold the codes of canonical `value`."""
        self._codes[value] = key
        self.quantities[key] = quantity
        return key, quantity

    def real(self, value: str) -> str:
        """Return the key of the float form of canonical `value`, dequantizing it here if it is codes so far."""
        if value not in self._floats and not self.graph.is_activation(value):
            array = np.array(self.graph.tensor(value).detach().numpy())
            self._floats[value] = self.add(f"{value}.constant", value, "constant", (), (value,), codes=array)
        if value not in self._floats:
            key = self._codes[value]
            quantity = self.quantities[key]
            self._floats[value] = self.add(
                f"{value}.dequantize", value, "dequantize", (key,), (value,), scale=quantity.scale, axis=quantity.axis
            )
        return self._floats[value]

    def set_real(self, value: str, key: str, *, half: bool = False) -> None:
        """Declare `key` to hold the float (or index) form of canonical `value`; `half`: rounded to float16 already."""
        self._floats[value] = key
        if half:
            self._halves[value] = key

    def half(self, value: str) -> str:
        """Return the key of canonical `value` rounded to float16, rounding it here if nobody has yet."""
        if value not in self._halves:
            key = f"{value}@float16"
            self._halves[value] = self.add(f"{value}.half", value, "half", (self.real(value),), (key,))
        return self._halves[value]

    # -- constants
    def constant_codes(self, name: str, unit: Unit, dtype: str, target: Quantity | None = None) -> tuple[str, Quantity]:
        """Return the codes of a constant operand: at its own max scale, or at `target`'s."""
        array = self.graph.tensor(name).detach().numpy().astype(np.float32)
        given = (dtype, None) if target is None else (target.dtype, target.single)
        codes, scale = constant_codes(array, *given)
        if target is None:
            target = Quantity(dtype, np.asarray([scale], np.float32))
        key = f"{name}@{unit.name}"
        self.add(f"{unit.name}.constant", unit.name, "constant", (), (key,), codes=codes)
        self.quantities[key] = target
        return key, target

    def torch_step(
        self,
        name: str,
        unit: str,
        node: Node,
        inputs: Mapping[int, str],
        outputs: tuple[str, ...],
        *,
        half: bool = False,
    ) -> tuple[str, ...]:
        """Append a step that runs `node` by its torch kernel; `inputs` maps slots to keys, the rest are constants.

        With `half`, constants and outputs are rounded to float16.
        """
        from qworkbench.emulator.node_call import WIRED, NodeCall

        operands: list[Any] = []
        digests: list[bytes] = []
        for slot, value in enumerate(node.inputs):
            if slot in inputs or value is None:
                operands.append(WIRED if slot in inputs else None)
            else:
                tensor = self.graph.tensor(value)
                fixed = tensor.detach()
                operands.append(fixed.half().to(fixed.dtype) if half and fixed.is_floating_point() else fixed)
                digests.append(self.memo.tensor_digest(tensor))
        content = digest(node.op, node.attrs, node.call, [o is None for o in operands], digests)
        self.add(
            name,
            unit,
            "torch",
            tuple(inputs[slot] for slot in sorted(inputs)),
            outputs,
            content=content,
            half=half,
            call=Uncounted(NodeCall(node, operands, half=half)),
        )
        return outputs
