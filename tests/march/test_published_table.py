"""The tables against the collected constraint list, row by row (where that file is at hand)."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest

from qworkbench.march import get_march
from qworkbench.march.page import constraint_words

MARCHES = ("bernoulli2", "bayes", "bayes-e")  # whose operator lists are published whole
ROOT = Path(__file__).parents[2]


def rows(frontend: str, marches: tuple[str, ...] = MARCHES) -> list[dict[str, str]]:
    folder = Path(os.environ.get("QWORKBENCH_SHARED", ROOT.parent / "shared" / "facts"))
    found = next(
        (p for p in (folder / "op_constraints.csv", folder / "facts" / "op_constraints.csv") if p.exists()), None
    )
    if found is None:
        pytest.skip(f"no op_constraints.csv in {folder}; set QWORKBENCH_SHARED to the folder that holds it")
    with found.open(newline="") as file:
        table = [row for row in csv.DictReader(file) if row["march"] in marches and row["frontend"] == frontend]
    assert table
    return [row for row in table if not row["op"].startswith("*")]


def dtypes(cell: str) -> set[str]:
    return set(re.sub(r"\(.*?\)", "", cell).replace(" ", "").split(";")) & {"int8", "int16", "int32", "bool"}


def test_every_onnx_row_has_the_published_status_and_class() -> None:
    wrong = []
    for row in rows("onnx"):
        mine = get_march(row["march"]).row(row["op"].partition("|")[0])
        if mine.supported != row["bpu_supported"] or mine.quant_class != row["quant_class"]:
            wrong.append((row["march"], row["op"], mine.supported, mine.quant_class))
        if mine.quant_class != "none" and mine.class_basis != row["quant_class_basis"]:
            wrong.append((row["march"], row["op"], mine.class_basis))
        if "does not name it" in mine.notes:
            wrong.append((row["march"], row["op"], mine.notes))
    assert wrong == []


def test_every_onnx_row_has_the_published_dtypes() -> None:
    wrong = []
    for row in rows("onnx"):
        mine = get_march(row["march"]).row(row["op"].partition("|")[0])
        if set(mine.input_dtypes) != dtypes(row["input_dtypes"]) or set(mine.output_dtypes) != dtypes(
            row["output_dtypes"]
        ):
            wrong.append((row["march"], row["op"], mine.input_dtypes, mine.output_dtypes))
    assert wrong == []


def test_every_row_of_the_training_plugin_has_the_published_status_and_class() -> None:
    wrong = []
    for row in rows("torch"):
        name = row["op"].partition("|")[2]
        name = re.sub(r".*\((horizon\.nn\.\w+)\)", r"\1", name)
        mine = get_march(row["march"]).plugin_rows.get(name)
        if mine is None or (mine.supported, mine.quant_class) != (row["bpu_supported"], row["quant_class"]):
            wrong.append((row["march"], name, mine))
    assert wrong == []


@pytest.mark.parametrize("march", MARCHES)
def test_no_row_is_called_documented_that_the_list_does_not_hold(march: str) -> None:
    published = {row["op"].partition("|")[0] for row in rows("onnx") if row["march"] == march}
    added = [row for row in get_march(march).rows.values() if row.op not in published]
    assert added
    assert {row.op for row in added if row.basis == "documented"} == set()


NUMBERS_WRITTEN_OTHERWISE = {
    ("bernoulli2", "Gemm"): {7, 8, 32, 1024},  # H * W / 8 * C / 4 <= 1024 is in_features <= 32768
    ("bernoulli2", "Sigmoid"): {8, 32},  # the alignments are inside input_aligned_elements
    ("bayes", "Conv"): {4096},  # D * C > 4096 is >= 4097
    ("bayes-e", "Conv"): {4096},
    ("bayes", "GridSample"): {720},  # 720 * 1024
    ("bayes-e", "GridSample"): {512},  # 512 * 512
    ("bayes-e", "PRelu"): {8},  # int8
}
NOT_LIMITS = re.compile(
    r"u?int\d+|opset[- ]?\d+|\(2,4,8,16,32\.\.\)|\b[A-Z\d]*[MK][A-Z\d]*\b"
)  # dtypes, forms such as B11KN


def test_every_number_of_a_published_formula_is_in_its_row() -> None:
    lost = {}
    for row in rows("onnx"):
        op = row["op"].partition("|")[0]
        if row["bpu_supported"] == "no":
            continue
        wanted = {int(n) for n in re.findall(r"\d+", NOT_LIMITS.sub("", row["constraint"])) if int(n) > 4}
        held = {int(n) for n in re.findall(r"\d+", constraint_words(get_march(row["march"]).row(op)))}
        missing = wanted - held - NUMBERS_WRITTEN_OTHERWISE.get((row["march"], op), set())
        if missing:
            lost[row["march"], op] = missing
    assert lost == {}


def test_a_row_of_nash_is_known_exactly_where_the_public_excerpt_has_it() -> None:
    wrong = []
    for row in (*rows("onnx", ("nash-e", "nash-m", "nash-p")), *rows("torch", ("nash-e", "nash-m", "nash-p"))):
        op = row["op"].partition("|")[0]
        march = get_march(row["march"])
        if op not in march.rows or row["source"].startswith("as "):
            continue
        mine = march.row(op)
        # their pieces, and the float16 form that another page tells of
        if op in ("GroupNormalization", "LayerNormalization", "Dropout", "Constant", "Shape", "Size"):
            continue
        if (mine.supported == "unknown") != (row["bpu_supported"] == "unknown"):
            wrong.append((row["march"], op, mine.supported, row["bpu_supported"]))
        if mine.supported != "unknown" and not {"int8", "int16"} <= set(mine.input_dtypes):
            wrong.append((row["march"], op, mine.input_dtypes))
    assert wrong == []
