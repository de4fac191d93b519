"""Fusion, preparation, conversion, fake quantization, observers and qconfigs: the names of the training API."""

from __future__ import annotations

from qworkbench.nn import DeQuantStub, QuantStub
from qworkbench.qat.dtype import qint8, qint16
from qworkbench.qat.quantization import qconfig
from qworkbench.qat.quantization.convert import convert_fx
from qworkbench.qat.quantization.eager import convert, fuse_known_modules, fuse_modules, prepare_qat
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import (
    CalibFakeQuantize,
    FakeQuantize,
    FakeQuantState,
    set_fake_quantize,
)
from qworkbench.qat.quantization.fixed_point import fixed_point_error
from qworkbench.qat.quantization.fuse import fuse_fx
from qworkbench.qat.quantization.fuse_patterns import (
    ConvBNAddedReLUFusion,
    ConvBNAddReLUFusion,
    FusionMatch,
    MatchAllNode,
    register_fusion_pattern,
)
from qworkbench.qat.quantization.histogram_observer import (
    HistogramObserver,
    KLObserver,
    MixObserver,
    MSEObserver,
    PercentileObserver,
)
from qworkbench.qat.quantization.methods import PrepareMethod, prepare
from qworkbench.qat.quantization.observer import (
    ClipObserver,
    ClipStdObserver,
    FixedScaleObserver,
    MinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    MovingAveragePerTensorMinMaxObserver,
    PerChannelMinMaxObserver,
)
from qworkbench.qat.quantization.prepare import prepare_qat_fx
from qworkbench.qat.quantization.qconfig import QConfig, get_default_qconfig, get_qconfig
from qworkbench.qat.quantization.qconfig_setter import (
    ConvDtypeTemplate,
    MatmulDtypeTemplate,
    ModuleNameQconfigSetter,
    ModuleNameTemplate,
    QconfigSetter,
    SensitivityTemplate,
    calibration_8bit_weight_16bit_act_qconfig_setter,
    default_calibration_qconfig_setter,
    default_qat_qconfig_setter,
    qat_8bit_weight_16bit_act_qconfig_setter,
    sensitive_op_8bit_weight_16bit_act_calibration_setter,
    sensitive_op_8bit_weight_16bit_act_qat_setter,
    sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter,
    sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter,
)
from qworkbench.qat.quantization.scopes import Tracer, dynamic_block

__all__ = [
    "CalibFakeQuantize",
    "ClipObserver",
    "ClipStdObserver",
    "ConvBNAddReLUFusion",
    "ConvBNAddedReLUFusion",
    "ConvDtypeTemplate",
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
    "MatmulDtypeTemplate",
    "MinMaxObserver",
    "MixObserver",
    "ModuleNameQconfigSetter",
    "ModuleNameTemplate",
    "MovingAveragePerChannelMinMaxObserver",
    "MovingAveragePerTensorMinMaxObserver",
    "PerChannelMinMaxObserver",
    "PercentileObserver",
    "PrepareMethod",
    "QConfig",
    "QconfigSetter",
    "QuantStub",
    "SensitivityTemplate",
    "Tracer",
    "calibration_8bit_weight_16bit_act_qconfig_setter",
    "convert",
    "convert_fx",
    "default_calibration_qconfig_setter",
    "default_qat_qconfig_setter",
    "dynamic_block",
    "fixed_point_error",
    "fuse_fx",
    "fuse_known_modules",
    "fuse_modules",
    "get_default_qconfig",
    "get_qconfig",
    "prepare",
    "prepare_qat",
    "prepare_qat_fx",
    "qat_8bit_weight_16bit_act_qconfig_setter",
    "qconfig",
    "qint8",
    "qint16",
    "register_fusion_pattern",
    "sensitive_op_8bit_weight_16bit_act_calibration_setter",
    "sensitive_op_8bit_weight_16bit_act_qat_setter",
    "sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter",
    "sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter",
    "set_fake_quantize",
]
