"""Setters: which qconfig each operator of a model gets, by templates or one by one."""

from __future__ import annotations

from qworkbench.qat.dtype import qint8, qint16
from qworkbench.qat.quantization.qconfig_setter.ready import (
    ModuleNameQconfigSetter,
    calibration_8bit_weight_16bit_act_qconfig_setter,
    default_calibration_qconfig_setter,
    default_qat_qconfig_setter,
    qat_8bit_weight_16bit_act_qconfig_setter,
    sensitive_op_8bit_weight_16bit_act_calibration_setter,
    sensitive_op_8bit_weight_16bit_act_qat_setter,
    sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter,
    sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter,
)
from qworkbench.qat.quantization.qconfig_setter.setter import QconfigSetter
from qworkbench.qat.quantization.qconfig_setter.templates import (
    ConvDtypeTemplate,
    MatmulDtypeTemplate,
    ModuleNameTemplate,
    SensitivityTemplate,
)

__all__ = [
    "ConvDtypeTemplate",
    "MatmulDtypeTemplate",
    "ModuleNameQconfigSetter",
    "ModuleNameTemplate",
    "QconfigSetter",
    "SensitivityTemplate",
    "calibration_8bit_weight_16bit_act_qconfig_setter",
    "default_calibration_qconfig_setter",
    "default_qat_qconfig_setter",
    "qat_8bit_weight_16bit_act_qconfig_setter",
    "qint8",
    "qint16",
    "sensitive_op_8bit_weight_16bit_act_calibration_setter",
    "sensitive_op_8bit_weight_16bit_act_qat_setter",
    "sensitive_op_calibration_8bit_weight_16bit_act_qconfig_setter",
    "sensitive_op_qat_8bit_weight_16bit_act_qconfig_setter",
]
