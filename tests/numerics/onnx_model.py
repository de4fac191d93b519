"""One-node ONNX models run by onnxruntime: the second oracle where ONNX defines the same quantized operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def run(op: str, inputs: dict[str, np.ndarray], output: str, **attributes: Any) -> np.ndarray:
    """Return the output (of dtype `output`) of the single node `op` on `inputs`, in order."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    helper = onnx.helper
    node = helper.make_node(op, list(inputs), ["y"], **attributes)
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in inputs.items()}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(name, kinds[name], list(value.shape)) for name, value in inputs.items()],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(output)), None)],
    )
    # weights are constants: onnxruntime picks its fast quantized kernels only then
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in inputs.items() if name != "x"]
    graph.initializer.extend(constants)
    kept = [item for item in graph.input if item.name == "x"]
    del graph.input[:]
    graph.input.extend(kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": inputs["x"]})[0])
