"""Running single ONNX nodes with the evaluator of the onnx package, on numpy arrays.

Folds constants at import, and at run time carries the operators that have no float kernel here. Slow and complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qworkbench.errors import QWorkbenchError
from qworkbench.graph.onnx_frontend.tensors import as_array, as_tensor, widened

if TYPE_CHECKING:
    from onnx import NodeProto


class Evaluators:
    """Evaluators of single nodes, shared by nodes that differ only in names."""

    def __init__(self, opsets: Mapping[str, int], ir_version: int) -> None:
        self.opsets, self._ir = dict(opsets), ir_version
        self._held: dict[Any, Any] = {}

    def run(self, node: NodeProto, names: Sequence[str], arrays: Sequence[np.ndarray]) -> list[Any]:
        """Return the outputs of `node`; `names` are all tensors that it reads, `arrays` their contents.

        Raises
        ------
        Exception
            Whatever the evaluator raises: an operator it does not have, shapes that do not fit.
        """
        key = self._key(node, names, arrays)
        evaluator = self._held.get(key)
        if evaluator is None:
            evaluator = self._held[key] = self._build(node, names, arrays)
        return list(evaluator.run(None, {f"in{i}": array for i, array in enumerate(arrays)}))

    def _key(self, node: NodeProto, names: Sequence[str], arrays: Sequence[np.ndarray]) -> Any:
        attributes = tuple(a.SerializeToString(deterministic=True) for a in node.attribute)
        nested = tuple(names) if any(a.HasField("g") or a.graphs for a in node.attribute) else ()
        slots = tuple(names.index(n) if n else -1 for n in node.input)
        made = tuple(bool(o) for o in node.output)
        return node.domain, node.op_type, attributes, slots, made, nested, tuple(a.dtype.str for a in arrays)

    def _build(self, node: NodeProto, names: Sequence[str], arrays: Sequence[np.ndarray]) -> Any:
        from onnx import ValueInfoProto, helper
        from onnx.reference import ReferenceEvaluator

        infos = [
            helper.make_tensor_value_info(f"in{i}", helper.np_dtype_to_tensor_dtype(a.dtype), None)
            for i, a in enumerate(arrays)
        ]
        nested = any(a.HasField("g") or a.graphs for a in node.attribute)
        copy = type(node)()
        copy.CopyFrom(node)
        outputs = [name for name in node.output if name]
        renamed: list[Any] = []
        if nested:  # bodies read outer tensors by their own names
            renamed = [helper.make_node("Identity", [f"in{i}"], [name]) for i, name in enumerate(names)]
            if (
                node.op_type == "Loop" and not node.input[1]
            ):  # an absent condition means true, the evaluator stops at it
                renamed.append(helper.make_node("Constant", [], ["always"], value=helper.make_tensor("t", 9, [], [1])))
                copy.input[1] = "always"
        else:
            copy.input[:] = [f"in{names.index(n)}" if n else "" for n in node.input]
        graph = helper.make_graph([*renamed, copy], "node", infos, [ValueInfoProto(name=name) for name in outputs])
        imports = [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        return ReferenceEvaluator(helper.make_model(graph, opset_imports=imports, ir_version=self._ir))


@dataclass(frozen=True, eq=False)
class ReferenceCall:
    """Runs one ONNX node on tensors: the content of ``Node.call`` for operators without a kernel.

    Attributes
    ----------
    evaluators : Evaluators
    node : NodeProto
    names : tuple of str
        The tensors that it reads, in the order in which they are passed.
    label : str
        How errors name it.
    """

    evaluators: Evaluators = field(repr=False)
    node: NodeProto = field(repr=False)
    names: tuple[str, ...]
    label: str

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the node.

        Raises
        ------
        QWorkbenchError
            When the evaluator cannot; the text holds its reason.
        """
        try:
            made = self.evaluators.run(self.node, self.names, [as_array(t) for t in tensors])
        except Exception as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise QWorkbenchError(f"{self.label} cannot be run by onnx.reference: {line}") from error
        if not all(isinstance(widened(np.asarray(m)), np.ndarray) and np.asarray(m).dtype != object for m in made):
            raise QWorkbenchError(f"{self.label} returns a sequence, which is no tensor; cut it off the model")
        return tuple(as_tensor(m) for m in made)
