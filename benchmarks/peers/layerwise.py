"""Tools that rank or compare the layers of a quantized model, as peers of the sensitivity table.

Each entry prepares itself outside the clock (quantizing, calibrating, exporting) and returns what is timed. None of
them measures what our table does, and :data:`PEERS` says for each what it measures instead. What does not import is
skipped by name.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

Prepared = tuple[int, Callable[[], Any]]  # how many items come out; the work


@dataclass(frozen=True)
class Peer:
    """A tool: how it is prepared from (model, samples, folder), and what its figures mean."""

    name: str
    measures: str
    prepare: Callable[[torch.nn.Module, torch.Tensor, Path], Prepared]


def _exported(model: torch.nn.Module, samples: torch.Tensor, folder: Path) -> Path:
    target = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (samples[:1],), str(target), dynamo=False, opset_version=17, input_names=["x"], output_names=["y"]
        )
    return target


def nncf_ranking(model: torch.nn.Module, samples: torch.Tensor, folder: Path) -> Prepared:
    """Prepare one ranking round of NNCF's accuracy control: every group of quantizers switched off by itself."""
    import nncf
    import onnx
    from nncf.common.factory import build_graph
    from nncf.onnx.quantization.backend_parameters import BackendParameters
    from nncf.quantization.algorithms.accuracy_control.evaluator import Evaluator
    from nncf.quantization.algorithms.accuracy_control.onnx_backend import ONNXAccuracyControlAlgoBackend
    from nncf.quantization.algorithms.accuracy_control.rank_functions import normalized_mse
    from nncf.quantization.algorithms.accuracy_control.ranker import Ranker

    nncf.set_log_level(40)
    source = onnx.load(str(_exported(model, samples, folder)))
    items = [{"x": sample[None].numpy()} for sample in samples]
    dataset = nncf.Dataset(items)
    plain = nncf.AdvancedQuantizationParameters(backend_params={BackendParameters.COMPRESS_WEIGHTS: False})
    quantized = nncf.quantize(source, dataset, subset_size=len(items), advanced_parameters=plain)

    def outputs(prepared: Any, data: Any) -> tuple[float, list[list[np.ndarray]]]:
        return 0.0, [list(prepared(item).values()) for item in data]

    evaluator = Evaluator(outputs)
    evaluator._metric_mode = False  # rank by the distance of outputs, as we do
    ranker = Ranker(len(items), dataset, ONNXAccuracyControlAlgoBackend(), evaluator, ranking_fn=normalized_mse)
    graph = build_graph(quantized)
    groups = ranker.find_groups_of_quantizers_to_rank(graph)
    before, after = (evaluator.collect_values_for_each_item(m, dataset) for m in (source, quantized))
    return len(groups), lambda: ranker.rank_groups_of_quantizers(groups, quantized, graph, before, after)


def onnxruntime_loss(model: torch.nn.Module, samples: torch.Tensor, folder: Path) -> Prepared:
    """Prepare onnxruntime's QDQ loss debugger: every tensor and weight of the quantized against the float file."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization import qdq_loss_debug as debug
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [{"x": sample[None].numpy()} for sample in samples]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop(0) if self.left else None

    ready, quantized = folder / "ready.onnx", folder / "quantized.onnx"
    quant_pre_process(str(_exported(model, samples, folder)), str(ready), skip_symbolic_shape=True)
    quantize_static(str(ready), str(quantized), Samples(), quant_format=QuantFormat.QDQ, per_channel=True)
    watched = [folder / "ready.watched.onnx", folder / "quantized.watched.onnx"]
    for plain, more in zip((ready, quantized), watched, strict=True):
        debug.modify_model_output_intermediate_tensors(str(plain), str(more))
    weights = debug.create_weight_matching(str(ready), str(quantized))

    def work() -> Any:
        found = [debug.collect_activations(str(path), Samples()) for path in watched]
        matching = debug.create_activation_matching(found[1], found[0])
        return debug.compute_activation_error(matching), debug.compute_weight_error(weights)

    activations, constants = work()
    return len(activations) + len(constants), work


def torch_shadows(model: torch.nn.Module, samples: torch.Tensor, folder: Path) -> Prepared:
    """Prepare torch's N shadows: every layer quantized beside the float one, fed with float inputs."""
    from torch.ao.ns._numeric_suite_fx import (
        OutputLogger,
        convert_n_shadows_model,
        extract_results_n_shadows_model,
        loggers_set_enabled,
        prepare_n_shadows_model,
    )
    from torch.ao.ns.fx.n_shadows_utils import create_results_comparison, group_results_by_subgraph
    from torch.ao.ns.fx.qconfig_multi_mapping import QConfigMultiMapping
    from torch.ao.quantization import QConfigMapping, get_default_qconfig
    from torch.ao.quantization.backend_config import get_native_backend_config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mapping = QConfigMultiMapping.from_list_qconfig_mapping(
            [QConfigMapping().set_global(get_default_qconfig("x86"))]
        )
        shadowed = prepare_n_shadows_model(copy.deepcopy(model), (samples[:1],), mapping, get_native_backend_config())
        with torch.no_grad():
            for sample in samples:
                shadowed(sample[None])
            shadowed = convert_n_shadows_model(shadowed)
            loggers_set_enabled(shadowed, True)

    loggers = [module for module in shadowed.modules() if isinstance(module, OutputLogger)]

    def work() -> Any:
        for logger in loggers:
            logger.stats.clear()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for sample in samples:
                shadowed(sample[None])
            return create_results_comparison(group_results_by_subgraph(extract_results_n_shadows_model(shadowed)))

    return len(work()), work


PEERS = (
    Peer(
        "NNCF ranking",
        "distance of the outputs with one group of quantizers, weights and activations together, switched off in the "
        "quantized model; not the effect of one quantizer on the float model",
        nncf_ranking,
    ),
    Peer(
        "onnxruntime qdq_loss_debug",
        "SQNR of each tensor and weight, before and after its own rounding and against the float model; nothing about "
        "the outputs",
        onnxruntime_loss,
    ),
    Peer(
        "torch.ao.ns N shadows",
        "SQNR of each layer in int8 on float inputs; nothing about the outputs",
        torch_shadows,
    ),
)
