"""Fixed scales that cannot be meant: the range they cover has nothing to do with what calibration measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qworkbench.errors import CalibrationError
from qworkbench.numerics.dtypes import QMAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qworkbench.workbench.config import Config
    from qworkbench.workbench.stages import Stages

FEWEST_CODES = 4
CLIPPED = 16


def scale_hints(stages: Stages, config: Config, names: Iterable[str]) -> list[str]:
    """Return one sentence for each of `names` whose fixed scale leaves almost no codes, or clips almost everything.

    Nothing is said before calibration. Less than 4 codes for the largest magnitude, or a sixteenth of it covered, are
    taken for mistakes; whatever lies between may be meant.
    """
    statistics = stages.statistics
    if statistics is None or not statistics.sketches:
        return []
    graph, placement, aliases = stages.graph(config), stages.placement(config), stages.aliases(config)
    found = []
    for name in names:
        placed = name in placement.nodes and placement[name].on != "NONE"
        value = (
            placement.unit_of(name).outputs[0] if placed else graph.nodes[name].output if name in graph.nodes else name
        )
        value = placement.canonical.get(value, value)
        group = placement.group(value)
        try:
            sketch = statistics.sketch(aliases.get(value, value))
        except CalibrationError:
            continue
        scale = config.scales.get(name)
        if sketch is None or group is None or scale is None or not sketch.absmax:
            continue
        told, limit = "", QMAX[group.dtype]
        covered = f"covers -{scale * limit:.4g} to {scale * limit:.4g} in {group.dtype}"
        measured = f"calibration measured {sketch.low:.4g} to {sketch.high:.4g}"
        usual = f"the largest magnitude gives {sketch.absmax / limit:.4g}"
        if sketch.absmax < FEWEST_CODES * scale:
            codes = round(sketch.absmax / scale)
            told = f"only the codes -{codes} to {codes} are left" if codes else "every value becomes 0"
        elif sketch.absmax > CLIPPED * scale * limit:
            told = "nearly all is cut"
        if told:
            found.append(f"scale of {name!r} fixed at {scale:.4g} {covered}, but {measured}: {told}; {usual}")
    return found
