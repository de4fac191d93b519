"""Cells that make a small workbench, and one whose run lasts long enough to be cancelled."""

from __future__ import annotations

SMALL = """
import torch
from torch import nn
import qworkbench as q
%load_ext qworkbench

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.head(self.relu(self.conv(x))))

torch.manual_seed(0)
model = Net().eval()
x, images = torch.rand(1, 1, 8, 8), torch.rand(8, 1, 8, 8)
wb = q.Workbench(model, x, calibration=images)
get_ipython().user_ns["wb"] = wb
run = %qwb use wb
"""

# every node waits a little, so that a run is long on any machine and a cancel always comes in time
LONG = (
    SMALL
    + """
import time
from qworkbench.workbench.comparing import Comparing
take = Comparing.take
def slowly(*given):
    time.sleep(0.5)
    return take(*given)
Comparing.take = slowly
"""
)
