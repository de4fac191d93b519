"""onnxruntime as a peer: one convolution as float or QLinearConv, a whole file as float or QDQ int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from qworkbench.numerics import ConvGeometry

FIRST_PER_CHANNEL = 13  # opset; files of an older one get one scale per weight
ZERO = 128  # uint8 with this zero point is the layout that onnxruntime has its fastest kernels for


def session(model: Any, threads: int) -> ort.InferenceSession:
    """Return a session on the CPU with `threads` threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def bound(running: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> Callable[[], object]:
    """Return a call of `running` on `feeds` with inputs and outputs in place."""
    binding = running.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    for output, array in zip(running.get_outputs(), running.run(None, feeds), strict=True):
        place = ort.OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_output(output.name, place)
    return lambda: running.run_with_iobinding(binding)


def _model(nodes: list[Any], x: Any, y: Any, constants: dict[str, np.ndarray]) -> Any:
    graph = helper.make_graph(nodes, "one", [x], [y], [numpy_helper.from_array(a, n) for n, a in constants.items()])
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def _attributes(geometry: ConvGeometry) -> dict[str, Any]:
    return {
        "kernel_shape": list(geometry.kernel),
        "strides": list(geometry.strides),
        "pads": list(geometry.pads),
        "dilations": list(geometry.dilations),
        "group": geometry.group,
    }


def float_conv(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray, geometry: ConvGeometry, threads: int
) -> Callable[[], object]:
    """Return a float32 Conv."""
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **_attributes(geometry))
    ends = (
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    )
    model = _model([node], *ends, {"w": w, "b": bias})
    return bound(session(model, threads), {"x": x})


def qlinear_conv(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    geometry: ConvGeometry,
    threads: int,
    *,
    last: bool,
) -> tuple[Callable[[], object], np.ndarray]:
    """Return a QLinearConv on int8 codes, `last` with channels last, and its result as int8 (N, C, H, W) codes."""
    names = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zx", "b"]
    extra = {"domain": "com.microsoft", "channels_last": 1} if last else {}
    node = helper.make_node("QLinearConv", names, ["y"], **_attributes(geometry), **extra)
    codes = (x.view(np.uint8) ^ 0x80).transpose(0, 2, 3, 1) if last else x.view(np.uint8) ^ 0x80
    codes = np.ascontiguousarray(codes)
    ends = (
        helper.make_tensor_value_info("x", TensorProto.UINT8, codes.shape),
        helper.make_tensor_value_info("y", TensorProto.UINT8, None),
    )
    constants = {
        "sx": np.float32(1), "zx": np.uint8(ZERO), "w": w, "sw": multiplier.astype(np.float32),
        "zw": np.zeros(len(w), np.int8), "sy": np.float32(1), "b": bias,
    }  # fmt: skip
    model = _model([node], *ends, {name: np.asarray(array) for name, array in constants.items()})
    running = session(model, threads)
    result = (running.run(None, {"x": codes})[0] ^ 0x80).view(np.int8)
    return bound(running, {"x": codes}), result.transpose(0, 3, 1, 2) if last else result


def quantized_file(source: Path, target: Path, feeds: dict[str, np.ndarray]) -> Path:
    """Write `source` as QDQ, uint8 by int8 (per channel where its opset can), calibrated on `feeds`."""

    class Once(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [feeds]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    ready = target.with_suffix(".ready.onnx")
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready), str(target), Once(), quant_format=QuantFormat.QDQ,
        per_channel=onnx.load(str(source)).opset_import[0].version >= FIRST_PER_CHANNEL,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return target


def loaded(path: Path) -> Any:
    """Return the model in a file."""
    return onnx.load(str(path))
