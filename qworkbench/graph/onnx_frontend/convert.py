"""One node after the other: folded where everything it reads is known, by its handler, or carried as it is.

Conversion never fails on an unknown operator; it fails on a node that nothing can run and something needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qworkbench.errors import FileFormatError, QWorkbenchError
from qworkbench.graph.onnx_frontend.call import Call
from qworkbench.graph.onnx_frontend.handlers import HANDLERS, MICROSOFT
from qworkbench.graph.onnx_frontend.handlers.quantized import folded, symmetric_scales
from qworkbench.graph.onnx_frontend.importer import Importer, ShapeError, UnsupportedError
from qworkbench.graph.onnx_frontend.known import BatchMismatchError, Known, known
from qworkbench.graph.onnx_frontend.order import label, ordered, reads
from qworkbench.graph.onnx_frontend.reference import Evaluators, ReferenceCall
from qworkbench.graph.onnx_frontend.tensors import array_of, widened
from qworkbench.graph.vocabulary import OPS

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

LARGEST_CONSTANT = 2**28
"""Elements that a folded constant may have; shapes in a file are text that anyone may have written."""

_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_CONTROL = frozenset({"If", "Loop", "Scan"})
_SHAPED_BY_DATA = frozenset(
    {"NonZero", "NonMaxSuppression", "Unique", "Compress", "If", "Loop", "Range", "ConstantOfShape", "Expand",
     "Reshape", "Tile", "Slice", "Resize", "Pad", "TopK", "OneHot", "Split", "Upsample", "CenterCropPad"}
)  # fmt: skip


class Converter:
    """Converts the nodes of one file.

    Parameters
    ----------
    importer : Importer
    evaluators : Evaluators
    opsets : Mapping of str to int
        Version per domain.
    """

    def __init__(self, importer: Importer, evaluators: Evaluators, opsets: dict[str, int]) -> None:
        self.importer, self.evaluators, self.opsets = importer, evaluators, opsets

    def run(self, nodes: Sequence[NodeProto]) -> None:
        """Convert `nodes`, which are in an order in which they can run.

        Raises
        ------
        FileFormatError
            A node that holds something else than its operator allows.
        BatchMismatchError
            Something follows the batch in another way than by a factor.
        """
        for node in nodes:
            try:
                self._convert(node)
            except (QWorkbenchError, BatchMismatchError):
                raise
            except Exception as error:
                raise FileFormatError(
                    f"{label(node)} cannot be read ({type(error).__name__}: {error}); the file is damaged"
                ) from error

    def _convert(self, node: NodeProto) -> None:
        if self._fold(node) or self._inline(node):
            return
        importer = self.importer
        sources = [importer.value_of[n] for n in reads(node) if n in importer.value_of]
        integers = any(v in importer.quantized for v in sources)
        why = self._handle(node, dynamic=any(v in importer.dynamic for v in sources))
        if why is None:
            if (
                node.op_type == "QuantizeLinear"
                or node.op_type.startswith(("QLinear", "QGemm"))
                or (integers and node.op_type != "DequantizeLinear")
            ):
                importer.quantized.update(importer.value_of[o] for o in node.output if o in importer.value_of)
            return
        if integers:
            raise FileFormatError(
                f"{label(node)} computes on quantized integers in a way that has no float form here ({why}); "
                "export the model in QDQ format"
            )
        self._carry(node, why)

    # -- known contents
    def _fold(self, node: NodeProto) -> bool:
        """Compute what depends on nothing but constants and shapes."""
        importer = self.importer
        found = self._shape(node) if node.op_type in ("Shape", "Size") else None
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            found = [Known((_constant(node),))]
        if found is None:
            names = reads(node)
            if node.op_type in _RANDOM or not all(n in importer.known for n in names):
                return False
            if not names and node.op_type not in ("Constant", "EyeLike"):
                return False
            found = self._evaluate(node, names)
        if found is None:
            return False
        importer.known.update(zip((o for o in node.output if o), found, strict=False))
        importer.made_by(node)
        if node.op_type == "DequantizeLinear" and all(importer.known[n].fixed for n in reads(node)):
            scales = symmetric_scales([importer.known[n].arrays[0] for n in reads(node)])
            if scales is not None:
                importer.stored[node.output[0]] = scales
        return True

    def _evaluate(self, node: NodeProto, names: Sequence[str]) -> list[Known] | None:
        contents = [self.importer.known[n] for n in names]
        count = 1 if all(c.fixed for c in contents) else len(self.importer.batches)
        rows = []
        for index in range(count):
            arrays = [c.at(index) for c in contents]
            _refuse_huge(node, arrays)
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
                made = folded(node.op_type, arrays, axis)
                if made is not None:
                    rows.append([made])
                    continue
            try:
                rows.append([widened(np.asarray(a)) for a in self.evaluators.run(node, names, arrays)])
            except Exception:  # noqa: BLE001 -- what cannot be folded is converted like any other node
                return None
        if any(a.dtype == object for row in rows for a in row):
            return None
        return [known(column) for column in zip(*rows, strict=True)]

    def _shape(self, node: NodeProto) -> list[Known] | None:
        importer, name = self.importer, node.input[0]
        if name in importer.known:
            sizes: Any = [importer.known[name].at(i).shape for i in range(len(importer.batches))]
        elif importer.value_of[name] in importer.dynamic:
            return None
        else:
            sizes = importer.sizes(importer.value_of[name])
        ends = {a.name: a.i for a in node.attribute}
        if node.op_type == "Size":
            return [known([np.asarray(int(np.prod(s, dtype=np.int64)), np.int64) for s in sizes])]
        return [known([np.asarray(s[ends.get("start", 0) : ends.get("end")], np.int64) for s in sizes])]

    def _inline(self, node: NodeProto) -> bool:
        """Take the branch of an If whose condition is known."""
        importer = self.importer
        if node.op_type != "If" or node.domain not in ("", "ai.onnx") or node.input[0] not in importer.known:
            return False
        condition = importer.known[node.input[0]]
        if not condition.fixed:
            return False
        wanted = "then_branch" if bool(condition.arrays[0].reshape(-1)[0]) else "else_branch"
        branch: GraphProto = next(a.g for a in node.attribute if a.name == wanted)
        outputs = [o.name for o in branch.output]
        importer.known.update({t.name: Known((array_of(t),)) for t in branch.initializer})
        nodes = ordered(branch.node, {*importer.known, *importer.value_of}, outputs)
        importer.names.reserve(nodes)
        importer.read |= {name for n in nodes for name in reads(n)} | set(outputs)
        self.run(nodes)
        for made, name in zip(outputs, node.output, strict=True):
            self._alias(name, made)
        return True

    def _alias(self, name: str, made: str) -> None:
        if made in self.importer.known:
            self.importer.known[name] = self.importer.known[made]
        else:
            self.importer.value_of[name] = self.importer.value_of[made]

    # -- operators
    def _handle(self, node: NodeProto, *, dynamic: bool) -> str | None:
        """Convert by handler; return why that is impossible, None when it is done."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        table = HANDLERS if domain == "" else MICROSOFT if domain == "com.microsoft" else {}
        handler = table.get(node.op_type)
        if handler is None:
            return f"{node.op_type} runs a nested graph" if node.op_type in _CONTROL else "no operator for it"
        if dynamic:
            return "its input has a shape that depends on data"
        importer = self.importer
        mark = importer.mark()
        try:
            made = handler(Call(importer, node, self.opsets.get(domain, self.opsets[""])))
        except (UnsupportedError, ShapeError) as reason:
            importer.rewind(mark)
            return str(reason)
        except (
            LookupError,
            TypeError,
            ValueError,
            AssertionError,
        ) as error:  # an attribute is missing or of another kind
            importer.rewind(mark)
            return f"not in a form that its operator allows: {type(error).__name__}: {error}"
        self._bind(node, (made,) if isinstance(made, str) else made)
        return None

    def _bind(self, node: NodeProto, made: Sequence[str]) -> None:
        importer = self.importer
        for name, value in zip(node.output, made, strict=False):
            if name:
                importer.value_of[name] = value
                importer.tensor_names.setdefault(value, name)

    def _carry(self, node: NodeProto, why: str) -> None:
        """Keep the node as it is, run by the reference evaluator of the onnx package."""
        importer, names = self.importer, tuple(reads(node))
        outputs = [o for o in node.output if o]
        sources = [importer.value(name) for name in names]
        standard = node.domain in ("", "ai.onnx") and node.op_type not in OPS and node.op_type not in _CONTROL
        shaped = node.op_type in _SHAPED_BY_DATA or any(v in importer.dynamic for v in sources)
        call = Call(importer, node, self.opsets[""])
        run = ReferenceCall(self.evaluators, node, names, label(node))
        try:
            made = call.emit_many(
                node.op_type if standard else "Opaque", sources, {"why": why}, len(outputs), call=run, dynamic=shaped
            )
        except ShapeError as reason:
            if len(importer.batches) > 1:
                raise BatchMismatchError(str(reason)) from reason
            domain = f" of domain {node.domain!r}" if node.domain else ""
            raise FileFormatError(
                f"{label(node)}{domain} cannot be read ({why}) and cannot be run: {reason}; cut the model in front of "
                "it, or export it with standard operators"
            ) from reason
        importer.value_of.update(zip(outputs, made, strict=True))
        importer.tensor_names.update(zip(made, outputs, strict=True))


