"""The workbench: the one thing that remembers.

Holds a captured model, the history of configurations, calibration statistics and cached results. Every action of the
magics and the widgets is one call here. Safe to call from several threads: edits and publications take one lock, long
work runs on a snapshot and publishes only if nothing newer has been published.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from qworkbench.analysis.sensitivity import SensitivityMemo
from qworkbench.calibration.method import DEFAULT_PERCENTILE, Statistics
from qworkbench.calibration.observe import batches_of, collect
from qworkbench.calibration.search import SEARCHES, SearchResult
from qworkbench.emulator.cache import ResultCache
from qworkbench.errors import CalibrationError, EditError, QWorkbenchError, unknown_name
from qworkbench.graph.ir import Graph
from qworkbench.march import get_march
from qworkbench.placement.types import Placement
from qworkbench.workbench.config import Config, difference, stub_scales
from qworkbench.workbench.debugging import (
    bad_cases_of,
    check_of,
    layers_of,
    proposals_of,
    samples,
    sensitivity_of,
    start_analysis,
)
from qworkbench.workbench.details import node_details
from qworkbench.workbench.edits import (
    ClearScale,
    Edit,
    FixScale,
    InsertUnitConv,
    RemoveUnitConv,
    SetCalibration,
    SetNodeCalibration,
    check_contradictions,
)
from qworkbench.workbench.explain import Explanation, explain
from qworkbench.workbench.history import Entry, History
from qworkbench.workbench.jobs import Job, Worker
from qworkbench.workbench.mixing import mixed_of
from qworkbench.workbench.models import InputShape, graph_of
from qworkbench.workbench.rows import journal_rows, node_rows, output_rows
from qworkbench.workbench.run import Measured, Run, emulate_config, run_config
from qworkbench.workbench.stages import Stages

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from qworkbench.analysis.badcase import BadCases
    from qworkbench.analysis.check import ModelCheck
    from qworkbench.analysis.layers import LayerComparison
    from qworkbench.analysis.mixed import MixedPrecision
    from qworkbench.calibration.check import Finding

Listener = Callable[[str, Any], None]


class Workbench:
    """A model on a march, ready to be edited and rerun in place.

    Parameters
    ----------
    model : torch.nn.Module, str or Path
        A trained model, which is captured in eval mode and left as it was, or the path of an ``.onnx`` file.
    example : tensor, array, tuple or dict
        One sample (or batch) as the model takes it; also what :meth:`run` uses by default. May be left out for an ONNX
        file; :meth:`run` then needs inputs.
    calibration : array, tensor or iterable of batches, optional
        Calibrates at once with the `max` method; otherwise call :meth:`calibrate`.
    march : str
        ``"bernoulli2"``, ``"bayes"`` or ``"bayes-e"``.
    cache_bytes : int
        Bound of the result cache.
    input_shape : sequence of int, or Mapping of str to sequence of int, optional
        Sizes of axes that an ONNX file leaves open, where no example gives them.

    Raises
    ------
    CaptureError
        When the model cannot be turned into a graph; the text holds file, line and the ways out.
    FileFormatError
        When the path leads to no readable ONNX file.
    CalibrationError
        When calibration data does not fit the model.
    UnknownNameError
        For an unknown march.

    Examples
    --------
    >>> wb = Workbench(model, example, calibration=images, march="bayes-e")  # doctest: +SKIP
    >>> wb.edit(SetPlacement("softmax", "bpu"))  # doctest: +SKIP
    >>> wb.run().table  # doctest: +SKIP
    """

    def __init__(
        self,
        model: torch.nn.Module | str | Path,
        example: Any = None,
        *,
        calibration: Any = None,
        march: str = "bayes-e",
        name: str | None = None,
        cache_bytes: int | None = None,
        input_shape: InputShape | None = None,
    ) -> None:
        known = get_march(march).name
        self._lock = RLock()
        self._model, self._example = model, example
        self._stages = Stages(graph_of(model, example, name=name, input_shape=input_shape))
        config = Config(march=known, scales=stub_scales(self._stages.base))
        self._history = History(config)
        self._cache = ResultCache() if cache_bytes is None else ResultCache(cache_bytes)
        self._measured = Measured()
        self._effects = SensitivityMemo()
        self._last: Run | None = None
        self._asked = self._published = 0
        self._worker = Worker()
        self._listeners: list[Listener] = []
        self._stages.placement(config)
        if calibration is not None:
            self.calibrate(calibration)

    # -- what it holds
    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._history.config

    @property
    def base_graph(self) -> Graph:
        """The captured model, without inserted nodes."""
        return self._stages.base

    @property
    def graph(self) -> Graph:
        """The model as it is edited now."""
        return self._stages.graph(self.config)

    @property
    def placement(self) -> Placement:
        """Where each node runs now, and why."""
        return self._stages.placement(self.config)

    @property
    def statistics(self) -> Statistics | None:
        """What calibration learned; None before :meth:`calibrate`."""
        return self._stages.statistics

    @property
    def model(self) -> torch.nn.Module | str | Path:
        """The model as it was given: a module, or the path of an ONNX file."""
        return self._model

    @property
    def example(self) -> Any:
        """The sample that :meth:`run` uses by default; None where an ONNX file was loaded without one."""
        return self._example

    @property
    def march(self) -> str:
        """Name of the march in force."""
        return self.config.march

    @property
    def title(self) -> str:
        """Model and march in a few words."""
        return f"{self._stages.base.name} on {self.march}"

    @property
    def last_run(self) -> Run | None:
        """The newest finished run."""
        return self._last

    @property
    def stale(self) -> bool:
        """Tell whether edits were made, or thresholds calibrated, since the newest run."""
        last = self._last
        return last is None or last.config != self.config or last.calibrated != self._stages.calibrated

    def edited_nodes(self) -> frozenset[str]:
        """Return the names that the user changed, inserted nodes included."""
        inserted = (name for name in self.graph.nodes.names() if name not in self._stages.base.nodes)
        return self.config.edited() | frozenset(inserted)

    # -- edits
    def edit(self, *edits: Edit) -> Placement:
        """Apply `edits` as one step of the history and return the new placement.

        Nothing is emulated; call :meth:`run` or :meth:`run_async`.

        Raises
        ------
        QWorkbenchError
            When an edit is wrong, does not fit the model, or contradicts another one of the same call; the workbench
            is then unchanged.
        """
        if not edits:
            raise EditError("edit() needs at least one edit, e.g. SetPlacement('softmax', 'bpu')")
        check_contradictions(edits)
        with self._lock:
            config = self.config
            made: list[Edit] = []
            for given in edits:
                self._check_node(given, config)
                edit = self._in_one_form(given, config)
                config = edit.apply(config)
                self._check_effect(edit, config)
                made.append(edit)
            placement = self._stages.placement(config)
            now = self.config
            if self._stages.statistics is not None and (config.calibration, config.methods) != (
                now.calibration,
                now.methods,
            ):
                self._stages.plan(config)
            self._history.push(tuple(made), config)
        self._publish("edited", None)
        return placement

    def _check_node(self, edit: Edit, config: Config) -> None:
        name = getattr(edit, "node", None)
        if name is None:
            return
        graph = self._stages.graph(config)
        # a model input has a scale, but nothing else that could be edited
        scaled = isinstance(edit, (FixScale, ClearScale, SetNodeCalibration))
        known = (*graph.nodes.names(), *(graph.inputs if scaled else ()))
        if name not in known:
            raise unknown_name("node", name, known)

    def _in_one_form(self, edit: Edit, config: Config) -> Edit:
        """Leave the slot out where a node has one data input only, so that one place has one name."""
        if isinstance(edit, (InsertUnitConv, RemoveUnitConv)) and edit.where == "before" and edit.slot is not None:
            graph = self._stages.graph(config)
            node = graph.nodes[edit.node]
            slots = [slot for slot, value in enumerate(node.inputs) if graph.is_activation(value)]
            if slots == [edit.slot]:
                return replace(edit, slot=None)
        return edit

    def _check_effect(self, edit: Edit, config: Config) -> None:
        """Refuse a fixed scale that has no quantized tensor to act on."""
        if not isinstance(edit, FixScale):
            return
        placement = self._stages.placement(config)
        known = edit.node in placement.nodes and placement[edit.node].on != "NONE"
        group = placement.group(placement.unit_of(edit.node).outputs[0] if known else edit.node)
        if group is not None and group.fixed_scale is not None:
            return
        where = placement[edit.node].dtype if edit.node in placement.nodes else "float32"
        why = "leaves the BPU as int32" if where == "int32" else "is float there: it runs on the CPU"
        raise EditError(
            f"scale of {edit.node!r} has nothing to act on: its output {why} and no BPU op reads it quantized"
        )

    def undo(self) -> Entry:
        """Take back the last step; its results are still cached."""
        with self._lock:
            entry = self._history.undo()
        self._publish("edited", None)
        return entry

    def redo(self) -> Entry:
        """Make the step that was undone last again."""
        with self._lock:
            entry = self._history.redo()
        self._publish("edited", None)
        return entry

    def reset(self) -> None:
        """Take back every edit (each can be made again with :meth:`redo`)."""
        with self._lock:
            while self._history.cursor:
                self._history.undo()
        self._publish("edited", None)

    @property
    def can_undo(self) -> bool:
        """Tell whether there is a step to take back."""
        return self._history.cursor > 0

    @property
    def can_redo(self) -> bool:
        """Tell whether there is a step to make again."""
        return self._history.cursor < len(self._history.entries)

    @property
    def journal(self) -> tuple[str, ...]:
        """The steps in force, oldest first, one line each."""
        return tuple(entry.text for entry in self._history.done)

    @property
    def history(self) -> History:
        """The steps themselves, also the undone ones."""
        return self._history

    def diff(self) -> list[str]:
        """Return one line per setting that differs from the state at load."""
        return difference(self._history.initial, self.config)

    def as_code(self) -> str:
        """Return the Python calls that make the state in force from a fresh workbench."""
        steps = (f"wb.edit({', '.join(edit.as_code() for edit in entry.edits)})" for entry in self._history.done)
        return "\n".join(["import qworkbench as q", *steps])

    # -- calibration
    def calibrate(
        self,
        data: Any = None,
        *,
        method: str = "max",
        percentile: float = DEFAULT_PERCENTILE,
        per_channel: bool = False,
        progress: Callable[[int, int | None], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> SearchResult | None:
        """Observe calibration data, and choose how thresholds are read off it.

        Parameters
        ----------
        data : array, tensor, iterable of batches, or str or Path of a folder, optional
            None keeps the statistics and changes only the method, without touching data. A folder holds ``.npy`` files
            or raw samples (:mod:`qworkbench.calibration.data`).
        method : "max" | "max-percentile" | "kl" | "mse" | "moving-average" | "default" | "mix"
            ``default`` and ``mix`` are the searches of the PTQ FAQ (:mod:`qworkbench.calibration.search`); what wins is
            applied as one step.
        percentile : float
        per_channel : bool
            One threshold per feature-map channel where convolutions on both sides allow it; a search decides itself.
        progress, cancelled : callable, optional

        Returns
        -------
        SearchResult or None
            Every candidate of a search and why the winner won.

        Raises
        ------
        CalibrationError
            Empty data, wrong shape, NaN; the workbench keeps its former thresholds.
        Cancelled
            So does it here.
        """
        searched = method in SEARCHES
        choice = SetCalibration("max" if searched else method, percentile, per_channel)
        target = choice.apply(self.config)
        stages = self._stages
        if data is None and stages.statistics is None:
            raise QWorkbenchError("nothing is calibrated yet; pass calibration data once, then switch methods")
        if data is not None:
            batches = batches_of(data, stages.base)
            statistics = collect(stages.base, batches, per_channel=per_channel, progress=progress, cancelled=cancelled)
            stages = Stages(stages.base)
            stages.statistics = statistics
        result: SearchResult | None = None
        edits: tuple[Edit, ...] = (choice,)
        if searched:
            from qworkbench.workbench.searching import edits_of, search

            step = None if progress is None else lambda _, done, total: progress(done, total)
            result = search(
                method, stages, self.config, self._example, percentile=percentile, progress=step, cancelled=cancelled
            )
            edits = edits_of(result, self.config)
        if data is not None:
            with self._lock:
                self._stages.statistics = stages.statistics
        if data is None or searched or target.calibration != self.config.calibration:
            self.edit(*edits)
        else:
            self._publish("edited", None)
        return result

    def check_data(self, data: Any, *, cancelled: Callable[[], bool] = lambda: False) -> list[Finding]:
        """Return what looks wrong about calibration data (layout, NaN, normalisation ...), one sentence each."""
        from qworkbench.calibration.check import check_data

        return check_data(self.base_graph, batches_of(data, self.base_graph), self._example, cancelled=cancelled)

    def calibrate_async(self, data: Any = None, **options: Any) -> Job:
        """Do the same on the worker thread, with progress and cancel; a newer job cancels this one."""

        def work(job: Job) -> SearchResult | None:
            def progress(done: int, total: int | None) -> None:
                job.progress(done, total or 0)
                self._publish("progress", {"node": "calibration", "done": done, "total": total or 0})

            try:
                return self.calibrate(data, progress=progress, cancelled=lambda: job.cancelled, **options)
            except Exception as error:
                self._publish("cancelled" if job.cancelled else "error", str(error))
                raise

        self._publish("running", None)
        return self._worker.start(work)

    # -- running
    def run(self, inputs: Any = None, *, progress: Callable[[str, int, int], None] | None = None) -> Run:
        """Emulate the configuration in force and compare every node with the float model.

        Parameters
        ----------
        inputs : as the model takes them, optional
            Any batch size where the model allows it; None is the example.
        progress : callable, optional
            Called with (node, done, total) as nodes are measured.

        Returns
        -------
        Run
            Only what the edits reach is computed; ``before`` columns refer to the run before on the same inputs.
        """
        return self._run(self.config, self._ticket(), inputs, progress, lambda: False)

    def run_async(self, inputs: Any = None) -> Job:
        """Do the same on the worker thread; a newer call cancels this one. Listeners hear of progress and the end."""
        config, ticket = self.config, self._ticket()

        def work(job: Job) -> Run:
            def progress(node: str, done: int, total: int) -> None:
                job.progress(done, total)
                self._publish("progress", {"node": node, "done": done, "total": total})

            try:
                return self._run(config, ticket, inputs, progress, lambda: job.cancelled)
            except Exception as error:
                self._publish("cancelled" if job.cancelled else "error", str(error))
                raise

        self._publish("running", None)
        return self._worker.start(work)

    def cancel(self) -> bool:
        """Stop the running job; tell whether there was one."""
        return self._worker.cancel()

    def _ticket(self) -> int:
        """Return a number that tells which of two runs was asked for later."""
        with self._lock:
            self._asked += 1
            return self._asked

    def _run(
        self,
        config: Config,
        ticket: int,
        inputs: Any,
        progress: Callable[[str, int, int], None] | None,
        cancelled: Callable[[], bool],
    ) -> Run:
        sample = self._sample(inputs)
        run = run_config(
            self._stages,
            config,
            sample,
            self._cache,
            self._measured,
            before=self._last,
            progress=progress,
            cancelled=cancelled,
        )
        with self._lock:
            newest = ticket > self._published
            if newest:
                self._last, self._published = run, ticket
        if newest:
            self._publish("ran", run)
        return run

    def _sample(self, inputs: Any) -> Any:
        sample = self._example if inputs is None else inputs
        if sample is None:
            raise CalibrationError("the model was loaded without an example; pass inputs, e.g. wb.run(images[:1])")
        return sample

    def emulate(self, inputs: Any) -> Any:
        """Return the emulated outputs on `inputs` in the model's own form, without comparing anything."""
        return emulate_config(self._stages, self.config, inputs, self._cache)

    def forget(self) -> None:
        """Drop every cached result and distance; the next run computes all of it again."""
        with self._lock:
            self._cache.clear()
            self._measured = Measured()
            self._effects = SensitivityMemo()

    # -- debugging accuracy
    def sensitivity(self, inputs: Any = None, **options: Any) -> pd.DataFrame:
        """Return what each quantizer, switched on alone, does to the outputs, worst first.

        Parameters
        ----------
        inputs : as the model takes them, optional
            Any batch size where the model allows it; None is the example.
        **options
            ``metric``, ``nodes``, ``budget`` (bytes), ``progress``, ``cancelled``, ``on_rows``: see
            :func:`qworkbench.analysis.sensitivity.sensitivity`.

        Returns
        -------
        pandas.DataFrame
            Only what edits changed is computed again.
        """
        return sensitivity_of(self._stages, self.config, self._feeds(inputs), self._effects, **options)

    def bad_cases(self, data: Any, **options: Any) -> BadCases:
        """Return the samples of `data` on which the emulated outputs are farthest from float.

        Parameters
        ----------
        data : array, tensor or iterable of batches
        **options
            ``metrics``, ``limit``, ``resume``, ``stop``, ``progress``, ``cancelled``: see
            :func:`qworkbench.analysis.badcase.find_bad_cases`.
        """
        return bad_cases_of(self._stages, self.config, data, **options)

    def compare_layers(self, inputs: Any = None, **options: Any) -> LayerComparison:
        """Compare every layer with float on `inputs` (None: the example), with the layer's own share and advice.

        Parameters
        ----------
        inputs : as the model takes them, optional
            Best a bad case: ``wb.compare_layers(bad.sample("L1"))``.
        **options
            ``progress``, ``cancelled``: see :func:`qworkbench.analysis.layers.compare_layers`.
        """
        return layers_of(self._stages, self.config, self._feeds(inputs), **options)

    def mixed_precision(
        self, target: float, inputs: Any = None, *, tables: Any = None, **options: Any
    ) -> MixedPrecision:
        """Find the smallest share of int16 tensors that reaches `target`; ``wb.edit(*result.edits)`` applies it.

        Parameters
        ----------
        target : float
            Of ``metric`` (default COSINE, worst output), or of the accuracy that ``evaluate`` returns.
        inputs : as the model takes them, optional
            Samples to measure on; None is the example.
        tables : DataFrame or several, optional
            Sensitivity tables; without, one is made on `inputs`.
        **options
            ``metric``, ``evaluate``, ``kinds``, ``progress``, ``cancelled``: see
            :func:`qworkbench.workbench.mixing.mixed_of`.
        """
        feeds = self._feeds(inputs)
        if tables is None:
            watch = {name: options[name] for name in ("progress", "cancelled") if name in options}
            tables = self.sensitivity(feeds, **watch)
        return mixed_of(self._stages, self.config, feeds, tables, target, **options)

    def check(self, ranges: Mapping[str, tuple[float, float]] | None = None) -> ModelCheck:
        """Return the model check: fusion, call counts, dtypes, unusual settings; ``.save()`` writes the guide's file.

        `ranges` declares what is known of inputs or nodes, e.g. ``{"image": (-1, 1)}``.
        """
        return check_of(self._stages, self.config, ranges)

    def fixed_scales(self, ranges: Mapping[str, tuple[float, float]] | None = None) -> tuple[Edit, ...]:
        """Return edits that fix scales where the range is known; ``wb.edit(*edits)`` applies them as one step."""
        return tuple(FixScale(p.node, p.scale) for p in proposals_of(self._stages, self.config, ranges))

    def _feeds(self, inputs: Any) -> dict[str, torch.Tensor]:
        return samples(self._stages, inputs, self._example)

    def in_background(self, analysis: str, *given: Any, **options: Any) -> Job:
        """Run a long analysis (``"sensitivity"`` ...) on the worker thread; a newer job cancels this one.

        Listeners hear ``progress``, ``rows`` (a table so far), and ``analysed`` with the result, or ``error``.
        """
        return start_analysis(self._worker, self._publish, self, analysis, *given, **options)

    # -- asking
    def why(self, name: str) -> Explanation:
        """Explain where node `name` runs: reason, rule, facts, and the cheapest ways to change it."""
        return explain(self.graph, self.placement, name)

    def node_details(self, name: str) -> dict[str, Any]:
        """Return everything that a panel shows of one node, as plain data."""
        plan = self._stages.plan(self.config) if self._stages.statistics is not None else None
        run = self._last if self._last is not None and not self.stale else None
        return node_details(self.graph, self.placement, plan, self.config, None if run is None else run.metrics, name)

    def cost(self) -> pd.DataFrame:
        """Return what CPU/BPU switches and CPU ops move (:func:`qworkbench.toolchain.cost.cost_table`)."""
        from qworkbench.toolchain.cost import cost_table

        return cost_table(self.graph, self.placement)

    def advise(
        self,
        inputs: Any = None,
        *,
        limit: int = 10,
        progress: Callable[[str, int, int], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> pd.DataFrame:
        """Return edits ranked by what they win, each with its measured cosine and L1; none of them is kept.

        See :func:`qworkbench.workbench.advice.advise`; `inputs` are as in :meth:`run`.
        """
        from qworkbench.workbench.advice import advise

        sample = self._sample(inputs)

        def measure(config: Config) -> Run:
            return run_config(self._stages, config, sample, self._cache, self._measured, cancelled=cancelled)

        return advise(self._stages, self.config, measure, limit=limit, progress=progress, cancelled=cancelled)

    def vendor_table(self) -> pd.DataFrame:
        """Return the table that the vendor's converter prints: node, on, subgraph, type, cosine, threshold, dtype.

        Thresholds (of a row's first input) are those in force, NaN before calibration; cosines come from the newest
        run, NaN before any.
        """
        from qworkbench.toolchain.frame import vendor_frame

        plan = self._stages.plan(self.config) if self._stages.statistics is not None else None
        layers = None if self._last is None else self._last.layers
        return vendor_frame(self.graph, self.placement, get_march(self.march), plan, layers)

    def output_rows(self) -> list[dict[str, Any]]:
        """Return the newest run's outputs as plain rows; empty before any run."""
        return [] if self._last is None else output_rows(self._last.table)

    def node_rows(self) -> list[dict[str, Any]]:
        """Return one plain row per node, with the newest run's distances."""
        return node_rows(self.graph, self.placement, None if self._last is None else self._last.layers)

    def journal_rows(self) -> list[dict[str, Any]]:
        """Return the steps of the history as plain rows."""
        return journal_rows(self._history)

    def view(self, collapsed: Collection[str] | None = None) -> dict[str, Any]:
        """Return the picture as plain data (:mod:`qworkbench.view.model`)."""
        from qworkbench.view.model import build_view

        return build_view(self, collapsed=collapsed)

    def save(self, path: str | Path) -> Path:
        """Write edits and thresholds to a ``.qwb.json`` file, checked against the model when it is opened again."""
        from qworkbench.workbench.saved import save

        return save(self, Path(path))

    @classmethod
    def open(
        cls, path: str | Path, model: torch.nn.Module | str | Path, example: Any = None, *, calibration: Any = None
    ) -> Workbench:
        """Rebuild a workbench from a saved file and the same model.

        Parameters
        ----------
        path : str or Path
        model : torch.nn.Module, or str or Path of an ONNX file
        example : optional
            Needed only when the file holds none (inputs above 4 MB).
        calibration : optional
            Replaces the saved thresholds.

        Raises
        ------
        FileFormatError
            A file that is damaged, of another kind or version, or of another model.
        """
        from qworkbench.workbench.saved import open_saved

        return open_saved(cls, Path(path), model, example, calibration)

    def to_onnx(self, path: str | Path, *, opset: int = 11) -> Path:
        """Write the float model as it is edited now, unit convs included, as ONNX with the same node names.

        Parameters
        ----------
        path : str or Path
        opset : int
            11 by default, the newest that every converter of these marches reads.

        Raises
        ------
        FileFormatError
            An operator that ONNX has no form for, or a path that cannot be written.
        """
        from qworkbench.toolchain.onnx_export import to_onnx

        return to_onnx(self.graph, path, opset=opset)

    def export_yaml(self, path: str | Path) -> list[str]:
        """Write the state as a PTQ configuration; a file that is there is changed key by key and keeps its comments.

        Returns
        -------
        list of str
            One line per setting for which the file has no key.

        Raises
        ------
        FileFormatError
            When what is there is no PTQ configuration, or the path cannot be written.
        """
        from qworkbench.toolchain.ptq_yaml import PtqYaml
        from qworkbench.workbench.ptq import writing

        base = PtqYaml.read(path) if Path(path).exists() else None
        document, lost = writing(self.config, self.graph, base)
        document.write(path)
        return lost

    def apply_yaml(self, path: str | Path) -> list[str]:
        """Take march, placement, dtypes and calibration of a PTQ configuration over, as one step.

        Where the file leaves the method to a search, the search runs as a second step if there is data to search on.

        Returns
        -------
        list of str
            One line per key without effect.

        Raises
        ------
        QWorkbenchError
            A file that cannot be read, a value outside its allowed set, a node that the model does not have.
        """
        from qworkbench.toolchain.ptq_yaml import PtqYaml
        from qworkbench.workbench.ptq import reading

        found = reading(PtqYaml.read(path), self.config, self.graph)
        if found.edits:
            self.edit(*found.edits)
        if found.search is not None and self.statistics is not None and self.statistics.sketches:
            self.calibrate(method=found.search)
        elif found.search is not None:
            found.remarks.append(f"calibration_type {found.search}: calibrate with data and this method to search")
        return found.remarks

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML file: picture, reasons, tables, journal, assumptions, environment."""
        from qworkbench.workbench.reporting import write_report

        return write_report(self, Path(path))

    # -- listeners
    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event, data)`` on every change; the returned function ends that.

        Events: ``edited``, ``running``, ``progress``, ``ran``, ``cancelled``, ``error``. They may come on any thread.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    def _publish(self, event: str, data: Mapping[str, Any] | Run | str | None) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(event, data)

    # -- display
    def __repr__(self) -> str:
        placed = self.placement
        return (
            f"<Workbench {self.title}: {len(placed)} nodes, {placed.count('BPU')} on BPU, {placed.count('CPU')} on "
            f"CPU, edits: {len(self.journal)}>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        from qworkbench.widgets import display_bundle

        return display_bundle(self, include=include, exclude=exclude)
