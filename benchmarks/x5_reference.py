"""How much of a vendor's printed table our placement reproduces, row by row.

    python benchmarks/x5_reference.py TABLES [--onnx MODELS] [--march bayes-e] [--structure] [--json]

TABLES is a folder of NAME.csv files with the columns node, on, subgraph, type, threshold, dtype as the vendor's
converter prints them. NAME is read from MODELS/NAME.onnx, or built by benchmarks/yolo where no folder is given. A
printed threshold is what calibration found, so it is an input here: an edge whose two sides print the same value needs
no Requantize. With --structure no threshold is used. A Softmax runs on the BPU, since the tables were made with
``optimization: set_Softmax_input_int8,set_Softmax_output_int8``.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.yolo import build
from qworkbench.errors import UnknownNameError
from qworkbench.graph.ir import Graph
from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.march import MARCHES, get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import Overrides, Placement
from qworkbench.toolchain.table import Row, TableOptions, vendor_table

COLUMNS = ("node", "on", "subgraph", "type")
Line = tuple[str, str, str, str]


@dataclass(frozen=True)
class Comparison:
    """What came out for one model; a differing row holds both sides, one of them None where the other has no row.

    ``scale_groups`` counts our groups that print a threshold, ``scale_groups_uniform`` those for which the vendor
    prints one value throughout, ``shared_by_chance`` the vendor's values that several of our groups carry.
    """

    name: str
    rows: int
    matching: int
    requantize: int
    requantize_matching: int
    dtypes_matching: int
    scale_groups: int
    scale_groups_uniform: int
    shared_by_chance: int
    differing: tuple[tuple[Line | None, Line | None], ...]


def compare(
    name: str, graph: Graph, printed: Sequence[Mapping[str, str]], march: str, *, structure: bool
) -> Comparison:
    """Compare our table of `graph` with the `printed` rows."""
    chosen = get_march(march)
    placement = place(graph, chosen, Overrides(on={node.name: "bpu" for node in graph.nodes if node.op == "Softmax"}))
    known = {} if structure else calibrated(placement, vendor_table(graph, placement, chosen), printed)
    ours = vendor_table(graph, placement, chosen, options=TableOptions(thresholds=known))
    theirs = [line(row) for row in printed]
    mine = [(row.node, row.on, row.subgraph, row.type) for row in ours]
    pairs = aligned(theirs, mine)
    same = [(i, j) for i, j in pairs if i is not None and j is not None and theirs[i] == mine[j]]
    uniform, groups, shared = scale_pattern(placement, ours, printed)
    return Comparison(
        name,
        len(theirs),
        len(same),
        sum(row[3] == "HzRequantize" for row in theirs),
        sum(theirs[i][3] == "HzRequantize" for i, _ in same),
        sum(printed[i]["dtype"] == ours[j].dtype for i, j in same),
        groups,
        uniform,
        shared,
        tuple(
            (None if i is None else theirs[i], None if j is None else mine[j])
            for i, j in pairs
            if i is None or j is None or theirs[i] != mine[j]
        ),
    )


def line(row: Mapping[str, str]) -> Line:
    """Return the compared columns of a printed row."""
    node, on, subgraph, type_ = (row[column] for column in COLUMNS)
    return node, on, subgraph, type_


def aligned(theirs: Sequence[Line], mine: Sequence[Line]) -> list[tuple[int | None, int | None]]:
    """Pair the rows in order: equal ones, then those of one node, the rest alone."""
    pairs: list[tuple[int | None, int | None]] = []
    for tag, a, b, c, d in SequenceMatcher(None, theirs, mine, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += zip(range(a, b), range(c, d), strict=True)
            continue
        left = {mine[j][0]: j for j in range(c, d)}
        pairs += [(i, left.pop(theirs[i][0], None)) for i in range(a, b)]
        pairs += [(None, j) for j in left.values()]
    return pairs


def printed_thresholds(rows: Sequence[Row], printed: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return (our value, their threshold) of every row whose node both tables have once."""
    theirs = {row["node"]: row["threshold"] for row in printed if row["threshold"] not in ("", "--")}
    found = ((row.first_input, theirs.get(row.node)) for row in rows)
    return [(value, threshold) for value, threshold in found if value is not None and threshold is not None]


