"""The PTQ configuration file: what is refused, what is applied, what stays, and export -> import."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch import nn

import qworkbench as q
from qworkbench.errors import FileFormatError, UnknownNameError
from qworkbench.graph.batching import Batching
from qworkbench.toolchain.ptq_schema import KEYS
from qworkbench.toolchain.ptq_yaml import PtqYaml

MAPPER = """\
# my board
model_parameters:
  onnx_model: 'mix.onnx'     # exported by hand
  march: "bayes-e"
  node_info: {'mix': {'ON': 'CPU', 'InputType': 'int16'}, 'left': {OutputType: int16}}
  my_own_key: 5
input_parameters:
    input_type_rt: 'nv12'
    norm_type: 'data_mean_and_scale'

calibration_parameters:
  cal_data_dir: './x_f32'
  # tuned last week
  calibration_type: 'max'   # not kl
  max_percentile: 0.9999
  run_on_bpu: 'softmax'
# the end
compiler_parameters:
  compile_mode: 'latency'
  optimize_level: 'O3'
"""


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_a_file_is_applied_as_one_step_and_tells_what_has_no_effect(wb, tmp_path):
    wb.edit(q.SetPlacement("pool", "cpu"), q.SetDtype("head", "int16"))
    remarks = wb.apply_yaml(write(tmp_path, MAPPER))
    assert len(wb.journal) == 2
    assert dict(wb.config.on) == {"softmax": "bpu", "mix": "cpu"}
    assert wb.config.dtypes["mix"].input == "int16"
    assert wb.config.dtypes["left"].output == "int16"
    assert set(wb.config.dtypes) == {"mix", "left"}
    assert wb.config.calibration.describe() == "max-percentile 0.9999"
    text = "\n".join(remarks)
    for expected in ("my_own_key: unknown key", "cal_data_dir: kept", "optimize_level: kept"):
        assert expected in text
    wb.undo()
    assert dict(wb.config.on) == {"pool": "cpu"}


@pytest.mark.parametrize("march", ["bernoulli2", "bayes", "bayes-e"])
def test_export_and_import_give_the_same_placement(make_workbench, tmp_path, march):
    wb = make_workbench(march=march)
    wb.edit(q.SetPlacement("mix", "cpu"), q.SetPlacement("softmax", "bpu"))
    wb.calibrate(method="max-percentile", percentile=0.999, per_channel=True)
    if march != "bernoulli2":
        wb.edit(q.SetDtype("left", "int16"))
    assert wb.export_yaml(tmp_path / "made.yaml") == []
    other = make_workbench()
    other.apply_yaml(tmp_path / "made.yaml")
    assert other.config == wb.config
    assert {n.name: (n.on, n.dtype) for n in other.placement.values()} == {
        n.name: (n.on, n.dtype) for n in wb.placement.values()
    }


def test_the_batch_of_the_example_is_not_that_of_the_board_model(tmp_path):
    digits = torch.randn(360, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    wb = q.Workbench(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), digits)
    wb.export_yaml(tmp_path / "one.yaml")
    given = yaml.safe_load((tmp_path / "one.yaml").read_text())["input_parameters"]
    assert given["input_shape"] == "1x1x8x8"
    assert "input_batch" not in given
    wb.edit(q.SetBatch(input_batch=4))
    wb.export_yaml(tmp_path / "four.yaml")
    given = yaml.safe_load((tmp_path / "four.yaml").read_text())["input_parameters"]
    assert (given["input_shape"], given["input_batch"]) == ("1x1x8x8", 4)
    wb.edit(q.SetBatch(input_batch=1, first=2))
    wb.export_yaml(tmp_path / "two.yaml")
    assert PtqYaml((tmp_path / "two.yaml").read_text()).get("input_shape") == "2x1x8x8"


def test_the_shape_in_an_existing_file_becomes_that_of_the_workbench(tmp_path):
    wb = q.Workbench(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), torch.randn(2, 1, 8, 8))
    name = wb.base_graph.inputs[0]
    path = write(
        tmp_path,
        f"""\
model_parameters:
  march: bayes-e  # the board
input_parameters:
  input_name: {name}
  input_shape: '1x1X8x8' # one image
calibration_parameters:
  calibration_type: max
