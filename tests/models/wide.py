"""The widest configuration of a workbench: int16 wherever the march takes it, and what stands in its way."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import qworkbench as q
from qworkbench.graph.structure import leaves
from qworkbench.march import get_march
from tests.models.architectures import Architecture


def ask_for_int16(wb: q.Workbench) -> None:
    """Ask for int16 on every node; the march decides where it is followed."""
    wb.edit(*(q.SetDtype(name, output="int16", input="int16") for name in wb.graph.nodes.names()))


def int8_only(wb: q.Workbench) -> dict[str, str]:
    """Return the operator of every unit on the BPU that takes or gives no int16 on the march, by its node's name."""
    march = get_march(wb.march)
    found = {}
    for unit in wb.placement.units:
        placed = wb.placement[unit.anchor]
        row = march.row_for(wb.graph, wb.graph.nodes[unit.anchor])
        if placed.on == "BPU" and not ("int16" in row.input_dtypes and "int16" in row.output_dtypes):
            found[unit.anchor] = row.op
    return found


def int8_left(wb: q.Workbench) -> list[str]:
    """Return the nodes on the BPU that read or make int8."""
    return [p.name for p in wb.placement.values() if p.on == "BPU" and "int8" in (p.dtype, p.input_dtype)]


def move_int8_only(wb: q.Workbench) -> set[str]:
    """Send what has no int16 to the CPU, until every op that stays on the BPU runs in int16; return the operators."""
    moved: dict[str, str] = {}
    while found := int8_only(wb):
        wb.edit(*(q.SetPlacement(name, "cpu") for name in found))
        moved.update(found)
    return set(moved.values())


def round_weights(model: nn.Module, *, squared_error: bool = False) -> None:
    """Round the weights of convolutions and linear layers to int8 codes, one scale per output channel.

    The largest weight of a channel gets the last code, or the scale is the one of least squared error. Normalisation
    that is folded into a convolution scales its channels, which changes no code.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            with torch.no_grad():
                axes = tuple(range(1, module.weight.dim()))
                top = module.weight.abs().amax(axes, keepdim=True) / 127
                best = _rounded(module.weight, top)
                for part in torch.linspace(0.5, 1, 51) if squared_error else ():
                    tried = _rounded(module.weight, top * part)
                    errors = [((made - module.weight) ** 2).sum(axes, keepdim=True) for made in (tried, best)]
                    best = torch.where(errors[0] < errors[1], tried, best)
                module.weight.copy_(best)


def _rounded(weight: Tensor, scale: Tensor) -> Tensor:
    return (weight / scale).round().clamp(-128, 127) * scale


def weights_alone(architecture: Architecture, *, squared_error: bool = False) -> float:
    """Return the smallest output cosine of the float model with rounded weights against the one without."""
    model, sample = architecture.build(), architecture.batch(1)
    with torch.no_grad():
        want = _floats(model(sample))
        round_weights(model, squared_error=squared_error)
        made = _floats(model(sample))
    return min(float(torch.cosine_similarity(a, b, dim=0)) for a, b in zip(want, made, strict=True))


def _floats(result: object) -> list[Tensor]:
    found = [leaf for _, leaf in leaves(result) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return [tensor.flatten().double() for tensor in found]
