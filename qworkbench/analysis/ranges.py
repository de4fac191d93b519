"""Fixed scales where the range of a tensor is known, from the operator or from what the user declares.

Statistics see only what calibration data hold; a sigmoid ends at 1 whether or not a sample reached it. Declared ranges
are carried through ops whose output range follows from their inputs'. Source: quantization accuracy tuning guide,
"Setting Fixed Scale".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qworkbench.errors import AnalysisError, unknown_name
from qworkbench.graph.vocabulary import family
from qworkbench.numerics.dtypes import scale_from_threshold

if TYPE_CHECKING:
    from qworkbench.emulator.plan import Plan
    from qworkbench.graph.ir import Graph
    from qworkbench.graph.node import Node
    from qworkbench.placement.types import Placement

Range = tuple[float, float]

BOUNDED: Mapping[str, Range] = {
    "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Erf": (-1.0, 1.0),
    "Sin": (-1.0, 1.0), "Cos": (-1.0, 1.0), "Softsign": (-1.0, 1.0),
    "Atan": (-math.pi / 2, math.pi / 2), "Asin": (-math.pi / 2, math.pi / 2), "Acos": (0.0, math.pi),
}  # fmt: skip
NORMALISED: Range = ((0 - 0.485) / 0.229, (1 - 0.406) / 0.225)  # ImageNet statistics, darkest to brightest channel
LIKELY: tuple[tuple[str, Range], ...] = (
    ("an image from 0 to 255", (0.0, 255.0)),
    ("an image from -128 to 127", (-128.0, 127.0)),
    ("an image from 0 to 1", (0.0, 1.0)),
    ("an image from -1 to 1", (-1.0, 1.0)),
    ("an image normalised by the ImageNet statistics", NORMALISED),
)
NEAR = 0.12  # how much of the range the data may leave unseen at either end
KEEPING = ("MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "ReduceMax", "ReduceMin", "ReduceMean")


@dataclass(frozen=True, slots=True)
class FixedScale:
    """A proposal: fix `node` (or input) at `scale`, since its range is known to be `low` to `high`."""

    node: str
    low: float
    high: float
    why: str
    now: float
    scale: float
    dtype: str


def normalised_range(
    mean: float | Sequence[float], std: float | Sequence[float], low: float = 0.0, high: float = 1.0
) -> Range:
    """Return the range of ``(x - mean) / std`` over all channels, for x from `low` to `high`.

    Examples
    --------
    >>> normalised_range(0.5, 0.25)
    (-2.0, 2.0)

    Raises
    ------
    AnalysisError
        When a std is not positive.
    """
    means = [mean] if isinstance(mean, (int, float)) else list(mean)
    stds = [std] if isinstance(std, (int, float)) else list(std)
    if min(stds, default=0.0) <= 0:
        raise AnalysisError(f"std must be positive, got {std}")
    pairs = (
        [(m, s) for m in means for s in stds] if 1 in (len(means), len(stds)) else list(zip(means, stds, strict=True))
    )
    return min((low - m) / s for m, s in pairs), max((high - m) / s for m, s in pairs)


def likely_range(low: float, high: float) -> tuple[Range, str] | None:
    """Return the range that an input from `low` to `high` in the calibration data seems to have by design."""
    for name, (bottom, top) in LIKELY:
        slack = NEAR * (top - bottom)
        signed = bottom == 0.0 or low <= bottom + slack
        if bottom - 1e-3 <= low and high <= top + 1e-3 and high >= top - slack and signed:
            return (bottom, top), f"looks like {name}"
    return None


def known_ranges(
    graph: Graph, declared: Mapping[str, Range] | None = None, seen: Mapping[str, Range] | None = None
) -> dict[str, tuple[Range, str]]:
    """Return the range and its reason per value whose range is known.

    Parameters
    ----------
    graph : Graph
    declared : Mapping of input or node name to (low, high), optional
    seen : Mapping of input name to (low, high), optional
        What calibration data held; an input that looks like an image takes the range of one.

    Raises
    ------
    UnknownNameError
    AnalysisError
        When a declared range is empty or not finite.
    """
    known = [*graph.inputs, *graph.nodes.names()]
    found: dict[str, tuple[Range, str]] = {}
    for name, (low, high) in (declared or {}).items():
        if name not in known:
            raise unknown_name("input or node", name, known)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise AnalysisError(f"the range of {name!r} must be finite with low < high, got ({low}, {high})")
        value = name if name in graph.inputs else graph.nodes[name].output
        found[value] = ((float(low), float(high)), "declared")
    for name, (low, high) in (seen or {}).items():
        likely = likely_range(low, high)
        if name in graph.inputs and name not in found and likely is not None:
            found[name] = likely
    for node in graph.nodes:
        derived = _derived(graph, node, found)
        for value in node.outputs:
            if value not in found and derived is not None:
                found[value] = derived
    return found


def propose_fixed_scales(
    graph: Graph,
    placement: Placement,
    plan: Plan,
    declared: Mapping[str, Range] | None = None,
    *,
    seen: Mapping[str, Range] | None = None,
    denominator: int = 127,
    tolerance: float = 0.01,
) -> list[FixedScale]:
    """Return a proposal per quantized tensor whose scale differs by more than `tolerance` from its known range's."""
    ranges = known_ranges(graph, declared, seen)
    found: list[FixedScale] = []
    for name in (*graph.inputs, *plan.results):
        value = name if name in graph.inputs else graph.nodes[name].output
        group = placement.group(value)
        if value not in ranges or group is None:
            continue
        quantity = plan.quantities.get(f"{placement.canonical[value]}@{group.dtype}")
        if quantity is None or quantity.per_channel or placement.canonical[value] != value:
            continue
        (low, high), why = ranges[value]
        wanted = float(scale_from_threshold(max(abs(low), abs(high)), group.dtype, denominator))
        now = float(quantity.single)
        if abs(now / wanted - 1) > tolerance:
            found.append(FixedScale(name, low, high, why, now, wanted, group.dtype))
    return found


