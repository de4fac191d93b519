"""Operators that no march of the X3, Ultra and X5 generation has on its BPU, with what their CPU kernel takes.

A march adds the operators that only it leaves to the CPU in its own file.
"""

from __future__ import annotations

from qworkbench.march.row import NOT_INTEGRATED, OpRow
from qworkbench.march.tables.rows import on_cpu

PIECES = "the converter sees the pieces that it is exported as, and places each of them by its own row"

EVERYWHERE_CPU: tuple[OpRow, ...] = (
    *on_cpu(
        NOT_INTEGRATED,
        "BitShift Celu Compress ConcatFromSequence ConvInteger Det DynamicQuantizeLinear Einsum Function Hardmax If "
        "IsInf IsNaN Loop MatMulInteger Mean MeanVarianceNormalization Multinomial QLinearConv QLinearMatMul "
        "RandomNormal RandomNormalLike Scan Scatter SequenceAt SequenceConstruct SequenceEmpty SequenceErase "
        "SequenceInsert SequenceLength Shrink SplitToSequence StringNormalizer TfIdfVectorizer Unique Xor",
    ),
    *on_cpu(
        "CPU kernel available",
        "EyeLike MaxRoiPool Neg Not OneHot RandomUniform RandomUniformLike ReduceL1 ReduceL2 ReduceMin ReduceProd "
        "ReverseSequence RoiAlign",
    ),
    *on_cpu("CPU kernel available; removed before placement, so none is left", "Identity"),
    *on_cpu("float boundary: quantizing and dequantizing run on the CPU", "QuantizeLinear DequantizeLinear"),
    *on_cpu("CPU: float", "InstanceNormalization LRN LogSoftmax ThresholdedRelu"),
    *on_cpu("CPU: float or double", "ReduceLogSum ReduceLogSumExp"),
    *on_cpu("CPU: between float, double, bool and the integer types", "Cast"),
    *on_cpu("CPU: x float, axis int32", "CumSum"),
    *on_cpu("CPU: float, forward direction only", "GRU"),
    *on_cpu("CPU: forward direction only; inputs X, W, R; output Y_h", "RNN"),
    *on_cpu("CPU: data float, int32 or int8; indices int64", "GatherND"),
    *on_cpu("CPU: float or double, rank 4", "GlobalLpPool"),
    *on_cpu("CPU: p 1 or 2", "LpNormalization"),
    *on_cpu("CPU: rank 4, no auto_pad", "LpPool"),
    *on_cpu("CPU: float, int64, int32 or int16", "Range"),
    *on_cpu("CPU: axes 0, 1 or as many as the rank", "ReduceSumSquare"),
    *on_cpu("CPU: data and updates float, int32 or int8; indices int32", "ScatterElements"),
    *on_cpu("CPU: data and updates float, int32 or int8", "ScatterND"),
    *on_cpu("CPU: float or int64; the condition has the output's shape or broadcasts at rank 4", "Where"),
    *on_cpu(PIECES, "LayerNormalization GroupNormalization", basis="inferred"),
    *on_cpu(
        "it has no ONNX form where the windows differ in size; the training plugin replaces it by an AvgPool2d that "
        "is not equal to it",
        "AdaptiveAvgPool",
        basis="inferred",
    ),
    *on_cpu("a call outside the operator vocabulary is run by torch", "Opaque", basis="inferred"),
)