def calibrated(placement: Placement, rows: Sequence[Row], printed: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Return the printed threshold of every tensor whose scale group prints one."""
    known: dict[tuple[str, ...], float] = {}
    for value, threshold in printed_thresholds(rows, printed):
        group = placement.group(value)
        if group is not None:
            known[group.threshold_from] = float(threshold)
    return {
        value: known[group.threshold_from]
        for group in placement.groups
        if group.threshold_from in known
        for value in group.values
    }


def scale_pattern(
    placement: Placement, rows: Sequence[Row], printed: Sequence[Mapping[str, str]]
) -> tuple[int, int, int]:
    """Return our groups with one printed value, all our groups, and the printed values that several groups carry."""
    values: dict[tuple[str, ...], set[str]] = {}
    for value, threshold in printed_thresholds(rows, printed):
        group = placement.group(value)
        if group is not None:
            values.setdefault(group.threshold_from, set()).add(threshold)
    carriers: dict[str, int] = {}
    for threshold in (t for found in values.values() for t in found):
        carriers[threshold] = carriers.get(threshold, 0) + 1
    uniform = sum(len(found) == 1 for found in values.values())
    return uniform, len(values), sum(count > 1 for count in carriers.values())


def read_tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return the tables of `folder` by name; files without the columns of a node table are passed over."""
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if {*COLUMNS, "threshold", "dtype"} <= set(reader.fieldnames or ()):
                tables[path.stem] = list(reader)
    return tables


def graph_of(name: str, folder: Path | None) -> Graph | None:
    """Return the model called `name` from its file in `folder`, or from our own builder; None where there is none."""
    if folder is None:
        with suppress(UnknownNameError):
            return build(name)
        return None
    path = folder / f"{name}.onnx"
    return read_onnx(path) if path.is_file() else None


def report(found: Comparison) -> list[str]:
    """Return the lines printed for one model."""
    lines = [
        f"{found.name}: {found.matching} of {found.rows} rows match, "
        f"{found.requantize_matching} of {found.requantize} HzRequantize rows, "
        f"{found.dtypes_matching} dtypes; thresholds are equal throughout in {found.scale_groups_uniform} of "
        f"{found.scale_groups} scale groups ({found.shared_by_chance} values occur in several groups)"
    ]
    for theirs, ours in found.differing:
        lines.append(f"    theirs  {'  '.join(theirs) if theirs else '(no row)'}")
        lines.append(f"    ours    {'  '.join(ours) if ours else '(no row)'}")
    return lines


def main() -> None:
    """Parse the command line, compare every table, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("tables", type=Path, nargs="?", help="folder of NAME.csv files")
    parser.add_argument("--onnx", type=Path, metavar="MODELS", help="folder of NAME.onnx; our own builders otherwise")
    parser.add_argument("--march", default="bayes-e")
    parser.add_argument("--structure", action="store_true", help="use no printed threshold")
    parser.add_argument("--short", action="store_true", help="only the shortest table")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    if given.tables is None:
        print("no folder of printed tables was given, nothing is compared")
        return
    for folder in (given.tables, given.onnx):
        if folder is not None and not folder.is_dir():
            parser.error(f"{folder} is no folder")
    if given.march not in MARCHES:
        parser.error(f"{given.march} is no march; known: {', '.join(MARCHES)}")
    tables = read_tables(given.tables)
    if not tables:
        parser.error(f"{given.tables} holds no CSV file with the columns {', '.join(COLUMNS)}, threshold, dtype")
    if given.short:
        tables = dict([min(tables.items(), key=lambda item: len(item[1]))])
    found, without = [], []
    for name, printed in tables.items():
        graph = graph_of(name, given.onnx)
        if graph is None:
            without.append(name)
        else:
            found.append(compare(name, graph, printed, given.march, structure=given.structure))
    if given.json:
        print(json.dumps({"models": [asdict(each) for each in found], "without_model": without}, indent=2))
        return
    for each in found:
        print("\n".join(report(each)))
    rows, matching = sum(each.rows for each in found), sum(each.matching for each in found)
    print(f"all: {matching} of {rows} rows match" + (f"; no model for {', '.join(without)}" if without else ""))


if __name__ == "__main__":
    main()
