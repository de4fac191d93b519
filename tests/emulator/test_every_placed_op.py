"""What a march's table lets onto the BPU has an integer form; operators that pick codes pick the right ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from qworkbench import Workbench
from qworkbench.emulator.lower import BY_OP
from qworkbench.graph.vocabulary import family
from qworkbench.march import MARCHES, get_march

NEVER_IN_A_GRAPH = {"Sum", "Upsample"}  # the front ends write them as Add and Resize


@pytest.mark.parametrize("march", MARCHES)
def test_every_operator_of_the_table_has_an_integer_form(march):
    table = get_march(march).rows
    integer = {
        op for op, row in table.items() if {*row.output_dtypes} - {"float16", "float32"} or not row.output_dtypes
    }
    placed = {op for op in integer if table[op].quant_class != "none"} - NEVER_IN_A_GRAPH
    assert not [op for op in placed if op not in BY_OP and family(op) not in ("lut", "movement")]


class Picked(nn.Module):
    def __init__(self, pick: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.pick = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), pick

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        picked = self.pick(self.first(x))
        return self.last(picked), picked


GRID = torch.tensor([[[[-1.0, -1.0], [0.25, 0.5]], [[0.0, 0.1], [1.0, 1.0]]]])


@pytest.mark.parametrize(
    ("op", "pick"),
    [
        ("Tile", lambda x: x.repeat(1, 1, 2, 1)),
        ("GatherElements", lambda x: torch.gather(x, 2, torch.ones(1, 4, 3, 8, dtype=torch.int64))),
        ("TopK", lambda x: torch.topk(x, 4, dim=1)[0]),
        ("GridSample", lambda x: nnf.grid_sample(x, GRID, align_corners=False)),
    ],
)
def test_picked_codes_are_those_of_the_source(op, pick):
    torch.manual_seed(0)
    model, x = Picked(pick).eval(), torch.randn(1, 3, 8, 8)
    wb = Workbench(model, x, calibration=x, march="bayes-e")
    node = next(n for n in wb.graph.nodes if n.op == op)
    assert wb.placement[node.name].on == "BPU"
    run = wb.run()
    scale = float(run.layers.loc[node.name, "scale"])
    emulated = torch.from_numpy(np.asarray(list(run.outputs.values())[1]))
    codes = emulated / scale
    torch.testing.assert_close(codes, codes.round(), atol=1e-3, rtol=0)
    with torch.no_grad():
        real = pick(model.first(x))
    assert (emulated - real).abs().max() <= 2 * scale