""",
    )
    before = path.read_text()
    assert not [line for line in wb.apply_yaml(path) if "input_shape" in line]
    wb.export_yaml(path)
    assert path.read_text() == before
    wb.edit(q.SetBatch(first=4))
    wb.export_yaml(path)
    assert path.read_text() == before.replace("'1x1X8x8'", "'4x1x8x8'")
    other = q.Workbench(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), torch.randn(2, 1, 8, 8))
    other.apply_yaml(path)
    assert other.config.batching == wb.config.batching == Batching(first=4)
    path.write_text(before.replace("1x1X8x8", "1x3x224x224").replace(f"input_name: {name}", "input_name: data"))
    assert not [line for line in wb.apply_yaml(path) if "input_shape" in line]  # of another model's input
    path.write_text(before.replace("1x1X8x8", "1x3x224x224"))
    assert any("1x3x224x224" in line and "takes 4x1x8x8" in line for line in other.apply_yaml(path))
    other.export_yaml(path)
    assert PtqYaml(path.read_text()).get("input_shape") == "4x1x8x8"


def test_an_existing_file_keeps_its_comments_and_unknown_keys(wb, tmp_path):
    path = write(tmp_path, MAPPER)
    wb.apply_yaml(path)
    wb.export_yaml(path)
    assert path.read_text() == MAPPER
    wb.edit(q.SetPlacement("pool", "cpu"), q.SetPlacement("mix", "auto"), q.SetCalibration("kl"))
    wb.export_yaml(path)
    after = path.read_text()
    for kept in (
        "# my board",
        "# exported by hand",
        "my_own_key: 5",
        "# tuned last week",
        "'kl'   # not kl",
        "# the end",
    ):
        assert kept in after
    tree = yaml.safe_load(after)
    assert tree["calibration_parameters"]["run_on_cpu"] == "pool"
    assert "max_percentile" not in tree["calibration_parameters"]
    other = PtqYaml(after)
    assert other.get("optimize_level") == "O3"
    again = wb.config
    wb.apply_yaml(path)
    assert wb.config == again


def test_what_the_file_has_no_key_for_is_told(wb, tmp_path):
    wb.edit(q.InsertUnitConv("mix", "after"), q.FixScale("act", 0.05), q.SetNodeCalibration("x", "kl"))
    wb.calibrate(method="mse")
    text = "\n".join(wb.export_yaml(tmp_path / "made.yaml"))
    for expected in ("unit conv", "fixed scale", "of one node", "calibration mse"):
        assert expected in text


def test_both_forms_of_node_info_say_the_same(wb, tmp_path):
    wb.apply_yaml(write(tmp_path, "model_parameters:\n  node_info: 'mix:int16;left:int16'\n"))
    short = wb.config
    wb.undo()
    block = "model_parameters:\n  node_info:\n    mix:\n      OutputType: int16\n    left: {'OutputType': 'int16'}\n"
    wb.apply_yaml(write(tmp_path, block))
    assert wb.config == short


def test_dtypes_of_single_inputs_are_read_and_written(make_workbench, tmp_path):

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return torch.relu(self.a(x)) * torch.sigmoid(self.b(x))

    model = Two().eval()
    wb = make_workbench(model, torch.randn(1, 3, 4, 4))
    name = next(n.name for n in wb.graph.nodes if n.op == "Mul")
    text = f"model_parameters:\n  node_info: {{'{name}': {{InputType0: int16, InputType1: int8}}}}\n"
    wb.apply_yaml(write(tmp_path, text))
    assert wb.config.dtypes[name].slots == ((0, "int16"), (1, "int8"))
    wb.export_yaml(tmp_path / "made.yaml")
    other = make_workbench(model, torch.randn(1, 3, 4, 4))
    other.apply_yaml(tmp_path / "made.yaml")
    assert other.config.dtypes == wb.config.dtypes
    wb.apply_yaml(write(tmp_path, "model_parameters: {march: bayes-e}"))
    assert not wb.config.dtypes


def test_input_batch_is_read_and_written(wb, make_workbench, tmp_path):
    wb.apply_yaml(write(tmp_path, "input_parameters: {input_batch: 4, input_shape: 1x3x8x8}"))
    assert wb.config.batching.input_batch == 4
    wb.export_yaml(tmp_path / "made.yaml")
    other = make_workbench()
    other.apply_yaml(tmp_path / "made.yaml")
    assert other.config.batching == wb.config.batching


def test_a_bare_on_is_the_key_on(wb, tmp_path):
    wb.apply_yaml(write(tmp_path, "model_parameters:\n  node_info:\n    mix:\n      ON: CPU\n"))
    assert dict(wb.config.on) == {"mix": "cpu"}


def test_optimization_words_that_name_an_operator_take_effect(wb, tmp_path):
    words = "set_Softmax_input_int8,set_Softmax_output_int8,run_fast"
    remarks = wb.apply_yaml(write(tmp_path, f"calibration_parameters:\n  optimization: '{words}'\n"))
    assert wb.placement["softmax"].on == "BPU"
    assert any("run_fast" in line for line in remarks)


def test_calibration_type_default_searches(wb, tmp_path):
    wb.apply_yaml(write(tmp_path, "calibration_parameters:\n  calibration_type: default\n"))
    assert "calibration" in wb.journal[-1]


def test_keys_that_hb_compile_ignores_are_told(wb, tmp_path):
    text = "model_parameters:\n  march: nash-e\n  log_level: debug\ninput_parameters:\n  norm_type: data_mean\n"
    remarks = "\n".join(PtqYaml(text).remarks)
    assert "log_level: deprecated" in remarks
    assert "norm_type: deprecated" in remarks
    assert PtqYaml(text.replace("nash-e", "bayes")).remarks == []


@pytest.mark.parametrize("march", ["nash-starry-p", "expt", "nash-b-lite", "nash"])
def test_a_march_without_a_table_is_accepted_and_told(wb, tmp_path, march):
    text = f"model_parameters:\n  march: {march}\n  node_info: 'mix:int16'\n  log_level: debug\n"
    remarks = wb.apply_yaml(
        write(tmp_path, text + "compiler_parameters: {compile_mode: balance, balance_factor: 50}\n")
    )
    assert any(f"march '{march}' has no table here; placement stays that of {wb.march}" in line for line in remarks)
    assert any("log_level: deprecated, hb_compile ignores it" in line for line in remarks)
    assert wb.config.dtypes["mix"].output == "int16"


BAD = {
    "later march": (
        "model_parameters: {march: nash-stary-p}",
        "expt, nash, got 'nash-stary-p'; did you mean 'nash-starry-p'",
    ),
    "march": ("model_parameters: {march: bayes-x}", "bernoulli2, bayes, bayes-e, got 'bayes-x'; did you mean 'bayes"),
    "choice": ("calibration_parameters: {calibration_type: maxx}", "default, mix, kl, max, load, skip, got 'maxx'"),
    "one of several": ("input_parameters: {input_type_rt: 'rgb;nv21'}", "got 'nv21'; did you mean 'nv12'"),
    "percentile": ("calibration_parameters: {max_percentile: 1.5}", "[0, 1], got 1.5"),
    "batch": ("input_parameters: {input_batch: 129}", "[1, 128], got 129"),
    "number": ("compiler_parameters: {core_num: two}", "a whole number, got 'two'"),
    "flag": ("calibration_parameters: {per_channel: 'yes'}", "True or False, got 'yes'"),
    "O3 on nash": (
        "model_parameters: {march: nash-e}\ncompiler_parameters: {optimize_level: O3}",
        "O0, O1, O2, got 'O3'",
    ),
    "group": ("model_parameters: 5", "must be a mapping"),
    "list": ("- a\n- b", "mapping of groups, got list"),
    "no yaml": ("model_parameters: {march: 'bayes", "not valid YAML"),
    "node_info": ("model_parameters: {node_info: mix}", "is not 'node:int16'"),
    "node_info dtype": ("model_parameters: {node_info: 'mix:int4'}", "int8, int16, got 'int4'"),
    "node_info key": ("model_parameters: {node_info: {mix: {OutputTyp: int16}}}", "did you mean 'OutputType'"),
    "both": ("calibration_parameters: {run_on_cpu: mix, run_on_bpu: mix}", "keep one"),
    "two models": ("model_parameters: {onnx_model: a.onnx, caffe_model: b}", "keep the one to convert"),
    "caffe alone": ("model_parameters: {caffe_model: b.caffemodel}", "needs prototxt"),
    "lengths": ("input_parameters: {input_name: 'a;b', input_type_rt: rgb}", "has 1 entry for 2 inputs"),
    "types": (
        "input_parameters: {input_type_rt: rgb, input_type_train: yuv444}",
        "cannot become input_type_train yuv444",
    ),
    "odd nv12": ("input_parameters: {input_shape: 1x3x225x224, input_type_rt: nv12}", "even height"),
    "scale and std": ("input_parameters: {scale_value: '1', std_value: '2'}", "exclude each other"),
    "separate": ("input_parameters: {separate_batch: True, separate_name: x}", "exclude each other"),
    "batch of two inputs": ("input_parameters: {input_batch: 2, input_name: 'a;b'}", "a single input; this one has 2"),
    "shape with commas": ("input_parameters: {input_shape: '1,3,8,8'}", "e.g. 1x3x224x224"),
    "dynamic shape": ("input_parameters: {input_shape: -1x3x8x8}", "whole numbers >= 1"),
    "batch of batches": ("input_parameters: {input_batch: 2, input_shape: 4x3x8x8}", "begins with 1, got 4x3x8x8"),
    "remove": ("model_parameters: {remove_node_type: 'Quantize;Dequantise'}", "did you mean 'Dequantize'"),
    "balance": (
        "model_parameters: {march: nash-e}\ncompiler_parameters: {compile_mode: balance}",
        "needs balance_factor",
    ),
    "slice": ("compiler_parameters: {max_time_per_fc: 10}", "0 or lie in [1000, 4294967295]"),
    "cores of bayes": ("model_parameters: {march: bayes}\ncompiler_parameters: {core_num: 1}", "must not be set"),
    "cores": ("model_parameters: {march: bernoulli2}\ncompiler_parameters: {core_num: 3}", "[1, 2] on bernoulli2"),
    "source": ("compiler_parameters: {input_source: {x: pyramide}}", "did you mean 'pyramid'"),
    "source of type": (
        "input_parameters: {input_name: x, input_type_rt: rgb}\ncompiler_parameters: {input_source: {x: pyramid}}",
        "cannot deliver rgb",
    ),
    "alias": ("a: &a [1]\nmodel_parameters: {x: *a}", "aliases (*name) are not read"),
    "bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
    "object": ("model_parameters: !!python/object/apply:os.system ['true']", "not valid YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_one_line_and_changes_nothing(wb, tmp_path, name):
    text, expected = BAD[name]
    before = wb.config
    with pytest.raises(FileFormatError) as caught:
        wb.apply_yaml(write(tmp_path, text))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert wb.config == before


def test_an_unknown_node_and_an_unknown_key_name_the_nearest(wb, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'softmax'"):
        wb.apply_yaml(write(tmp_path, "calibration_parameters: {run_on_bpu: sofmax}"))
    remarks = PtqYaml("calibration_parameters:\n  calibration_typ: max\n").remarks
    assert "did you mean 'calibration_type'" in remarks[0]
    with pytest.raises(FileFormatError, match="no file"):
        PtqYaml.read(tmp_path / "nowhere.yaml")


IMAGE = """\
model_parameters:
  march: bayes-e
