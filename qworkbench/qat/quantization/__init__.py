"""Fusion, preparation, conversion, fake quantization, observers and qconfigs: the names of the training API."""

from __future__ import annotations

from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat.dtype import qint8, qint16
from qworkbench.qat.quantization import qconfig
from qworkbench.qat.quantization.convert import convert_fx
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import (
    CalibFakeQuantize,
    FakeQuantize,
    FakeQuantState,
    set_fake_quantize,
)
from qworkbench.qat.quantization.fuse import fuse_fx
from qworkbench.qat.quantization.fuse_patterns import FusionMatch, MatchAllNode, register_fusion_pattern
from qworkbench.qat.quantization.histogram_observer import (
    HistogramObserver,
    KLObserver,
    MixObserver,
    MSEObserver,
    PercentileObserver,
)
from qworkbench.qat.quantization.observer import (
    FixedScaleObserver,
    MinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    MovingAveragePerTensorMinMaxObserver,
    PerChannelMinMaxObserver,
)
from qworkbench.qat.quantization.prepare import prepare_qat_fx
from qworkbench.qat.quantization.qconfig import QConfig, get_default_qconfig, get_qconfig

__all__ = [
    "CalibFakeQuantize",
    "DeQuantStub",
    "FakeCast",
    "FakeQuantState",
    "FakeQuantize",
    "FixedScaleObserver",
    "FusionMatch",
    "HistogramObserver",
    "KLObserver",
    "MSEObserver",
    "MatchAllNode",
    "MinMaxObserver",
    "MixObserver",
    "MovingAveragePerChannelMinMaxObserver",
    "MovingAveragePerTensorMinMaxObserver",
    "PerChannelMinMaxObserver",
    "PercentileObserver",
    "QConfig",
    "QuantStub",
    "convert_fx",
    "fuse_fx",
    "get_default_qconfig",
    "get_qconfig",
    "prepare_qat_fx",
    "qconfig",
    "qint8",
    "qint16",
    "register_fusion_pattern",
    "set_fake_quantize",
]
