"""``QconfigSetter``: templates over one reference qconfig, for the whole model at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qworkbench.qat.dtype import FLOAT_NAMES, code_range
from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization.fake_cast import FakeCast
from qworkbench.qat.quantization.fake_quantize import FakeQuantize
from qworkbench.qat.quantization.observer import FixedScaleObserver, MinMaxObserver
from qworkbench.qat.quantization.qconfig import QConfig, factory_class, get_qconfig
from qworkbench.qat.quantization.qconfig_setter.templates import Template, Wanted
from qworkbench.qat.quantization.sites import Site


class QconfigSetter:
    """Decides the dtypes of a whole model by templates.

    The templates are applied in their order, so general ones come first. Afterwards, unless `enable_optimize` is
    False, two things are adjusted where no template froze them: a producer of int8 whose reader asks for int16 writes
    int16, and a convolution in front of a DeQuantStub keeps its high precision.

    Parameters
    ----------
    reference_qconfig : QConfig
        ``get_qconfig(observer)``: the observer, and whether scales are fixed.
    templates : sequence of templates
    enable_optimize : bool
    """

    def __init__(
        self, reference_qconfig: QConfig, templates: Sequence[Template] = (), enable_optimize: bool = True
    ) -> None:
        if not isinstance(reference_qconfig, QConfig):
            raise QATError(f"reference_qconfig is get_qconfig(...), got {type(reference_qconfig).__name__}")
        for template in templates:
            if not callable(getattr(template, "apply", None)):
                raise QATError(f"templates hold ModuleNameTemplate and the like, got {template!r}")
        self.reference = reference_qconfig
        self.templates = tuple(templates)
        self.enable_optimize = enable_optimize

    def decide(self, sites: Mapping[str, Site], names: set[str]) -> dict[str, QConfig | None]:
        """Return the qconfig of each site; `names` are all modules of the model."""
        reference = self.reference
        start = Wanted(reference.input_dtype, reference.dtype("weight"), reference.dtype("activation"))
        wanted = dict.fromkeys(sites, start)
        for template in self.templates:
            template.apply(sites, wanted, names)
        if self.enable_optimize:
            self._raise_producers(sites, wanted)
            for path, site in sites.items():
                now = wanted[path]
                plain = now.output in ("qint8", "qint16") and now.threshold is None
                if site.tail and plain and not now.frozen:
                    wanted[path] = replace(now, output=None)
        return {path: self._qconfig(now) for path, now in wanted.items()}

    @staticmethod
    def _raise_producers(sites: Mapping[str, Site], wanted: dict[str, Wanted]) -> None:
        for path, site in sites.items():
            asked = wanted[path].input
            for number, source in enumerate(site.reads if asked is not None else ()):
                dtype = asked[min(number, len(asked) - 1)] if isinstance(asked, tuple) else asked
                producer = wanted.get(source)
                if dtype == "qint16" and producer and producer.output == "qint8" and not producer.frozen:
                    wanted[source] = replace(producer, output="qint16")

    def _qconfig(self, now: Wanted) -> QConfig:
        part = self.reference.activation
        keywords = dict(getattr(part, "keywords", {}))
        integer = part is not None and factory_class(part) is not FakeCast
        observer = keywords.get("observer", MinMaxObserver) if integer else self._observer()
        made = get_qconfig(observer, None, now.weight, now.output, bool(keywords.get("fix_scale", False)))
        if now.threshold is not None and now.output is not None and now.output not in FLOAT_NAMES:
            assert made.activation is not None
            scale = now.threshold / -code_range(now.output)[0]
            cls: Any = factory_class(made.activation)
            fixed = cls.with_args(observer=FixedScaleObserver, dtype=now.output, scale=scale)
            made = replace(made, activation=fixed)
        if now.input is None:
            return made
        each = [
            get_qconfig(observer, None, None, d).activation
            for d in (now.input if isinstance(now.input, tuple) else (now.input,))
        ]
        return replace(made, input=tuple(each) if isinstance(now.input, tuple) else each[0])

    def _observer(self) -> Any:
        weight = self.reference.weight
        calibrates = weight is not None and factory_class(weight) not in (FakeQuantize, FakeCast)
        from qworkbench.qat.quantization.histogram_observer import HistogramObserver

        return HistogramObserver if calibrates else MinMaxObserver