input_parameters:
  input_name: 'x'
  input_type_rt: 'nv12'   # the camera
  input_type_train: 'bgr'
  norm_type: 'data_mean_and_scale'
  mean_value: 103.53 116.28 123.675
  scale_value: 0.0174
"""


def test_the_preprocessing_of_a_file_is_declared_and_written_back(wb, make_workbench, tmp_path):
    path = write(tmp_path, IMAGE)
    remarks = "\n".join(wb.apply_yaml(path))
    declared = wb.config.inputs["x"]
    assert (declared.rt, declared.train) == ("nv12", "bgr")
    assert (declared.mean, declared.scale) == ((103.53, 116.28, 123.675), (0.0174,))
    assert "mean_value" not in remarks
    wb.export_yaml(tmp_path / "fresh.yaml")
    other = make_workbench()
    other.apply_yaml(tmp_path / "fresh.yaml")
    assert other.config.inputs == wb.config.inputs
    wb.declare_input(rt="rgb", train="rgb")
    wb.export_yaml(path)
    tree = yaml.safe_load(path.read_text())["input_parameters"]
    assert (tree["input_type_rt"], tree["norm_type"]) == ("rgb", "no_preprocess")
    assert "mean_value" not in tree
    assert "# the camera" in path.read_text()
    wb.apply_yaml(write(tmp_path, "input_parameters: {input_type_rt: featuremap, input_type_train: featuremap}"))
    assert not wb.config.inputs


def test_norm_type_decides_whether_mean_and_scale_count(wb, tmp_path):
    wb.apply_yaml(write(tmp_path, IMAGE.replace("data_mean_and_scale", "data_scale")))
    assert wb.config.inputs["x"].mean == ()
    wb.apply_yaml(write(tmp_path, IMAGE.replace("data_mean_and_scale", "no_preprocess")))
    assert wb.config.inputs["x"].scale == ()
    nash = IMAGE.replace("bayes-e", "nash-e").replace("scale_value: 0.0174", "std_value: 58.0 57.0 56.0")
    wb.apply_yaml(write(tmp_path, nash.replace("data_mean_and_scale", "no_preprocess")))
    assert wb.config.inputs["x"].scale == (1 / 58, 1 / 57, 1 / 56)  # derived from which of the values are present


def test_keys_that_lack_another_one_are_told(wb, tmp_path):
    text = """
