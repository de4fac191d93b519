"""What a state costs: CPU/BPU switches, segments, the static estimate, and edits that would win something."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qworkbench.workbench.config import Config
from qworkbench.workbench.diagnosing import Diagnosing
from qworkbench.workbench.run import Run, run_config

if TYPE_CHECKING:
    import pandas as pd

    from qworkbench.estimate.estimate import Estimate


class Costing(Diagnosing):
    """A workbench that counts and estimates."""

    def cost(self) -> pd.DataFrame:
        """Return what CPU/BPU switches and CPU ops move (:func:`qworkbench.estimate.switches.cost_table`)."""
        from qworkbench.estimate.switches import cost_table

        return cost_table(self.graph, self.placement)

    def segments(self) -> pd.DataFrame:
        """Return the BPU segments and what splits them (:func:`qworkbench.estimate.segments.segment_table`)."""
        from qworkbench.estimate.segments import segment_table

        return segment_table(self.placement)

    def estimate(
        self,
        level: str = "O2",
        *,
        objective: str = "latency",
        progress: Callable[[str, int, int], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Estimate:
        """Return a static estimate of latency and DDR traffic per node and in total; nothing is measured.

        Parameters
        ----------
        level : "O0" | "O1" | "O2"
            ``optimize_level``: how wide fusion, order and tiling are searched.
        objective : "latency" | "bandwidth"
            ``compile_mode``: what the search makes small.
        progress, cancelled
            As everywhere.

        Raises
        ------
        UnknownNameError
            For an unknown level or objective.
        Cancelled

        Notes
        -----
        For the batch that the board model is compiled for (:class:`qworkbench.SetBatch`). The figures behind it are
        parameters of the march; ``SetAssumption`` changes them.
        """
        from qworkbench.estimate.estimate import estimate
        from qworkbench.graph.batching import free_batch

        config, graph = self.config, self.graph
        if config.batching.compiled > 1:
            graph = free_batch(graph) or graph
        return estimate(
            graph,
            self.placement,
            config.machine,
            level=level,
            objective=objective,
            batch=config.batching.compiled,
            progress=progress,
            cancelled=cancelled,
        )

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
