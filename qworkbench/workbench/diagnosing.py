"""Accuracy debugging of a workbench: thin calls on the analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qworkbench.analysis.channels import ChannelValues, channel_values
from qworkbench.analysis.partial import Region, bisect, partial
from qworkbench.errors import AnalysisError, unknown_name
from qworkbench.workbench.background import start_analysis
from qworkbench.workbench.debugging import (
    bad_cases_of,
    check_of,
    edits_of_region,
    fake_quantized,
    layers_of,
    limited_values,
    preview_of,
    proposals_of,
    samples,
    sensitivity_of,
    shared_of,
    values_figure,
)
from qworkbench.workbench.edits import Edit, FixScale
from qworkbench.workbench.jobs import Job
from qworkbench.workbench.mixing import mixed_of
from qworkbench.workbench.pipeline import Recipe
from qworkbench.workbench.recipes import run_recipe
from qworkbench.workbench.running import Running
from qworkbench.workbench.trials import check_target

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from qworkbench.analysis.check import ModelCheck
    from qworkbench.analysis.distances import Function
    from qworkbench.analysis.layer_table import LayerComparison
    from qworkbench.analysis.mixed_result import MixedPrecision
    from qworkbench.analysis.ranges import FixedScale
    from qworkbench.analysis.worst import BadCases


class Diagnosing(Running):
    """A workbench that says where accuracy is lost."""

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
        config = self.config
        found = sensitivity_of(self._stages, config, self._feeds(inputs), self._effects, **options)
        self._found("sensitivity", found, config)
        return found

    def sensitivity_preview(self, inputs: Any = None, **options: Any) -> pd.DataFrame:
        """Return an estimate of :meth:`sensitivity` from gradients, marked as one: the order at a glance.

        Parameters
        ----------
        inputs : as the model takes them, optional
        **options
            ``metric``, ``projections``, ``progress``, ``cancelled``: see
            :func:`qworkbench.analysis.preview.preview`.
        """
        config = self.config
        found = preview_of(self._stages, config, self._feeds(inputs), self._effects, **options)
        self._found("sensitivity", found, config)
        return found

    def bad_cases(self, data: Any, **options: Any) -> BadCases:
        """Return the samples of `data` on which the emulated outputs are farthest from float.

        Parameters
        ----------
        data : array, tensor, iterable of batches, or folder
        **options
            ``metrics``, ``limit``, ``resume``, ``stop``, ``progress``, ``cancelled``: see
            :func:`qworkbench.analysis.badcase.find_bad_cases`.
        """
        config = self.config
        found = bad_cases_of(self._stages, config, data, **options)
        self._found("bad_cases", found, config)
        return found

    def compare_layers(self, inputs: Any = None, **options: Any) -> LayerComparison:
        """Compare every layer with float on `inputs` (None: the example), with the layer's own share and advice.

        Parameters
        ----------
        inputs : as the model takes them, optional
            Best a bad case: ``wb.compare_layers(bad.sample("L1"))``.
        **options
            ``progress``, ``cancelled``: see :func:`qworkbench.analysis.layers.compare_layers`.
        """
        config = self.config
        found = layers_of(self._stages, config, self._feeds(inputs), **options)
        self._found("compare_layers", found, config)
        return found

    def values_figure(self, node: str, inputs: Any = None, kind: str = "histogram") -> Figure:
        """Return what a node or input puts out in float, with the ends of its codes: "histogram" or "channels"."""
        return values_figure(self._stages, self.config, self._feeds(inputs), node, kind)

    def channels(self, node: str, inputs: Any = None) -> ChannelValues:
        """Return how each channel of what a node or input puts out in float is spread, and how far codes reach."""
        config = self.config
        values, limit = limited_values(self._stages, config, self._feeds(inputs), node)
        found = channel_values(values, limit, node)
        self._found("channels", found, config)
        return found

    def mixed_precision(
        self, target: float | None = None, inputs: Any = None, *, tables: Any = None, **options: Any
    ) -> MixedPrecision:
        """Find the smallest share of int16 tensors that reaches `target`; ``wb.edit(*result.edits)`` applies it.

        Parameters
        ----------
        target : float, optional
            Of ``metric`` (default COSINE, worst output), or of the accuracy that ``evaluate`` returns; without one,
            as much is raised as ``budget`` allows.
        inputs : as the model takes them, optional
            Samples to measure on; None is the example.
        tables : DataFrame or several, optional
            Sensitivity tables; without, one is made on `inputs`.
        **options
            ``metric``, ``evaluate``, ``kinds``, ``dtype``, ``budget`` (relative cost), ``executor``, ``progress``,
            ``cancelled``: see :func:`qworkbench.workbench.mixing.mixed_of`.
        """
        feeds = self._feeds(inputs)
        if target is not None:
            check_target(target, **options)
        if tables is None:
            watch = {name: options[name] for name in ("progress", "cancelled") if name in options}
            tables = self.sensitivity(feeds, **watch)
        config = self.config
        found = mixed_of(self._stages, config, feeds, tables, target, **options)
        self._found("mixed_precision", found, config)
        return found

    def recipe(self, name: str, target: float, inputs: Any = None, **options: Any) -> Recipe:
        """Run a pipeline of the guide: "j6e", "j6m" or "j6p"; ``wb.edit(*result.edits)`` applies what it found.

        Parameters
        ----------
        name : str
        target : float
            Of ``metric`` (default COSINE, worst output), or of the accuracy that ``evaluate`` returns.
        inputs : as the model takes them, optional
        **options
            ``metric``, ``evaluate``, ``executor``, ``progress``, ``cancelled``: see
            :func:`qworkbench.workbench.recipes.run_recipe`.
        """
        feeds = self._feeds(inputs)
        check_target(target, **options)
        config = self.config
        found = run_recipe(self._stages, config, feeds, name, target, self._effects, **options)
        self._found("recipe", found, config)
        return found

    def check(self, ranges: Mapping[str, tuple[float, float]] | None = None) -> ModelCheck:
        """Return the model check: fusion, call counts, dtypes, unusual settings; ``.save()`` writes the guide's file.

        `ranges` declares what is known of inputs or nodes, e.g. ``{"image": (-1, 1)}``.
        """
        return check_of(self._stages, self.config, ranges)

    def fixed_scales(self, ranges: Mapping[str, tuple[float, float]] | None = None) -> tuple[Edit, ...]:
        """Return edits that fix scales where the range is known; ``wb.edit(*edits)`` applies them as one step.

        Known are outputs of sigmoid, tanh, softmax ..., inputs that look like images in the calibration data, what
        `ranges` declares (``{"speed": (0, 200)}``; ``normalised_range(mean, std)`` for normalised images), and what
        follows from these through the graph.
        """
        return tuple(FixScale(p.node, p.scale) for p in proposals_of(self._stages, self.config, ranges))

    def range_proposals(self, ranges: Mapping[str, tuple[float, float]] | None = None) -> list[FixedScale]:
        """Return what :meth:`fixed_scales` would fix, with the known range, its reason, and the scale now."""
        config = self.config
        found = proposals_of(self._stages, config, ranges)
        self._found("range_proposals", found, config)
        return found

    def shared_modules(self, inputs: Any = None) -> pd.DataFrame:
        """Return the modules that are called or read several times, and which of them want a copy for each call.

        Kinds as in the guide: "A" read by several, "B" called several times with similar outputs, "C" with different
        ones. Judged by the calibration data, or by `inputs`.
        """
        uncalibrated = self.statistics is None or not self.statistics.sketches
        feeds = self._feeds(inputs) if inputs is not None or uncalibrated else None
        return shared_of(self._stages, self.config, feeds)

    def partial(self, *patterns: str, inputs: Any = None, metric: str | Function = "COSINE") -> pd.DataFrame:
        """Return the outputs' distance from float with quantization on, off in a region, and on there only.

        Parameters
        ----------
        *patterns : str
            Ops of the region by name or pattern: ``"head.*"``.
        inputs : as the model takes them, optional
        metric : str or callable
        """
        if not patterns:
            raise AnalysisError("name the region to switch off, e.g. wb.partial('head.*')")
        config = self.config
        found = partial(fake_quantized(self._stages, config, self._feeds(inputs), metric), patterns)
        self._found("partial", found, config)
        return found

    def bisect(
        self, inputs: Any = None, *, metric: str | Function = "COSINE", share: float = 0.9, **options: Any
    ) -> Region:
        """Return the smallest region whose quantization explains `share` of the loss.

        ``wb.edit(*wb.repair(region.ops, "int16"))`` raises it, ``"cpu"`` leaves it in float32.
        """
        config = self.config
        found = bisect(fake_quantized(self._stages, config, self._feeds(inputs), metric), share, **options)
        self._found("bisect", found, config)
        return found

    def repair(self, ops: Sequence[str], how: str = "int16") -> tuple[Edit, ...]:
        """Return the edits that take `ops` out of int8: to "int16", or to the "cpu" in float32."""
        known = (*self.graph.inputs, *self.graph.nodes.names())
        for name in ops:
            if name not in known:
                raise unknown_name("node", name, known)
        return edits_of_region(self._stages, self.config, ops, how)

    def _feeds(self, inputs: Any) -> dict[str, torch.Tensor]:
        return samples(self._stages, inputs, self.sample)

    def in_background(self, analysis: str, *given: Any, **options: Any) -> Job:
        """Run a long analysis (``"sensitivity"`` ...) on the worker thread; a newer job cancels this one.

        Listeners hear ``progress``, ``rows`` and ``analysed`` (both with ``analysis`` and ``result``), or ``error``.
        """
        return start_analysis(self._worker, self._publish, self, analysis, *given, **options)
