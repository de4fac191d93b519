"""One self-contained HTML page about one state of a workbench: picture, figures, reasons, assumptions.

Plain data in, text out: no network, no script, no font file, light and dark by the reader's setting, and printable.
The workbench fills :class:`ReportData`; this module does not know it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd

from qworkbench.view.plots import cost_plot, distance_plot
from qworkbench.view.report_style import PAGE_CSS
from qworkbench.view.svg import clean, to_svg
from qworkbench.view.tables import table_markup


@dataclass(frozen=True, slots=True)
class NodeReason:
    """Why one node runs where it runs, in words; `ways` are the cheapest changes first."""

    node: str
    op: str
    on: str
    sentence: str
    facts: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportData:
    """What a report shows; empty parts are left out.

    Attributes
    ----------
    title, sentence : str
    view : Mapping or None
        The picture, from :func:`qworkbench.view.model.build_view`.
    outputs : pandas.DataFrame or None
        One row per model output: ``cosine``, ``l1`` ..., with ``*_before`` and ``delta_*``.
    journal : sequence of str
        Edits in the order in which they were made.
    code : str
        The same edits as Python.
    costs : pandas.DataFrame or None
        What the boundaries move.
    layers : pandas.DataFrame or None
        One row per node; its ``reason`` column is left to `reasons`.
    reasons : sequence of NodeReason
    estimate : (str, pandas.DataFrame) or None
        The static estimate of latency and DDR traffic: totals in a sentence, and one row per node.
    assumptions : sequence of (name, value, basis, text)
        Parameters that no public document states.
    environment : Mapping of str to str
        Versions, platform, time.
    """

    title: str
    sentence: str
    view: Mapping[str, Any] | None = None
    outputs: pd.DataFrame | None = None
    journal: Sequence[str] = ()
    code: str = ""
    costs: pd.DataFrame | None = None
    layers: pd.DataFrame | None = None
    reasons: Sequence[NodeReason] = ()
    estimate: tuple[str, pd.DataFrame] | None = None
    assumptions: Sequence[tuple[str, str, str, str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


FIRST = ("cosine_before", "cosine", "delta_cosine", "l1_before", "l1", "delta_l1")
"""Columns of the output table that come first: before, after, difference."""


def report_html(sections: ReportData) -> str:
    """Return the report as one HTML document."""
    parts = [part for part in _parts(sections) if part[2]]
    contents = "".join(f'<li><a href="#{key}">{escape(heading)}</a></li>' for key, heading, _ in parts)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{escape(heading)}</h2>{content}</section>'
        for key, heading, content in parts
    )
    title = escape(clean(sections.title))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">"
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{PAGE_CSS}</style></head>\n<body><header><h1>{title}</h1>"
        f'<p class="lead">{escape(clean(sections.sentence))}</p>'
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav></header>\n<main>{clean(body)}</main></body></html>\n'
    )


def _parts(data: ReportData) -> list[tuple[str, str, str]]:
    """Return (anchor, heading, content) of every part; no content where there is nothing to say."""
    return [
        ("outputs", "Outputs, before and after", _outputs(data.outputs)),
        ("journal", "Journal", _journal(data.journal)),
        ("code", "The same as code", f"<pre>{escape(data.code)}</pre>" if data.code else ""),
        ("graph", "Graph", _picture(data.view)),
        ("costs", "What the boundaries cost", "" if data.costs is None else cost_plot(data.costs)),
        ("reasons", "Why each node runs where it runs", _reasons(data.reasons)),
        ("layers", "Layer by layer", _layers(data.layers)),
        ("estimate", "Estimated latency and DDR traffic", _estimate(data.estimate)),
        ("assumptions", "Assumptions", _assumptions(data.assumptions)),
        ("environment", "Environment", _environment(data.environment)),
    ]


def _scroll(content: str) -> str:
    return f'<div class="scroll" tabindex="0">{content}</div>'


def _outputs(frame: pd.DataFrame | None) -> str:
    if frame is None or frame.empty:
        return ""
    first = [name for name in FIRST if name in frame.columns]
    frame = frame[[*first, *(name for name in frame.columns if name not in first)]]
    frame = frame.dropna(axis="columns", how="all")
    return _scroll(table_markup(frame, caption="Distance of every output from the float model"))


def _journal(lines: Sequence[str]) -> str:
    return "<ol>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ol>" if lines else ""


def _picture(view: Mapping[str, Any] | None) -> str:
    if view is None:
        return ""
    return "".join(
        f'<figure class="{theme}">{_scroll(to_svg(view, theme=theme, titled=False))}</figure>'
        for theme in ("light", "dark")
    )


def _bullets(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _reasons(reasons: Sequence[NodeReason]) -> str:
    cards = []
    for reason in (r for r in reasons if r.on == "CPU"):
        more = _bullets(reason.facts) if reason.facts else ""
        if reason.ways:
            more += f"<p>What would change it:</p>{_bullets(reason.ways)}"
        cards.append(
            f"<article><h3>{escape(reason.node)} <small>{escape(reason.op)} on the CPU</small></h3>"
            f"<p>{escape(reason.sentence)}</p>{more}</article>"
        )
    others = [r for r in reasons if r.on != "CPU"]
    if others:
        rows = pd.DataFrame(
            {"op": [r.op for r in others], "on": [r.on for r in others], "reason": [r.sentence for r in others]},
            index=pd.Index([r.node for r in others], name="node"),
        )
        cards.append(_scroll(table_markup(rows, caption="The other nodes")))
    return "".join(cards)


def _layers(frame: pd.DataFrame | None) -> str:
    if frame is None or frame.empty:
        return ""
    frame = frame.drop(columns="reason", errors="ignore").dropna(axis="columns", how="all")
    plot = distance_plot(frame) if {"cosine", "on"} <= set(frame.columns) else ""
    return plot + _scroll(
        table_markup(frame, caption="Distance of every node from the float model, in execution order")
    )


def _estimate(found: tuple[str, pd.DataFrame] | None) -> str:
    if found is None:
        return ""
    sentence, frame = found
    table = _scroll(table_markup(frame, caption="Counted work against the figures of the march: an estimate"))
    return f"<p>{escape(sentence)}. Nothing here was measured on a board.</p>{table}"


def _assumptions(rows: Sequence[tuple[str, str, str, str]]) -> str:
    if not rows:
        return ""
    frame = pd.DataFrame(list(rows), columns=["parameter", "value", "basis", "meaning"]).set_index("parameter")
    return _scroll(table_markup(frame, caption="What no public document states, and what was assumed instead"))


def _environment(entries: Mapping[str, str]) -> str:
    if not entries:
        return ""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in entries.items()) + "</dl>"
