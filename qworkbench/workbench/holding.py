"""What a workbench holds: model, history, statistics, cached results, listeners.

The bottom of a chain of classes, one idea each, that :class:`qworkbench.workbench.session.Workbench` closes: holding,
editing, calibrating, running, diagnosing, exchanging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from qworkbench.analysis.sensitivity_memo import SensitivityMemo
from qworkbench.calibration.method import Statistics
from qworkbench.emulator.cache import ResultCache
from qworkbench.emulator.kernels.warm import warm_in_background
from qworkbench.graph.ir import Graph
from qworkbench.march import get_march
from qworkbench.placement.types import Placement
from qworkbench.workbench.config import Config, stub_dtypes, stub_scales
from qworkbench.workbench.findings import Finding
from qworkbench.workbench.history import History
from qworkbench.workbench.jobs import Worker
from qworkbench.workbench.measured import Measured
from qworkbench.workbench.models import InputShape, graph_of
from qworkbench.workbench.run import Run
from qworkbench.workbench.stages import Stages
from qworkbench.workbench.trail import Trail
from qworkbench.workbench.trained import Trained, open_trained, trained_config

if TYPE_CHECKING:
    import torch

    from qworkbench.calibration.preprocess import Preprocess


Listener = Callable[[str, Any], None]
DEFAULT_MARCH = "bayes-e"


class Holding:
    """State and its locks; see :class:`qworkbench.workbench.session.Workbench` for the arguments."""

    _trained: Trained | None
    _remarks: tuple[str, ...]

    def __init__(
        self,
        model: torch.nn.Module | str | Path,
        example: Any,
        *,
        march: str | None,
        name: str | None,
        cache_bytes: int | None,
        input_shape: InputShape | None,
    ) -> None:
        known = None if march is None else get_march(march).name
        warm_in_background()
        trained = None if isinstance(model, (str, Path)) else open_trained(model, example, name=name)
        remarks: list[str] = []
        if trained is None:
            base = graph_of(model, example, name=name, input_shape=input_shape)
            config = Config(march=known or DEFAULT_MARCH, scales=stub_scales(base), dtypes=stub_dtypes(base))
        else:
            base = trained.graph
            config, remarks = trained_config(trained, known or trained.march or DEFAULT_MARCH)
        self._hold(Stages(base), config, model, example, cache_bytes)
        self._trained = trained
        self._remarks = tuple(remarks)

    def _hold(self, stages: Stages, config: Config, model: Any, example: Any, cache_bytes: int | None = None) -> None:
        self._lock = RLock()
        self._model: torch.nn.Module | str | Path = model
        self._example = example
        self._stages = stages
        self._trained = None
        self._remarks = ()
        self._history = History(config)
        self._cache = ResultCache() if cache_bytes is None else ResultCache(cache_bytes)
        self._measured = Measured()
        self._effects = SensitivityMemo()
        self._findings: dict[str, Finding] = {}
        self._last: Run | None = None
        self._ran_on: Any = None
        self._read_as: Mapping[str, Preprocess] | None = None
        self._trail = Trail()
        self.display: dict[str, Any] = {}
        self._asked = self._published = 0
        self._worker = Worker()
        self._listeners: list[Listener] = []
        self._held: list[tuple[str, Any]] | None = None
        self._stages.placement(config)

    @classmethod
    def _of_stages(cls, stages: Stages, config: Config, model: Any, example: Any) -> Self:
        """Return a workbench of a graph that is captured and configured already."""
        made = cls.__new__(cls)
        made._hold(stages, config, model, example)
        return made

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
        """The sample that was given with the model; None where an ONNX file was loaded without one."""
        return self._example

    @property
    def sample(self) -> Any:
        """What :meth:`run` and the analyses use by default.

        The example; without one the first sample of the newest calibration data, by input name; None before both.
        """
        statistics = self._stages.statistics
        if self._example is None and statistics is not None and statistics.first:
            return dict(statistics.first)
        return self._example

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of a prepared or converted model the emulator does not follow; empty for a float model."""
        return self._remarks

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

    @property
    def findings(self) -> dict[str, Finding]:
        """The newest result of each analysis by its name (``"sensitivity"``, ``"search"`` ...), with its state."""
        with self._lock:
            return dict(self._findings)

    def holds(self, analysis: str) -> bool:
        """Tell whether the newest result of `analysis` was measured on the state in force; False without a result."""
        found = self.findings.get(analysis)
        return found is not None and found.holds(self.config, self._stages.calibrated)

    def _found(self, analysis: str, result: Any, config: Config) -> None:
        """Keep `result` of `analysis`, measured on `config`, and tell listeners."""
        with self._lock:
            self._findings[analysis] = Finding(result, config, self._stages.calibrated)
        self._publish("found", analysis)

    def edited_nodes(self) -> frozenset[str]:
        """Return the names that the user changed, inserted nodes included."""
        inserted = (name for name in self.graph.nodes.names() if name not in self._stages.base.nodes)
        return self.config.edited(since=self._history.initial) | frozenset(inserted)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event, data)`` on every change; the returned function ends that.

        Events: ``edited``, ``running``, ``progress``, ``rows`` (of an analysis, so far), ``found`` (its name), ``ran``,
        ``calibrated``, ``analysed``, ``cancelled``, ``error``. They may come on any thread.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    def _take(self, stages: Stages) -> None:
        """Take the statistics of `stages`; and all of it, with no cached result kept, where the weights changed."""
        if self._stages.outdated():
            self._stages = stages
            self.forget()
        else:
            self._stages.statistics = stages.statistics

    def forget(self) -> None:
        """Drop every cached result and distance; the next run computes all of it again."""
        with self._lock:
            self._cache.clear()
            self._measured = Measured()
            self._effects = SensitivityMemo()

    def _publish(self, event: str, data: Any) -> None:
        with self._lock:
            if event == "edited" and self._held is not None:
                self._held.append((event, data))
                return
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(event, data)
