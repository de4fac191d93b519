"""Rows and value lists that every march of the X3, Ultra and X5 generation shares."""

from __future__ import annotations

from qworkbench.march.clauses import Equals
from qworkbench.march.row import OpRow
from qworkbench.march.tables.rows import folded

COORDINATE_MODES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "tf_crop_and_resize")

FOLDED: tuple[OpRow, ...] = (
    folded("Dropout", supported="yes", notes="removed at inference"),
    folded("Constant", notes="constant folding only; no sparse tensor"),
    folded("ConstantOfShape", Equals("constant_inputs_only", True), notes="constant folding only"),
    folded("Shape", notes="constant folding only: shapes are fixed at conversion"),
    folded("Size", notes="constant folding only: shapes are fixed at conversion"),
)
