"""The quant_config file: what is refused, which section wins, lists of methods, round trip, and the magics."""

from __future__ import annotations

import json

import pytest

import qworkbench as q
from qworkbench.errors import FileFormatError, UnknownNameError
from qworkbench.toolchain.quant_config import QuantConfig


def write(tmp_path, tree):
    path = tmp_path / "quant.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree, indent=2))
    return path


def test_node_config_outranks_op_config_and_that_model_config(wb, tmp_path):
    tree = {
        "model_config": {"all_node_type": "int16"},
        "op_config": {"Conv": {"qtype": "int8"}, "Gemm": {"qtype": "int16"}},
        "node_config": {"left": {"qtype": "int16"}, "mix": {"ON": "CPU"}, "softmax": {"ON": "BPU"}},
    }
    remarks = wb.apply_quant_config(write(tmp_path, tree))
    asked = {name: wish.input for name, wish in wb.config.dtypes.items()}
    assert asked["left"] == "int16"
    assert "head" not in asked  # a Conv, which op_config keeps at int8
    assert asked["act"] == "int16"
    assert dict(wb.config.on) == {"mix": "cpu", "softmax": "bpu"}
    assert remarks == ["op_config.Gemm: the model has no such operator; without effect"]
    assert len(wb.journal) == 1
    assert "bn" not in asked  # inside a convolution
    wb.apply_quant_config(write(tmp_path, {}))
    assert not wb.config.dtypes
    assert not wb.config.on


def test_dual_int16_is_input_and_weight_and_float16_is_told_where_the_march_has_none(wb, tmp_path):
    tree = {"op_config": {"Conv": {"qtype": "dual-int16"}}, "model_config": {"all_node_type": "float16"}}
    remarks = wb.apply_quant_config(write(tmp_path, tree))
    wish = wb.config.dtypes["left"]
    assert (wish.input, wish.weight) == ("int16", "int16")
    assert remarks == ["model_config.all_node_type float16: bayes-e has int8, int16 here; without effect"]


def test_the_activation_section_chooses_the_method(wb, tmp_path):
    tree = {"model_config": {"activation": {"calibration_type": "max", "max_percentile": 0.9999, "per_channel": True}}}
    wb.apply_quant_config(write(tmp_path, tree))
    assert wb.config.calibration.describe() == "max-percentile 0.9999, per channel"
    wb.apply_quant_config(write(tmp_path, {"model_config": {"activation": {"calibration_type": "kl"}}}))
    assert wb.config.calibration.name == "kl"


def test_lists_start_a_search_over_every_combination(wb, tmp_path):
    activation = {"calibration_type": ["max", "kl"], "max_percentile": [0.9, 1.0], "asymmetric": [True, False]}
    seen = []
    original = wb.calibrate_among
    wb.calibrate_among = lambda methods: seen.append([m.describe().split(":")[0] for m in methods]) or original(methods)
    remarks = wb.apply_quant_config(write(tmp_path, {"model_config": {"activation": activation}}))
    assert seen == [["max-percentile 0.9", "max", "kl"]]
    assert "asymmetric" in remarks[0]
    scores = {c.method: c.score.cosine for c in original(wb_methods()).candidates}
    assert max(scores, key=scores.get) == wb.config.calibration


def wb_methods():
    from qworkbench.calibration.method import CalibrationMethod

    return [CalibrationMethod("max-percentile", 0.9), CalibrationMethod("max"), CalibrationMethod("kl")]


