"""Fill a report with what a workbench holds, and write it."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from qworkbench.files import write_text
from qworkbench.view.report import NodeReason, ReportData, report_html

if TYPE_CHECKING:
    from qworkbench.workbench.session import Workbench

PACKAGES = ("qworkbench", "torch", "numba", "numpy", "pandas", "networkx")


def report_data(workbench: Workbench) -> ReportData:
    """Return the report of the state in force; it is run again, on its inputs, where edits are newer than the run."""
    run = workbench.last_run
    if workbench.statistics is not None:
        run = workbench.current_run()
    view = workbench.view()
    placement, graph = workbench.placement, workbench.graph
    reasons = [
        NodeReason(
            node.name,
            graph.nodes[node.name].op,
            node.on,
            node.reason.sentence,
            (*(fact.text for fact in node.reason.facts), *node.notes),
            tuple(way.text for way in node.reason.ways),
        )
        for node in placement.values()
    ]
    assumed = [
        (name, str(value), "assumed", "parameter of the integer arithmetic, not public")
        for name, value in workbench.config.as_dict()["arithmetic"].items()
    ]
    estimated = workbench.estimate()
    return ReportData(
        title=workbench.title,
        sentence=str(view["sentence"]),
        view=view,
        outputs=None if run is None else run.table,
        journal=workbench.journal,
        code=_code(workbench) if workbench.journal else "",
        costs=workbench.cost(),
        layers=None if run is None else run.layers,
        reasons=reasons,
        estimate=(estimated.sentence, estimated.nodes),
        assumptions=(*placement.assumptions, *estimated.figures, *assumed),
        environment=environment(),
    )


def _code(workbench: Workbench) -> str:
    """Return the edits as Python, below the line that makes the workbench; the model itself is the reader's."""
    head, *steps = workbench.as_code().splitlines()
    march = workbench.history.initial.march
    return "\n".join([head, f"# wb = q.Workbench(model, example, calibration=samples, march={march!r})", *steps])


def environment() -> dict[str, str]:
    """Return versions and platform; nothing that identifies a person or a machine."""
    found = {"Python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def write_report(workbench: Workbench, path: Path) -> Path:
    """Write the report to `path`."""
    return write_text(path, report_html(report_data(workbench)))