def _constant(node: NodeProto) -> np.ndarray:
    from onnx import helper

    attribute = node.attribute[0] if node.attribute else None
    if attribute is None or attribute.name in ("sparse_value", "value_string", "value_strings"):
        raise FileFormatError(
            f"{label(node)} holds text or a sparse tensor, which has no use here; cut it off the model"
        )
    if attribute.name == "value":
        return array_of(attribute.t)
    kind = np.float32 if "float" in attribute.name else np.int64
    return np.asarray(helper.get_attribute_value(attribute), kind)


def _refuse_huge(node: NodeProto, arrays: Sequence[np.ndarray]) -> None:
    """Refuse to fold a constant that would not fit into memory."""
    count = 0.0
    if node.op_type == "ConstantOfShape" and arrays:
        count = float(np.prod(arrays[0].astype(np.float64)))
    elif node.op_type in ("Expand", "Tile") and len(arrays) > 1:
        factor = float(np.prod(np.maximum(arrays[1].astype(np.float64), 1)))
        count = factor * (arrays[0].size if node.op_type == "Tile" else 1)
    elif node.op_type == "Range" and len(arrays) == 3 and float(arrays[2].reshape(-1)[0]) != 0:
        first, last, step = (float(a.reshape(-1)[0]) for a in arrays)
        count = (last - first) / step
    if count > LARGEST_CONSTANT:
        raise FileFormatError(f"{label(node)} makes a constant of {count:.3g} elements; the file is damaged")
