"""Torch calls that the graph carries as they were made, as the ONNX operators that torch's own exporter has.

One call is exported alone, and its few operators are taken over under the name of the node. What torch computes is
known here; code of the user's own (a wrapped region) is not, since a trace would freeze what depends on its data.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import torch

from qworkbench.errors import FileFormatError
from qworkbench.graph.node import Node, Sym
from qworkbench.graph.replay import ModuleCall, Replay
from qworkbench.toolchain.onnx_writer import Writer

if TYPE_CHECKING:
    from onnx import ModelProto


class _Call(torch.nn.Module):
    def __init__(self, call: Replay) -> None:
        super().__init__()
        self.call = call
        if isinstance(call.func, ModuleCall):
            self.module = call.func.module  # its weights then become initializers

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.call(*tensors)


_OF_TORCH = ("torch.", "F.", "Tensor.", "operator.", "nn.")


def is_torch_call(node: Node) -> bool:
    """Tell whether `node` repeats a function or module of torch itself."""
    return isinstance(node.call, Replay) and node.source_op.startswith(_OF_TORCH)


def write_traced(w: Writer, node: Node) -> None:
    """Write the operators of a torch call.

    Raises
    ------
    FileFormatError
        Where torch's exporter has no operators for the call at this opset, or the call depends on the batch or on data.
    """
    call = node.call
    assert isinstance(call, Replay)
    if any(isinstance(dim, Sym) for dim in _flat((call.args, call.kwargs))):
        raise FileFormatError(f"{node.name!r} ({node.source_op}) depends on the batch; export it at one batch size")
    names = [value for value in node.inputs if value is not None]
    inner = _exported(w, node, names, call).graph
    unknown = next((op for op in inner.node if op.domain), None)
    if unknown is not None:
        raise _no_form(w, node, f"torch exports {unknown.op_type} only to a newer one, or not at all")
    if any(attribute.HasField("g") or attribute.graphs for op in inner.node for attribute in op.attribute):
        raise _no_form(w, node, "it branches on data")
    shown = {entry.name: w.read(value) for entry, value in zip(inner.input, names, strict=False)}
    shown |= {entry.name: w.made(value) for entry, value in zip(inner.output, node.outputs, strict=True)}
    made = {name for op in inner.node for name in op.output}
    for weight in inner.initializer:
        shown[weight.name] = w.fresh(f"{node.name}/{weight.name.strip('/')}")
        weight_name, weight.name = weight.name, shown[weight.name]
        w.initializers[shown[weight_name]] = weight
    for op in inner.node:
        first = inner.output[0].name in op.output
        op.name = node.name if first else w.fresh(f"{node.name}/{op.op_type}")
        for name in op.output:
            shown.setdefault(name, w.fresh(f"{node.name}/{name.strip('/')}"))
        op.input[:] = [shown[name] if name else "" for name in op.input]
        op.output[:] = [shown[name] for name in op.output]
        w.nodes.append(op)
    for entry, value in zip(inner.output, node.outputs, strict=True):
        if entry.name not in made:
            raise _no_form(w, node, f"{value!r} is one of its inputs")


def _exported(w: Writer, node: Node, names: list[str], call: Replay) -> ModelProto:
    import onnx

    tensors = tuple(_like(w, value) for value in names)
    following = {
        f"i{k}": {axis: f"d{k}_{axis}" for axis, dim in enumerate(w.graph.values[v].shape) if isinstance(dim, Sym)}
        for k, v in enumerate(names)
    }
    target = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Call(call),
                tensors,
                target,  # type: ignore[arg-type]  # any writable stream is taken
                opset_version=w.opset,
                dynamo=False,
                # an operator that is missing is then left in the file, where it can be named, and not printed
                operator_export_type=torch.onnx.OperatorExportTypes.ONNX_FALLTHROUGH,
                input_names=[f"i{k}" for k in range(len(names))],
                dynamic_axes={name: axes for name, axes in following.items() if axes},
            )
    except Exception as error:  # noqa: BLE001 (the exporter raises whatever its operators raise)
        first = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise _no_form(w, node, first[:160] or type(error).__name__) from None
    return onnx.load_from_string(target.getvalue())


def _like(w: Writer, value: str) -> torch.Tensor:
    if not w.graph.is_activation(value):
        return w.graph.tensor(value).detach()
    dtype = getattr(torch, w.graph.values[value].dtype)
    return torch.ones(w.graph.shape(value), dtype=dtype)


def _no_form(w: Writer, node: Node, why: str) -> FileFormatError:
    return FileFormatError(
        f"{node.name!r} ({node.source_op}) has no ONNX form at opset {w.opset}: {why}; end the model in front of it"
    )


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return _flat(tuple(value.values()))
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in _flat(item)]
    return [value.start, value.stop, value.step] if isinstance(value, slice) else [value]
