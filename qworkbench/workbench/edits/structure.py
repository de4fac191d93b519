"""Edits of the graph's structure: nodes put in, and taken out again.

They must not know the graph: a configuration lists what is inserted, and the stages apply the list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qworkbench.errors import EditError, unknown_name
from qworkbench.workbench.config import Config, UnitConv
from qworkbench.workbench.edits.base import Edit


@dataclass(frozen=True)
class InsertUnitConv(Edit):
    """Insert a depthwise 1x1 identity convolution "before" or "after" `node`."""

    node: str
    where: str = "after"
    slot: int | None = None

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        if self.where not in ("before", "after"):
            raise unknown_name("side", self.where, ("before", "after"))
        if self.where == "after" and self.slot is not None:
            raise EditError(f"slot picks an input, and a unit conv after {self.node!r} has none to pick; leave it out")
        if (self.node, self.where, self.slot) in [u.place for u in config.unit_convs]:
            raise EditError(f"{self.node!r} already has a unit conv {self.where} it; undo or remove that one first")
        index = max((u.index for u in config.unit_convs), default=-1) + 1
        unit = UnitConv(self.node, self.where, self.slot, index)  # type: ignore[arg-type]
        return replace(config, unit_convs=(*config.unit_convs, unit))

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.node}: unit conv {self.where}{'' if self.slot is None else f' (input {self.slot})'}"


@dataclass(frozen=True)
class RemoveUnitConv(Edit):
    """Take out the unit conv "before" or "after" `node` again."""

    node: str
    where: str = "after"
    slot: int | None = None

    def apply(self, config: Config) -> Config:
        """See :meth:`Edit.apply`."""
        kept = tuple(u for u in config.unit_convs if u.place != (self.node, self.where, self.slot))
        if len(kept) == len(config.unit_convs):
            places = ", ".join(f"{u.where} {u.node!r}" for u in config.unit_convs) or "nowhere"
            raise EditError(f"there is no unit conv {self.where} {self.node!r} to remove; there are some {places}")
        gone = {f"_unitconv_{u.index}" for u in config.unit_convs if u not in kept}
        return replace(
            config,
            unit_convs=kept,
            on={name: wish for name, wish in config.on.items() if name not in gone},
            scales={name: wish for name, wish in config.scales.items() if name not in gone},
            dtypes={name: wish for name, wish in config.dtypes.items() if name not in gone},
            methods={name: method for name, method in config.methods.items() if name not in gone},
        )

    def describe(self) -> str:
        """See :meth:`Edit.describe`."""
        return f"{self.node}: unit conv {self.where} removed"
