"""Edits of shared modules: one scale for all calls, or a copy for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from qworkbench.errors import EditError, unknown_name
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits.base import Edit


@dataclass(frozen=True)
class SetSharing(Edit):
    """One scale for all calls of a "module" (training plugin), or one for each "call" (PTQ, the default)."""

    by: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        if self.by not in ("module", "call"):
            raise unknown_name("way of sharing", self.by, ("module", "call"))
        return replace(config, share_modules=self.by == "module", split=config.split if self.by == "module" else ())

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"one scale per {self.by}"

    def targets(self) -> tuple[tuple[str, Any], ...]:
        """See :meth:`Edit.targets`."""
        return (("sharing of scales", self.by),)


@dataclass(frozen=True)
class SplitModule(Edit):
    """Give each call of a shared module its own copy, and so its own scale."""

    module: str

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        if not config.share_modules:
            raise EditError(
                f"splitting {self.module!r} changes nothing, since each call has its own scale already; "
                "SetSharing('module') emulates the training plugin, where the calls of a module share one"
            )
        if self.module in config.split:
            raise EditError(f"{self.module!r} is split already")
        return replace(config, split=(*config.split, self.module))

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.module}: a copy for each call"