def _derived(graph: Graph, node: Node, known: Mapping[str, tuple[Range, str]]) -> tuple[Range, str] | None:
    if node.op in BOUNDED:
        return BOUNDED[node.op], node.op
    if node.op == "Clip":
        low, high = node.attrs.get("min"), node.attrs.get("max")
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
            return (float(low), float(high)), "Clip"
        return None
    sources = [known.get(value) for value in graph.data_inputs(node)]
    ranges = [source[0] for source in sources if source is not None]
    if not ranges or len(ranges) != len(sources):
        return None
    why = "from " + ", ".join(str(value) for value in graph.data_inputs(node))
    kind = family(node.op)
    if (kind in ("movement", "stub", "transparent", "concat") and node.op not in ("Pad",)) or node.op in KEEPING:
        if kind == "concat" and len(ranges) != len(node.inputs):
            return None
        return (min(low for low, _ in ranges), max(high for _, high in ranges)), why
    if node.op == "Relu":
        return (max(0.0, ranges[0][0]), max(0.0, ranges[0][1])), why
    if node.op in ("Add", "Sub", "Mul"):
        combined = _combined(graph, node, known)
        return None if combined is None else (combined, why)
    return None


def _combined(graph: Graph, node: Node, known: Mapping[str, tuple[Range, str]]) -> Range | None:
    parts: list[Range] = []
    for value in node.inputs:
        if value is None:
            return None
        if graph.is_activation(value):
            parts.append(known[value][0])
        else:
            tensor = graph.tensor(value).detach()
            parts.append((float(tensor.min()), float(tensor.max())))
    (a, b), (c, d) = parts
    if node.op == "Add":
        return a + c, b + d
    if node.op == "Sub":
        return a - d, b - c
    corners = (a * c, a * d, b * c, b * d)
    return min(corners), max(corners)
