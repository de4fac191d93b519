"""The rules of a multi-batch model: ``input_shape``, ``input_batch``, dynamic inputs and the shape of calibration data.

Source: the PTQ FAQ ("How to compile to get a multi-batch model?"). Each rule has an error of its own. Knows shapes and
whether a graph follows its batch; nothing of marches or data files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from qworkbench.errors import QWorkbenchError
from qworkbench.graph.ir import Graph
from qworkbench.graph.node import Sym, Value

LARGEST = 128


class BatchError(QWorkbenchError):
    """A wish for several samples at once that the vendor's tool refuses."""


class BatchRangeError(BatchError):
    """``input_batch`` outside 1..128."""


class SeveralInputsError(BatchError):
    """``input_batch`` for a model of several inputs."""


class FirstDimensionError(BatchError):
    """``input_batch`` for a model whose ``input_shape`` does not begin with 1."""


class FixedBatchError(BatchError):
    """``input_batch``, or a first dimension, for a model that computes its own batch only."""


class CalibrationShapeError(BatchError):
    """Calibration data of another shape than ``input_shape``."""


class MissingShapeError(BatchError):
    """A dynamic model without ``input_shape``."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How many samples the board model takes: ``first`` (first dimension of ``input_shape``) times ``input_batch``.

    ``first`` 0 stands for what the model says: 1 where it is dynamic, its own first dimension otherwise.
    """

    input_batch: int = 1
    first: int = 0

    @property
    def compiled(self) -> int:
        """Samples of one inference on the board, for a dynamic model."""
        return max(self.first, 1) * self.input_batch


def is_dynamic(graph: Graph) -> bool:
    """Tell whether the model computes any batch, as an input of shape ``? x 3 x 224 x 224`` says."""
    return any(shape and isinstance(shape[0], Sym) for shape in (graph.values[name].shape for name in graph.inputs))


def input_shapes(graph: Graph, batching: Batching) -> dict[str, tuple[int, ...]]:
    """Return ``input_shape`` by input name: what each sample of calibration data must look like."""
    return {name: graph.shape(name, max(batching.first, 1)) for name in graph.inputs}


def check_batching(graph: Graph, batching: Batching) -> None:
    """Raise the error of the first rule that `batching` breaks on `graph`.

    Raises
    ------
    BatchError
        One subclass per rule.
    """
    count, first = batching.input_batch, batching.first
    if not 1 <= count <= LARGEST:
        raise BatchRangeError(f"input_batch must be a whole number from 1 to {LARGEST}, got {count}")
    dynamic = is_dynamic(graph)
    own = next((graph.shape(name)[0] for name in graph.inputs if graph.shape(name)), 1)
    if first < 0:
        raise MissingShapeError(
            f"input_shape of a dynamic model must be given in whole numbers >= 1, got a first dimension of {first}; "
            "e.g. 1x3x224x224"
        )
    if first and not dynamic and first != own:
        raise FixedBatchError(
            f"input_shape begins with {first}, but the model computes batches of {own} only; export it with a dynamic "
            "first dimension, or keep its own shape"
        )
    if count == 1:
        return
    if len(graph.inputs) != 1:
        raise SeveralInputsError(
            f"input_batch is for models of one input; this one has {len(graph.inputs)} ({', '.join(graph.inputs)}). "
            "Export the model with the batch that you need instead"
        )
    begins = (first or 1) if dynamic else own
    if begins != 1:
        raise FirstDimensionError(
            f"input_batch needs an input_shape that begins with 1, and it begins with {begins}: such a model is "
            "multi-batch already; leave input_batch at 1, or make the first dimension 1"
        )
    if free_batch(graph) is None:
        raise FixedBatchError(
            f"input_batch is {count}, but the model does not compute several samples at once: a shape inside it does "
            "not follow the batch; replace fixed sizes in reshape or view by x.shape[0], or export an ONNX file with a "
            "dynamic first dimension"
        )


def free_batch(graph: Graph) -> Graph | None:
    """Return `graph` with a batch that is free, or None where it computes its own batch only.

    A model of fixed batch 1 may compute several samples all the same. It is run on one sample, on another, and on both
    at once: every shape must follow, and the outputs must be those of each alone. A Reshape of an ONNX file whose first
    dimension is fixed counts as fixed, too, also where the file writes -1.
    """
    if is_dynamic(graph):
        return graph
    import torch

    from qworkbench.graph.execute import run_float

    if any(not graph.shape(name) or graph.shape(name)[0] != 1 for name in graph.inputs):
        return None
    generator = torch.Generator().manual_seed(0)
    singles = []
    for _ in range(2):
        dtypes = {name: getattr(torch, graph.values[name].dtype) for name in graph.inputs}
        singles.append(
            {
                name: torch.randn(graph.shape(name), generator=generator)
                if dtype.is_floating_point
                else torch.zeros(graph.shape(name), dtype=dtype)
                for name, dtype in dtypes.items()
            }
        )
    both = {name: torch.cat([single[name] for single in singles]) for name in graph.inputs}
    try:
        first, second, joined = (run_float(graph, feeds) for feeds in (*singles, both))
    except (RuntimeError, ValueError, IndexError, TypeError, QWorkbenchError):
        return None
    values: dict[str, Value] = {}
    for name, tensor in first.items():
        pairs = list(zip(tensor.shape, joined[name].shape, strict=False))
        if tensor.ndim != joined[name].ndim or any(b not in (a, 2 * a) for a, b in pairs):
            return None
        values[name] = replace(graph.values[name], shape=tuple(a if a == b else Sym(a) for a, b in pairs))
    for name in graph.outputs:
        if name in joined and not torch.allclose(
            joined[name], torch.cat([first[name], second[name]]), rtol=1e-3, atol=1e-4, equal_nan=True
        ):
            return None
    return replace(graph, values={**graph.values, **values}, batch=1)


def check_calibration_shapes(
    graph: Graph, batching: Batching, found: Mapping[str, tuple[int, ...]], *, where: str = "the data"
) -> None:
    """Raise unless each sample in `found` (shape by input name) has the shape of ``input_shape``.

    Raises
    ------
    CalibrationShapeError
    """
    for name, wanted in input_shapes(graph, batching).items():
        got = found.get(name, wanted)
        if tuple(got) != wanted:
            text = "x".join(map(str, wanted))
            extra = f"; input_batch {batching.input_batch} does not change that" if batching.input_batch > 1 else ""
            raise CalibrationShapeError(
                f"each sample of calibration data for {name!r} must have the shape of input_shape, {text}, but {where} "
                f"has {'x'.join(map(str, got))}{extra}"
            )
