"""What a notebook shows of a workbench: the live widget and its four still forms.

Only translates: every action of the widget is one call on the workbench. Importing this package loads no widget
library; that happens when something is displayed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qworkbench.widgets.protocol import WorkbenchLike
    from qworkbench.widgets.workbench_widget import WorkbenchWidget

__all__ = ["WorkbenchWidget", "display_bundle", "widget_of"]

_ATTRIBUTE = "_qworkbench_widget"


def __getattr__(name: str) -> Any:
    if name == "WorkbenchWidget":
        from qworkbench.widgets.workbench_widget import WorkbenchWidget

        return WorkbenchWidget
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def widget_of(workbench: WorkbenchLike) -> WorkbenchWidget:
    """Return the widget of `workbench`, made on first use.

    One workbench has one widget, kept on the workbench itself: all cells that show it are views of the same state, and
    running a cell again adds no listener.
    """
    from qworkbench.widgets.workbench_widget import WorkbenchWidget

    known = getattr(workbench, _ATTRIBUTE, None)
    if isinstance(known, WorkbenchWidget) and known.comm is not None:
        return known
    widget = WorkbenchWidget(workbench)
    setattr(workbench, _ATTRIBUTE, widget)
    return widget


def display_bundle(
    workbench: WorkbenchLike,
    *,
    include: Collection[str] | None = None,
    exclude: Collection[str] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a cell that ends with `workbench` shows: (data by MIME type, metadata).

    Parameters
    ----------
    workbench : WorkbenchLike
    include, exclude : collection of MIME types, optional
        As IPython passes them.
    """
    return widget_of(workbench)._repr_mimebundle_(include=include, exclude=exclude)
