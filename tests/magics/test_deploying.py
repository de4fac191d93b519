from __future__ import annotations

import numpy as np
import pytest
import torch
from IPython.core.error import UsageError

from qworkbench.qat import march
from qworkbench.qat.quantization import convert_fx, prepare_qat_fx
from qworkbench.qat.quantization.qconfig import default_qat_8bit_fake_quant_qconfig
from tests.qat.nets import MobileLike, ResNetLike


@pytest.fixture
def trained(shell):
    torch.manual_seed(0)
    march.set_march("bayes")
    x = torch.randn(2, 3, 16, 16)
    made = prepare_qat_fx(ResNetLike().train(), {"": default_qat_8bit_fake_quant_qconfig})
    made(x)
    shell.user_ns.update(net=MobileLike().eval(), x=x, images=torch.randn(4, 3, 16, 16), qat_model=made.eval())
    yield shell
    march._set.clear()


def test_split_use_undo(trained, qwb, tmp_path):
    qwb("load net --calibration images")
    text = repr(qwb(f"split project.1 --to {tmp_path}/out"))
    assert "net.stage1" in text
    assert "hands over project.1: int8, scale" in text
    assert (tmp_path / "out" / "stage2.yaml").exists()
    assert qwb("use").title.startswith("MobileLike on")
    qwb("use net.stage2")
    assert "run" in repr(qwb("run")).lower()
    assert "whole again" in repr(qwb("split --undo"))
    assert repr(qwb("list")).count("\n") == 0
    with pytest.raises(UsageError, match="no split to undo"):
        qwb("split --undo")
    with pytest.raises(UsageError, match="name the node"):
        qwb("split")
    with pytest.raises(UsageError, match="did you mean"):
        qwb("split projekt.1")


def test_a_trained_model_loads_with_its_march_and_gives_what_convert_gives(trained, qwb):
    text = repr(qwb("load qat_model"))
    assert "on bayes" in text
    assert "bayes-e" not in text
    workbench = qwb("use")
    wanted = convert_fx(trained.user_ns["qat_model"])(trained.user_ns["x"]).detach().numpy()
    assert np.array_equal(next(iter(workbench.run().outputs.values())), wanted)


def test_lsb_is_a_table_and_refuses_a_float_model(trained, qwb):
    table = qwb("lsb qat_model")
    assert {"quant", "fc"} <= set(table["op"])
    assert table["own max"].max() <= 1.01
    with pytest.raises(UsageError, match="give the prepared model"):
        qwb("lsb net")


def test_qconfig_is_code(trained, qwb, tmp_path):
    qwb("load net --calibration images")
    assert "ModuleNameTemplate(rules" in repr(qwb("qconfig"))
    qwb(f"qconfig {tmp_path}/q.py --method symbolic")
    assert "set_march('bayes-e')" in (tmp_path / "q.py").read_text()
    with pytest.raises(UsageError, match="cannot write"):
        qwb(f"qconfig {tmp_path}/none/q.py")
