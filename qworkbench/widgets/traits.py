"""What the kernel and the page share: the widget's traits, without behaviour."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets as t

from qworkbench.widgets.bundle import script, style
from qworkbench.widgets.progress import IDLE


class Shown(anywidget.AnyWidget):
    """State of the page.

    Attributes
    ----------
    view, panel, outputs, history, table, flags, settings, code, comparison, inputs, status, error
        What the page shows, set by the kernel only.
    found_... : dict
        The newest result of each analysis (:mod:`qworkbench.widgets.results`), or what it has found so far.
    standing : dict
        Whether those results still hold.
    variables : list of str
        Notebook variables that may hold samples.
    selected : str
        Id of the selected node, set from both sides.
    picked : list of str
        Ids of all selected nodes where there are several, `selected` among them; set from both sides.
    colouring : str
        What the fill of a node says, set from both sides; empty leaves it to the page.
    """

    _esm = script()
    _css = style()

    view = t.Dict().tag(sync=True)
    selected = t.Unicode("").tag(sync=True)
    panel = t.Dict().tag(sync=True)
    outputs: t.List[Any] = t.List().tag(sync=True)
    history: t.List[Any] = t.List().tag(sync=True)
    table: t.List[Any] = t.List().tag(sync=True)
    flags = t.Dict().tag(sync=True)
    settings = t.Dict().tag(sync=True)
    code = t.Unicode("").tag(sync=True)
    comparison = t.Dict().tag(sync=True)
    inputs: t.List[Any] = t.List().tag(sync=True)
    picked: t.List[Any] = t.List(t.Unicode()).tag(sync=True)
    colouring = t.Unicode("").tag(sync=True)
    status = t.Dict(dict(IDLE)).tag(sync=True)
    error = t.Unicode("").tag(sync=True)

    found_search = t.Dict().tag(sync=True)
    found_sensitivity = t.Dict().tag(sync=True)
    found_mixed_precision = t.Dict().tag(sync=True)
    found_recipe = t.Dict().tag(sync=True)
    found_compare_layers = t.Dict().tag(sync=True)
    found_bisect = t.Dict().tag(sync=True)
    found_partial = t.Dict().tag(sync=True)
    found_bad_cases = t.Dict().tag(sync=True)
    found_range_proposals = t.Dict().tag(sync=True)
    found_channels = t.Dict().tag(sync=True)
    standing = t.Dict().tag(sync=True)
    variables: t.List[Any] = t.List(t.Unicode()).tag(sync=True)