input_parameters: {input_type_rt: nv12, norm_type: data_mean}
calibration_parameters: {calibration_type: kl, max_percentile: 0.99}
compiler_parameters: {balance_factor: 50}
"""
    remarks = "\n".join(wb.apply_yaml(write(tmp_path, text)))
    for expected in (
        "names no model",
        "needs mean_value",
        "max_percentile: no effect with calibration_type kl",
        "cal_data_dir: not set",
        "no effect without compile_mode balance",
        "hb_mapper requires it",
        "input_type_train of 'x' is not set",
    ):
        assert expected in remarks


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "config.yaml"
    with path.open("wb") as file:
        file.truncate(5 << 20)
    with pytest.raises(FileFormatError, match="larger than 4 MB"):
        PtqYaml.read(path)


@pytest.mark.parametrize("name", sorted(KEYS))
def test_every_key_can_be_set_changed_and_taken_out(name):
    key = KEYS[name]
    values = {
        "choice": key.choices[:2],
        "integer": (max(1, int(key.low)) if key.low > float("-inf") else 1, 2),
        "number": (0.5, 0.25),
        "flag": (True, False),
    }.get(key.kind, ("a: 'b' # c", "x;y"))
    document = PtqYaml("# top\n")
    for value in values:
        document = document.set(name, value)
        assert document.get(name) == value
        assert document.text.startswith("# top\n")
    assert document.set(name, None).get(name) is None


def test_the_magics_export_and_apply(wb, tmp_path):
    from qworkbench.magics.commands import COMMANDS
    from qworkbench.magics.state import State

    state = State({})
    state.add("wb", wb)

    def run(line):
        command = COMMANDS[line.split()[0]]
        return command.run(state, command.parse(line.split()[1:]))

    wb.edit(q.SetPlacement("mix", "cpu"))
    path = tmp_path / "made.yaml"
    assert "wrote" in repr(run(f"export yaml {path}"))
    wb.undo()
    assert "run_on_cpu" in repr(run(f"apply {path}"))
    assert wb.placement["mix"].on == "CPU"
    wb.undo()
    assert "mix: run_on_cpu" in repr(run(f"open {path}"))
    assert "kl" in repr(run("calibrate --method kl"))
    assert wb.config.calibration.name == "kl"
    assert "winner" in repr(run("calibrate --method mix"))
    assert set(run("cost")["kind"]) == {"quantize", "dequantize", "cpu_op"}
    assert len(run("advise --limit 1")) == 1


def test_an_export_keeps_the_search_that_the_file_asks_for_until_a_method_is_chosen(mixed_model, tmp_path):
    x = torch.randn(1, 3, 8, 8)
    wb = q.Workbench(mixed_model, x)
    calibration = "calibration_parameters:\n  calibration_type: default\n  max_percentile: 0.9999\n"
    path = write(tmp_path, calibration)
    wb.apply_yaml(path)
    wb.edit(q.SetPlacement("mix", "cpu"))
    wb.export_yaml(path)
    assert PtqYaml.read(path).get("run_on_cpu") == "mix"
    assert path.read_text().startswith(calibration)
    wb.calibrate(x)
    wb.calibrate(method="kl")
    wb.export_yaml(path)
    assert PtqYaml.read(path).get("calibration_type") == "kl"


def test_the_export_magic_tells_which_keys_it_changed_and_writes_onnx(wb, tmp_path):
    from qworkbench.magics.commands import COMMANDS
    from qworkbench.magics.state import State

    state = State({})
    state.add("wb", wb)

    def run(line):
        command = COMMANDS[line.split()[0]]
        return command.run(state, command.parse(line.split()[1:]))

    path = write(tmp_path, "model_parameters:\n  march: bayes-e\ncalibration_parameters:\n  run_on_cpu: mix\n")
    assert "run_on_cpu: mix -> (not set)" in repr(run(f"export {path}")).replace("'", "")
    assert "nothing was changed" in repr(run(f"export {path}"))
    pytest.importorskip("onnx")
    assert "wrote" in repr(run(f"export {tmp_path / 'edited.onnx'}"))
    assert (tmp_path / "edited.onnx").stat().st_size > 0
