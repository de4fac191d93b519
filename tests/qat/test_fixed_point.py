from __future__ import annotations

import pytest
import torch

from qworkbench.qat.errors import QATError
from qworkbench.qat.quantization import convert_fx, prepare_qat_fx
from qworkbench.qat.quantization.fixed_point import COLUMNS, fixed_point_error
from qworkbench.qat.quantization.qconfig import (
    default_qat_8bit_fake_quant_qconfig,
    default_qat_8bit_weight_16bit_act_fake_quant_qconfig,
)
from tests.qat.nets import ALL, ResNetLike

CURVED = ("rsqrt", "reciprocal", "GELU", "SiLU", "exp", "tanh", "sigmoid")


def observed(make, qconfig):
    x = torch.randn(4, 3, 16, 16)
    made = prepare_qat_fx(make().train(), {"": qconfig})
    made(x)
    return made.eval(), x


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    "qconfig",
    [default_qat_8bit_fake_quant_qconfig, default_qat_8bit_weight_16bit_act_fake_quant_qconfig],
    ids=["int8", "int16"],
)
def test_each_op_is_within_one_step_of_training(make, qconfig):
    made, x = observed(make, qconfig)
    table = fixed_point_error(made, x)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) >= 6
    # a segmented int16 table is interpolated; documented is 5 for the reciprocal, whose range
    # decides: the narrower, the closer
    wide_table = table["type"].isin(CURVED) & (table["dtype"] == "int16")
    assert table.loc[~wide_table, "own max"].max() <= 1.01
    assert (table.loc[wide_table, "own max"] <= 32).all()
    assert table.loc[~wide_table, "own mean"].max() < 0.5


def test_an_error_in_the_integers_is_seen_where_it_is():
    made, x = observed(ResNetLike, default_qat_8bit_fake_quant_qconfig)
    integers = convert_fx(made)
    with torch.no_grad():
        integers.get_submodule("layer2.conv1").weight.mul_(-1)
    table = fixed_point_error(made, x, converted=integers).set_index("op")
    assert table.loc["layer2.conv1", "own max"] > 10
    assert table.drop("layer2.conv1")["own max"].max() <= 1.01
    assert table.loc["stem.0", "accumulated max"] <= 1.01 < table.loc["_generated_add_1", "accumulated max"]


def test_the_prepared_model_stays_as_it_is_and_a_converted_one_is_refused():
    made, x = observed(ResNetLike, default_qat_8bit_fake_quant_qconfig)
    before = made(x)
    fixed_point_error(made, x)
    assert torch.equal(made(x), before)
    with pytest.raises(QATError, match="give the prepared model"):
        fixed_point_error(convert_fx(made), x)
