"""The tail as a parameter of the march: at the outputs of the model, or at the end of every BPU segment."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from qworkbench.graph.torch_frontend import capture
from qworkbench.march import get_march
from qworkbench.march.row import Parameter
from qworkbench.placement.place import place


class SplitBySoftmax(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.after = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.softmax = nn.Softmax(1)

    def forward(self, x):
        return self.after(self.softmax(self.before(x)))


@pytest.mark.parametrize(("scope", "dtype"), [("model", "int8"), ("segment", "int32")])
def test_a_conv_in_front_of_a_cpu_op_leaves_as_int32_only_where_the_tail_is_taken_per_segment(scope, dtype):
    march = get_march("bayes-e")
    parameters = {**march.parameters, "tail_scope": Parameter(scope, "inferred", "")}
    placed = place(capture(SplitBySoftmax().eval(), torch.rand(1, 3, 4, 4)), replace(march, parameters=parameters))
    assert placed["before"].dtype == dtype
    assert placed["after"].dtype == "int32"
    assert placed["softmax"].on == "CPU"
