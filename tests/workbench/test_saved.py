"""A saved file brings everything back, and a damaged or foreign one is refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.errors import FileFormatError


def edited(wb, samples):
    wb.calibrate(samples, method="max-percentile", percentile=0.99)
    wb.edit(q.SetPlacement("softmax", "bpu"), q.InsertUnitConv("_generated_cat_1"))
    wb.edit(q.FixScale("x", np.float32(1 / 50)))
    wb.edit(q.SetDtype("mix", "int16"))
    wb.edit(q.SetCalibration("max"))
    wb.undo()
    return wb


@pytest.fixture
def saved(wb, samples, tmp_path):
    return edited(wb, samples).save(tmp_path / "state.qwb.json")


def assert_same_state(wb, other):
    assert other.config == wb.config
    assert other.journal == wb.journal
    assert [e.text for e in other.history.entries] == [e.text for e in wb.history.entries]
    assert other.history.cursor == wb.history.cursor
    for name, array in wb.run().outputs.items():
        np.testing.assert_array_equal(other.run().outputs[name], array)


def test_opening_restores_config_journal_cursor_thresholds_and_outputs(wb, saved, mixed_model):
    assert_same_state(wb, q.Workbench.open(saved, mixed_model))


def test_an_opened_workbench_can_undo_redo_and_be_saved_again(wb, saved, mixed_model, tmp_path):
    other = q.Workbench.open(saved, mixed_model)
    for step in (wb.redo, other.redo):
        step()
    assert_same_state(wb, other)
    for _ in range(4):
        wb.undo()
        other.undo()
        assert_same_state(wb, other)
    again = q.Workbench.open(other.save(tmp_path / "again.qwb.json"), mixed_model)
    assert_same_state(wb, again)


@pytest.mark.parametrize("method", ["max", "max-percentile"])
def test_thresholds_per_channel_come_back(wb, samples, mixed_model, tmp_path, method):
    wb.calibrate(samples, method=method, percentile=0.95, per_channel=True)
    other = q.Workbench.open(wb.save(tmp_path / "state.qwb.json"), mixed_model)
    assert_same_state(wb, other)
    assert other.run().layers["scale"].equals(wb.run().layers["scale"])


def test_an_opened_workbench_asks_for_data_before_another_method(saved, mixed_model):
    other = q.Workbench.open(saved, mixed_model)
    before = (other.config, other.journal)
    with pytest.raises(q.QWorkbenchError, match="calibrate with data"):
        other.edit(q.SetCalibration("max-percentile", 0.5))
    assert (other.config, other.journal) == before


def test_new_calibration_data_replaces_the_saved_thresholds(wb, saved, mixed_model, samples):
    other = q.Workbench.open(saved, mixed_model, calibration=samples)
    assert_same_state(wb, other)
    doubled = q.Workbench.open(saved, mixed_model, calibration=samples * 2)
    assert doubled.run().layers.loc["mix", "scale"] > 1.5 * other.run().layers.loc["mix", "scale"]


def test_a_file_without_an_example_asks_for_one(wb, mixed_model, samples, tmp_path, monkeypatch):
    import qworkbench.workbench.saved as module

    monkeypatch.setattr(module, "LARGEST_EXAMPLE", 10)
    path = wb.save(tmp_path / "state.qwb.json")
    with pytest.raises(q.QWorkbenchError, match="example="):
        q.Workbench.open(path, mixed_model)
    assert_same_state(wb, q.Workbench.open(path, mixed_model, samples[:1]))


def test_an_uncalibrated_workbench_is_saved_and_opened(mixed_model, samples, tmp_path):
    wb = q.Workbench(mixed_model, samples[:1], march="bayes")
    wb.edit(q.SetPlacement("stem", "cpu"))
    other = q.Workbench.open(wb.save(tmp_path / "state.qwb.json"), mixed_model)
    assert (other.config, other.statistics) == (wb.config, None)


# -- damage ----
def at(document, path):
    for key in path[:-1]:
        document = document[key]
    return document, path[-1]


def changed(*path, to):
    def change(document):
        inside, last = at(document, path)
        inside[last] = to

    return change


def without(*path):
    def change(document):
        inside, last = at(document, path)
        del inside[last]

    return change


HUGE = float("1e400")
DAMAGE = {
    "another format": (changed("format", to="notebook"), "not a saved workbench"),
    "a newer schema": (changed("schema", to=99), "schema 99"),
    "schema as text": (changed("schema", to="1"), "schema '1'"),
    "no model": (without("model"), "damaged"),
    "no calibration": (without("calibration"), "damaged"),
    "unknown march": (changed("march", to="nash"), "no march 'nash'"),
    "march is a number": (changed("march", to=5), "must be text, got 5"),
    "edits are text": (changed("edits", to="bpu"), "must be a list"),
    "edits are a number": (changed("edits", to=3), "damaged"),
    "an empty step": (changed("edits", 0, to=[]), "at least one edit"),
    "an unknown kind": (changed("edits", 0, to=[{"kind": "Explode"}]), "no edit 'Explode'"),
    "an unknown node": (changed("edits", 0, to=[{"kind": "SetPlacement", "node": "nn", "on": "bpu"}]), "no node 'nn'"),
    "a bad scale": (changed("edits", 0, to=[{"kind": "FixScale", "node": "x", "scale": -1}]), "got -1"),
    "a huge scale": (changed("edits", 0, to=[{"kind": "FixScale", "node": "x", "scale": HUGE}]), "got inf"),
    "a nested scale": (changed("edits", 0, to=[{"kind": "FixScale", "node": "x", "scale": [1]}]), "must be a number"),
    "negative cursor": (changed("cursor", to=-3), "cursor"),
    "cursor beyond the steps": (changed("cursor", to=300), "cursor"),
    "cursor is text": (changed("cursor", to="1"), "cursor"),
    "huge cursor": (changed("cursor", to=HUGE), "cursor"),
    "huge number of samples": (changed("calibration", "samples", to=HUGE), "damaged"),
    "threshold is text": (changed("calibration", "methods", 0, "thresholds", "mix", to="x"), "damaged"),
    "negative threshold": (changed("calibration", "methods", 0, "thresholds", "mix", to=-1.0), "'mix' is -1"),
    "infinite threshold": (changed("calibration", "methods", 0, "thresholds", "mix", to=HUGE), "'mix' is inf"),
    "threshold beyond float32": (changed("calibration", "methods", 0, "thresholds", "mix", to=1e300), "'mix' is 1e"),
    "unknown method": (changed("calibration", "methods", 0, "method", "name", to="mean"), "calibration method"),
    "wrong base64": (changed("example", "x", to="@@@"), "damaged"),
    "base64 that is no zip": (changed("example", "x", to="aGVsbG8="), "damaged"),
    "example is a number": (changed("example", "x", to=5), "damaged"),
    "another structure": (changed("model", "structure", to="00"), "another model"),
    "other weights": (changed("model", "weights", to="00"), "weights differ"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_refused_in_one_line(saved, mixed_model, name):
    change, expected = DAMAGE[name]
    document = json.loads(saved.read_text())
    change(document)
    saved.write_text(json.dumps(document).replace("Infinity", "1e400"))
    with pytest.raises(q.QWorkbenchError) as caught:
        q.Workbench.open(saved, mixed_model)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -2])
def test_a_truncated_file_is_refused(saved, mixed_model, keep):
    text = saved.read_text().rstrip()
    saved.write_text(text[: int(len(text) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(FileFormatError, match=r"damaged|not a saved workbench"):
        q.Workbench.open(saved, mixed_model)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"null", b"[]", b'"text"', b"{" * 100_000, b"[" * 100_000, b"9" * 10_000, b'{"format": NaN}'],
    ids=["bytes", "null", "list", "text", "deep objects", "deep lists", "long number", "NaN"],
)
def test_what_is_not_a_saved_workbench_is_refused(tmp_path, mixed_model, content):
    path = tmp_path / "state.qwb.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        q.Workbench.open(path, mixed_model)
    assert "\n" not in str(caught.value)


def test_zipped_examples_are_never_unpickled_or_blown_up(saved, mixed_model):
    import base64
    import io
    import pickle
    import zlib

    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the file was unpickled",))

    archive = io.BytesIO()
    np.savez(archive, x=np.zeros(3))
    objects = io.BytesIO()
    np.save(objects, np.array([None]), allow_pickle=True)
    fields = b"{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000000,), }"
    header = b"\x93NUMPY\x01\x00v\x00" + fields.ljust(117) + b"\n"
    for raw in (pickle.dumps(Trap()), archive.getvalue(), objects.getvalue(), header):
        document = json.loads(saved.read_text())
        document["example"]["x"] = base64.b64encode(zlib.compress(raw)).decode()
        saved.write_text(json.dumps(document))
        with pytest.raises(FileFormatError, match="damaged"):
            q.Workbench.open(saved, mixed_model)


# -- other models ----
def test_another_model_is_refused(saved):
    with pytest.raises(q.QWorkbenchError, match="another model") as caught:
        q.Workbench.open(saved, nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    assert "\n" not in str(caught.value)


def test_a_model_that_does_not_even_take_the_example_is_refused(saved):
    with pytest.raises(q.QWorkbenchError):
        q.Workbench.open(saved, nn.Linear(5, 2))


def test_the_same_layers_with_other_weights_need_calibration(saved, mixed_model, samples):
    import copy

    other = copy.deepcopy(mixed_model)
    with torch.no_grad():
        other.mix.weight.mul_(1.5)
    with pytest.raises(FileFormatError, match=r"weights differ.*calibration="):
        q.Workbench.open(saved, other)
    wb = q.Workbench.open(saved, other, calibration=samples)
    assert len(wb.journal) == 4


def test_files_that_cannot_be_read_or_written_are_named(wb, mixed_model, tmp_path):
    with pytest.raises(FileFormatError, match="no file"):
        q.Workbench.open(tmp_path / "nothing.qwb.json", mixed_model)
    with pytest.raises(FileFormatError, match="cannot read"):
        q.Workbench.open(tmp_path, mixed_model)
    for target in (tmp_path, tmp_path / "missing" / "state.qwb.json"):
        with pytest.raises(FileFormatError, match="cannot write"):
            wb.save(target)
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_a_file_only_when_the_new_one_is_complete(wb, tmp_path, monkeypatch):
    from pathlib import Path

    path = wb.save(tmp_path / "state.qwb.json")
    before = path.read_text()
    wb.edit(q.FixScale("mix", 0.1))

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileFormatError, match="No space left"):
        wb.save(path)
    monkeypatch.undo()
    assert path.read_text() == before


def test_what_was_shown_comes_back(wb, mixed_model, tmp_path):
    wb.display = {"collapsed": [], "selected": "conv", "colouring": "dtype"}
    opened = q.Workbench.open(wb.save(tmp_path / "shown.qwb.json"), mixed_model)
    assert opened.display == wb.display


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("model"), "the field 'model' is missing"),
        (changed("edits", to=3), "the field 'edits' must be a list, got 3"),
        (changed("cursor", to="x"), "the field 'cursor' must be a whole number, got 'x'"),
        (changed("calibration", "methods", 0, "thresholds", "mix", to="x"), "thresholds.mix' must be a number"),
        (changed("example", "x", to="@@@"), "its tensors or its example cannot be read back"),
        (changed("display", to=[1]), None),
    ],
)
def test_the_words_of_a_refusal_are_ours(saved, mixed_model, change, words):
    document = json.loads(saved.read_text(encoding="utf-8"))
    saved.write_text(json.dumps(change(document) or document), encoding="utf-8")
    if words is None:
        assert q.Workbench.open(saved, mixed_model).display == {}
        return
    with pytest.raises(FileFormatError) as caught:
        q.Workbench.open(saved, mixed_model)
    assert words in str(caught.value)
    assert "Error" not in str(caught.value)


class Inverse(nn.Module):
    """Divides by what int8 may round to zero."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.conv.weight)

    def forward(self, x):
        return 1 / self.conv(x)


def test_an_infinite_distance_is_no_obstacle(tmp_path):
    x = torch.linspace(1e-4, 1, 64).reshape(1, 1, 8, 8)
    wb = q.Workbench(Inverse(), x, calibration=x)
    node = wb.graph.nodes.names()[-1]
    wb.edit(q.SetPlacement(node, "cpu"))
    assert wb.run().metrics[node].l1 == np.inf
    path = wb.save(tmp_path / "state.qwb.json")
    assert "Infinity" in [one["l1"] for one in json.loads(path.read_text())["view"]["nodes"]]
    assert_same_state(wb, q.Workbench.open(path, Inverse()))
