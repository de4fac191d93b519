"""From setters to an answer per module: looks at the fused graph once, then is asked for each operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from qworkbench.qat.errors import QATError
from qworkbench.qat.march import March
from qworkbench.qat.quantization.qconfig import QConfig
from qworkbench.qat.quantization.qconfig_dict import QConfigResolver, QConfigRules, Resolver
from qworkbench.qat.quantization.qconfig_setter.ready import PASS
from qworkbench.qat.quantization.qconfig_setter.setter import QconfigSetter
from qworkbench.qat.quantization.sites import Site, kind_of, sites_of_graph, sites_of_modules


class SetterResolver:
    """Answers by a QconfigSetter, or by the first of several one-by-one setters that has an answer."""

    def __init__(self, setters: Any, model: nn.Module, march: March) -> None:
        self.setters = setters if isinstance(setters, (tuple, list)) else (setters,)
        whole = [isinstance(setter, QconfigSetter) for setter in self.setters]
        if not self.setters or (any(whole) and len(whole) > 1):
            raise QATError("give one QconfigSetter, or a tuple of setters whose last one answers for every operator")
        for setter in self.setters:
            if not (isinstance(setter, QconfigSetter) or callable(getattr(setter, "answer", None))):
                raise QATError(f"a qconfig setter is a QconfigSetter or one of the ready setters, got {setter!r}")
        self.sites: dict[str, Site] = {}
        self._decided: dict[str, QConfig | None] = {}
        self._model = model
        self._rules = QConfigRules(march)

    def check_names(self, model: nn.Module) -> None:
        """Let the setters check the names that they were given."""
        names = {name for m in (model, self._model) for name, _ in m.named_modules()}
        for setter in self.setters:
            if not isinstance(setter, QconfigSetter):
                setter.check_names(names)

    def look_at(self, made: nn.Module) -> None:
        """Decide for the operators of a fused graph, or of a model without one."""
        self.sites = sites_of_graph(made) if isinstance(made, fx.GraphModule) else sites_of_modules(made)
        names = {name for m in (made, self._model) for name, _ in m.named_modules()}
        for setter in self.setters:
            if isinstance(setter, QconfigSetter):
                self._decided = setter.decide(self.sites, names)

    def __call__(self, path: str, module: nn.Module) -> QConfig | None:
        """Return the qconfig of `module` at `path`."""
        site = self.sites.get(path, Site(path, module, kind_of(module, "")))
        for setter in self.setters:
            if isinstance(setter, QconfigSetter):
                names = {name for name, _ in self._model.named_modules()} | {path}
                found = self._decided[path] if path in self._decided else setter.decide({path: site}, names)[path]
            else:
                found = setter.answer(site)
            if found is not PASS:
                return self._rules.checked(path, found)
        raise QATError(f"no setter has a qconfig for {path!r}; end the tuple with one that answers for all operators")


def resolver_for(given: Any, model: nn.Module, march: March) -> Resolver:
    """Return what answers for `given`: None (qconfig attributes), a qconfig dict, or setters."""
    if given is None or isinstance(given, Mapping):
        return QConfigResolver(given, model, march)
    return SetterResolver(given, model, march)
