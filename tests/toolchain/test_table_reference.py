"""Our table against the vendor's printed ones, for eight public models: every row, and which rows share a scale."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.x5_reference import compare, read_tables
from benchmarks.yolo import build, write_onnx
from qworkbench.graph.onnx_frontend import read_onnx
from qworkbench.march import get_march
from qworkbench.placement.place import place
from qworkbench.placement.types import Overrides
from qworkbench.toolchain.table import vendor_table

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("QWORKBENCH_SHARED", ROOT.parent / "shared"))
TABLES = SHARED / "facts" / "x5_reference"

needs_tables = pytest.mark.skipif(not TABLES.is_dir(), reason=f"the vendor's printed tables are not at {TABLES}")

PRINTED = (
    "yolov5nu", "yolov8n", "yolov8n_cls", "yolov8n_seg", "yolov8n_pose", "yolo11n", "yolo11n_seg", "yolov9t",
)  # fmt: skip

# Accidents of calibration: two tensors of different scale groups whose printed thresholds agree to the last digit, so
# that nothing has to be requantized between them.
EQUAL_BY_CHANCE = {"yolo11n_seg": ["...el.4/cv2/act/Mul_output_0_calibrated_Requantize"]}


@pytest.fixture(scope="module")
def tables():
    return read_tables(TABLES)


@needs_tables
@pytest.mark.parametrize("name", PRINTED)
def test_every_row_of_the_printed_table_comes_out(name, tables):
    found = compare(name, build(name), tables[name], "bayes-e", structure=False)
    assert found.differing == ()
    assert found.matching == found.rows == len(tables[name])
    assert found.dtypes_matching == found.rows
    assert found.requantize_matching == found.requantize


@needs_tables
@pytest.mark.parametrize("name", PRINTED)
def test_without_thresholds_only_edges_that_are_equal_by_chance_differ(name, tables):
    found = compare(name, build(name), tables[name], "bayes-e", structure=True)
    assert found.matching == found.rows
    assert [ours[0] for _, ours in found.differing] == EQUAL_BY_CHANCE.get(name, [])


@needs_tables
@pytest.mark.parametrize("name", PRINTED)
def test_tensors_of_one_scale_group_print_one_threshold(name, tables):
    found = compare(name, build(name), tables[name], "bayes-e", structure=False)
    assert found.scale_groups_uniform == found.scale_groups > 50
    # values that several groups carry: a SiLU that is the identity at its threshold, or the same pixel in both
    assert found.shared_by_chance <= 5


@needs_tables
@pytest.mark.parametrize("name", PRINTED)
def test_every_row_comes_out_from_an_onnx_file_too(name, tables, tmp_path):
    graph = read_onnx(write_onnx(build(name), tmp_path / f"{name}.onnx"))
    found = compare(name, graph, tables[name], "bayes-e", structure=False)
    assert found.differing == ()
    assert found.matching == found.dtypes_matching == found.rows


@needs_tables
def test_a_wrong_architecture_is_noticed(tables):
    found = compare("yolov8n", build("yolov8n_seg"), tables["yolov8n"], "bayes-e", structure=False)
    assert found.matching == found.rows
    assert {theirs for theirs, _ in found.differing} == {None}
    assert len(found.differing) == 22


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n"])
def test_a_smaller_input_has_the_same_nodes(name):
    assert build(name, size=64).nodes.names() == build(name).nodes.names()


@pytest.mark.parametrize(("name", "rows"), [("yolov10n", 225), ("yolo12n", 401), ("yolov8n", 175), ("yolov9t", 488)])
def test_the_number_of_rows_is_the_published_one(name, rows):
    """Numbers of nodes that the published logs of the converter print, all of them on the BPU."""
    graph = build(name)
    march = get_march("bayes-e")
    asked = Overrides(on={node.name: "bpu" for node in graph.nodes if node.op == "Softmax"})
    found = vendor_table(graph, place(graph, march, asked), march)
    assert len(found) == rows
    assert {row.on for row in found} == {"BPU"}
