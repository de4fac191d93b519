"""``QuantAnalysis``: from a data set to the samples, layers and quantizers that cost a prepared model its accuracy.

The steps of the accuracy guide on two torch models; metrics, tables and advice are those of the workbench's own
analysis. Every step also writes its text file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.utils import _pytree as pytree

from qworkbench.analysis.badcase import DEFAULT_METRICS
from qworkbench.analysis.distances import metrics_given
from qworkbench.analysis.text import text_table
from qworkbench.analysis.worst import BadCases
from qworkbench.errors import unknown_name
from qworkbench.files import write_text
from qworkbench.qat.errors import QATError
from qworkbench.qat.nn import qat
from qworkbench.qat.profiler.cases import CASE_FILE, find_cases, load_cases, save_cases
from qworkbench.qat.profiler.layers import compare_calls, statistics
from qworkbench.qat.profiler.lineage import Flow
from qworkbench.qat.profiler.running import named_like, quantizing, watched
from qworkbench.qat.profiler.sensitivity import Progress, sensitivity_of
from qworkbench.qat.profiler.watch import Call, kept_states, outputs_of

TYPES = ("fake_quant", "convert")
_ELSEWHERE = ("pre_export", "export")


class QuantAnalysis:
    """Compares a float model with its prepared (or converted) form.

    Parameters
    ----------
    baseline_model : Module
        The float model.
    analysis_model : Module
        Calibrated or trained; compare a calibrated one, since training makes the two differ by more than quantization.
    analysis_model_type : "fake_quant" | "convert"
    device_ids : int or list of int, optional
        A GPU to run on (its first); None leaves the models where they are.
    post_process : callable, optional
        From the model's output to what is compared.
    out_dir : path
        For the text files.

    Raises
    ------
    UnknownNameError, QATError
    """

    def __init__(
        self,
        baseline_model: nn.Module,
        analysis_model: nn.Module,
        analysis_model_type: str = "fake_quant",
        device_ids: int | Sequence[int] | None = None,
        post_process: Callable[[Any], Any] | None = None,
        out_dir: str | Path = "./horizon_quant_analysis",
    ) -> None:
        if analysis_model_type in _ELSEWHERE:
            raise QATError(f"{analysis_model_type!r} models are made by the vendor's exporter; compare 'convert' here")
        if analysis_model_type not in TYPES:
            raise unknown_name("analysis_model_type", str(analysis_model_type), TYPES)
        prepared = any(isinstance(m, (qat.ReadsInputs, qat.QuantStub)) for m in analysis_model.modules())
        if analysis_model_type == "fake_quant" and not prepared:
            raise QATError(f"analysis_model ({type(analysis_model).__name__}) was not prepared; call prepare first")
        self.baseline_model, self.analysis_model = baseline_model, analysis_model
        self.kind = analysis_model_type
        self.post_process = post_process
        self.out_dir = Path(out_dir)
        ids = [device_ids] if isinstance(device_ids, int) else list(device_ids or ())
        self.device = torch.device("cuda", ids[0]) if ids else None
        if self.device is not None:
            baseline_model.to(self.device)
            analysis_model.to(self.device)
        self.cases: BadCases | None = None
        self.samples: dict[int, Any] = {}
        self._calls: dict[str, tuple[list[Call], Flow]] = {}

    def auto_find_bad_case(
        self,
        data_generator: Iterable[Any],
        num_steps: int | None = None,
        metric: Any = None,
        device: Any = None,
        custom_metric: Callable[..., float] | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> BadCases:
        """Find the items of `data_generator` on which the two models differ most, per output and metric.

        Parameters
        ----------
        data_generator : iterable
            Items as the models take them; labels behind what ``forward`` takes are left out.
        num_steps : int, optional
            Look at this many items.
        metric : str or several, optional
            COSINE, L1 and ATOL unless given; MSE, RTOL, KL, SQNR.
        device : optional
            Where the data go.
        custom_metric : callable, optional
            Of (float output, quantized output); larger is worse.
        progress, cancelled : callable, optional

        Returns
        -------
        BadCases
            ``str`` of it is ``badcase.txt``.

        Raises
        ------
        QATError
            If there is no item or no float output.
        """
        wanted = metrics_given(custom_metric or metric or DEFAULT_METRICS)
        items = (self._moved(item, device) for item in data_generator)
        self.cases, self.samples = find_cases(
            items, self._both, wanted, limit=num_steps, progress=progress, cancelled=cancelled
        )
        self._write("badcase.txt", str(self.cases))
        self.save_bad_case()
        return self.cases

    def set_bad_case(self, data: Any) -> None:
        """Take `data` as the sample that the next steps use."""
        self.cases, self.samples = None, {0: self._moved(data, None)}

    def save_bad_case(self, path: str | Path | None = None) -> Path:
        """Write the bad cases and their samples; into `out_dir` unless a path is given."""
        return save_cases(self.out_dir / CASE_FILE if path is None else Path(path), self.cases, self.samples)

    def load_bad_case(self, path: str | Path | None = None) -> None:
        """Read what :meth:`save_bad_case` wrote.

        Raises
        ------
        QATError
            If the file is missing or is none of ours.
        """
        self.cases, self.samples = load_cases(self.out_dir / CASE_FILE if path is None else Path(path))

    def run(
        self,
        device: Any = None,
        index: int | None = None,
        run_baseline_model: bool = True,
        run_analysis_model: bool = True,
    ) -> None:
        """Run the models on a bad case and keep what each layer computes.

        Parameters
        ----------
        device : optional
        index : int, optional
            Which item; the worst by the first metric unless given.
        run_baseline_model, run_analysis_model : bool
            Leave one as it was run before.

        Raises
        ------
        QATError
            If there is no bad case.
        """
        data = self._moved(self._sample(index), device)
        if run_baseline_model:
            self._calls["baseline"] = watched(named_like(self.analysis_model, self.baseline_model, data), data)
            self._write("baseline_statistic.txt", _text(statistics(self._calls["baseline"][0])))
        if run_analysis_model:
            with quantizing(self.analysis_model):
                self._calls["analysis"] = watched(self.analysis_model, data)
            self._write("analysis_statistic.txt", _text(statistics(self._calls["analysis"][0])))

    def compare_per_layer(
        self, prefixes: Sequence[str] | None = None, types: Sequence[type] | None = None
    ) -> pd.DataFrame:
        """Return the layer-by-layer table, written as ``compare_per_layer_out.txt`` and ``.csv``.

        Parameters
        ----------
        prefixes : sequence of str, optional
            Only layers whose name begins with one of them.
        types : sequence of type, optional
            Only layers of these float classes.

        Raises
        ------
        QATError
            If :meth:`run` was not called.
        """
        if len(self._calls) < 2:
            raise QATError("nothing was run yet; call run() first")
        calls, flow = self._calls["baseline"]
        frame = compare_calls(calls, flow, self._calls["analysis"][0])
        if prefixes is not None:
            frame = frame[frame["mod_name"].str.startswith(tuple(prefixes))]
        if types is not None:
            chosen = {call.name for call in calls if isinstance(call.module, tuple(types))}
            frame = frame[frame["mod_name"].isin(chosen)]
        frame = frame.reset_index(drop=True)
        self._write("compare_per_layer_out.txt", _text(frame))
        frame.to_csv(self.out_dir / "compare_per_layer_out.csv")
        advice = frame.loc[frame["advice"] != "", ["mod_name", "quant_dtype", "qscale", "advice"]]
        self._write("abnormal_layer_advisor.txt", _text(advice) if len(advice) else "no layer is abnormal")
        return frame

    def sensitivity(
        self,
        metric: Any = None,
        index: int | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> dict[tuple[str, str], pd.DataFrame]:
        """Return a sensitivity table per (output, metric), worst first; each is written as text and as ``.pt``.

        Parameters
        ----------
        metric : str, callable or several, optional
            Those of the bad cases unless given.
        index : int, optional
            Which item; for each output and metric its worst one unless given.
        progress, cancelled : callable, optional

        Raises
        ------
        QATError
            For a converted model, which has no fake quantization to switch, or if nothing is calibrated.
        Cancelled
        """
        if self.kind != "fake_quant":
            raise QATError("sensitivity switches fake quantization on and off; give the model before convert")
        held = self.cases
        wanted = metrics_given(metric) if metric is not None else held.metrics if held else metrics_given("L1")
        tables: dict[tuple[str, str], pd.DataFrame] = {}
        made: dict[int, dict[str, pd.DataFrame]] = {}
        for one in wanted:
            by_output = {key[0]: found[0] for key, found in held.found.items() if key[1] == one.name} if held else {}
            names = by_output or dict.fromkeys(held.outputs if held else [""], self._index(None))
            for output, worst in names.items():
                chosen = worst if index is None else index
                if chosen not in made:
                    made[chosen] = sensitivity_of(
                        self.baseline_model, self.analysis_model, self._sample(chosen), wanted,
                        post_process=self.post_process, progress=progress, cancelled=cancelled,
                    )  # fmt: skip
                for name in [output] if output else list(made[chosen]):
                    tables[name, one.name] = self._table(made[chosen][name], name, one)
        return tables

    def _table(self, frame: pd.DataFrame, output: str, metric: Any) -> pd.DataFrame:
        order = sorted(range(len(frame)), key=lambda row: -metric.badness(frame[metric.name].iloc[row]))
        columns = ["op_name", "sensitive_type", "op_type", metric.name, "quant_dtype", "flops", "flops_share"]
        table = frame.iloc[order][columns].reset_index(drop=True)
        shown = table.drop(columns="flops_share")
        shown["flops"] = [f"{f}({s:.2%})" for f, s in zip(table["flops"], table["flops_share"], strict=True)]
        stem = f"output_{output}_{metric.name}_sensitive_ops"
        self._write(f"{stem}.txt", _text(shown))
        torch.save(table.values.tolist(), self.out_dir / f"{stem}.pt")
        return table

    def _both(self, data: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return the outputs of both models on one item."""
        with kept_states(self.baseline_model):
            ours = outputs_of(self.baseline_model, data, self.post_process)
        with quantizing(self.analysis_model):
            return ours, outputs_of(self.analysis_model, data, self.post_process)

    def _index(self, index: int | None) -> int:
        if not self.samples:
            raise QATError("there is no bad case; call auto_find_bad_case, set_bad_case or load_bad_case first")
        if index is None:
            index = int(self.cases.worst["index"].iloc[0]) if self.cases is not None else next(iter(self.samples))
        if index not in self.samples:
            raise QATError(f"item {index} is no bad case; there are {', '.join(map(str, sorted(self.samples)))}")
        return index

    def _sample(self, index: int | None) -> Any:
        return self.samples[self._index(index)]

    def _moved(self, data: Any, device: Any) -> Any:
        target = device if device is not None else self.device
        if target is None:
            return data
        return pytree.tree_map(lambda leaf: leaf.to(target) if isinstance(leaf, torch.Tensor) else leaf, data)

    def _write(self, name: str, text: str) -> None:
        self.out_dir.mkdir(parents=True, exist_ok=True)
        write_text(self.out_dir / name, f"{text}\n")


def _text(frame: pd.DataFrame) -> str:
    return text_table(list(frame.columns), frame.values.tolist())