def test_export_and_import_give_the_same_state_and_keep_other_keys(wb, make_workbench, tmp_path):
    path = write(
        tmp_path,
        {
            "model_config": {"weight": {"bias_correction": {"num_sample": 2, "metric": "mse"}}, "mine": 1},
            "op_config": {"Conv": {"qtype": "int16"}},
            "node_config": {"head": {"qtype": "int16", "note": "keep"}},
            "team": "vision",
        },
    )
    before = path.read_text()
    remarks = "\n".join(wb.apply_quant_config(path))
    for expected in ("bias_correction: kept", "mine: unknown key", "team: unknown key", "note: unknown key"):
        assert expected in remarks
    wb.edit(q.SetDtype("head", input="auto"), q.SetPlacement("softmax", "bpu"))
    wb.calibrate(method="max-percentile", percentile=0.999)
    assert wb.export_quant_config(path) == []
    tree = json.loads(path.read_text())
    assert tree["team"] == "vision"
    assert tree["model_config"]["weight"] == json.loads(before)["model_config"]["weight"]
    assert tree["node_config"]["head"] == {"note": "keep"}
    assert '\n  "model_config"' in path.read_text()  # indented as it was
    other = make_workbench()
    other.apply_quant_config(path)
    assert (other.config.on, other.config.dtypes, other.config.calibration) == (
        wb.config.on,
        wb.config.dtypes,
        wb.config.calibration,
    )
    text = path.read_text()
    wb.export_quant_config(path)
    assert path.read_text() == text


def test_what_the_file_has_no_key_for_is_told(wb, tmp_path):
    wb.edit(q.InsertUnitConv("mix", "after"), q.FixScale("act", 0.05), q.SetDtype("left", "int16"))
    text = "\n".join(wb.export_quant_config(tmp_path / "made.json"))
    for expected in ("unit conv", "fixed scale", "output int16"):
        assert expected in text


def test_a_yaml_may_hold_it(wb, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("calibration_parameters:\n  quant_config: {op_config: {Softmax: {qtype: int16}}}\n")
    wb.apply_yaml(path)
    assert wb.config.dtypes["softmax"].input == "int16"
    path.write_text("calibration_parameters:\n  quant_config: '../../secret.json'\n")
    assert any("opened by itself" in line for line in wb.apply_yaml(path))


BAD = {
    "json": ("{", "not valid JSON"),
    "list": ("[]", "a JSON object, got list"),
    "twice": ('{"op_config": {}, "op_config": {}}', "there twice"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "section": ('{"op_config": 5}', "op_config must be an object"),
    "dtype": ('{"op_config": {"Conv": {"qtype": "int61"}}}', "float16, got 'int61'; did you mean 'int16'"),
    "all": ('{"model_config": {"all_node_type": "int4"}}', "int8, int16, float16, got 'int4'"),
    "method": ('{"model_config": {"activation": {"calibration_type": "kll"}}}', "did you mean 'kl'"),
    "percentile": ('{"model_config": {"activation": {"max_percentile": 2}}}', "(0, 1], got 2"),
    "flag": ('{"model_config": {"activation": {"per_channel": "yes"}}}', "true or false, got 'yes'"),
    "place": ('{"node_config": {"mix": {"ON": "GPU"}}}', "CPU, BPU"),
    "node": ('{"node_config": {"mix": 5}}', "node_config.mix must be an object"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_one_line_and_changes_nothing(wb, tmp_path, name):
    text, expected = BAD[name]
    before = wb.config
    with pytest.raises(FileFormatError) as caught:
        wb.apply_quant_config(write(tmp_path, text))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert wb.config == before


def test_an_unknown_node_names_the_nearest_and_a_huge_file_is_not_read(wb, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'softmax'"):
        wb.apply_quant_config(write(tmp_path, {"node_config": {"sofmax": {"ON": "BPU"}}}))
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(5 << 20)
    with pytest.raises(FileFormatError, match="larger than 4 MB"):
        QuantConfig.read(tmp_path / "huge.json")


def test_the_magics_open_and_export(wb, tmp_path):
    from qworkbench.magics.commands import COMMANDS
    from qworkbench.magics.state import State

    state = State({})
    state.add("wb", wb)

    def run(line):
        command = COMMANDS[line.split()[0]]
        return command.run(state, command.parse(line.split()[1:]))

    path = write(tmp_path, {"node_config": {"mix": {"ON": "CPU"}}})
    assert "mix: run_on_cpu" in repr(run(f"open {path}"))
    assert "wrote" in repr(run(f"export quant_config {tmp_path / 'made.json'}"))
    assert json.loads((tmp_path / "made.json").read_text())["node_config"] == {"mix": {"ON": "CPU"}}
