"""Faults that users make, planted one at a time: each is found, at the right node, in the right words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qworkbench as q


def advice_of(found, name):
    return found.frame.set_index("mod_name").advice[name]


def test_a_channel_scaled_by_1000_is_the_worst_row_of_every_analysis(make_workbench, chain, samples):
    with torch.no_grad():
        chain.second.weight[3] *= 1000
        chain.second.bias[3] *= 1000
        chain.third.weight[:, 3] /= 1000
    wb = make_workbench(chain, samples)
    found = wb.compare_layers(samples)
    assert found.first_bad == "_generated_relu_1"
    assert "channel 3 is" in advice_of(found, "_generated_relu_1")
    table = wb.sensitivity(samples)
    assert set(table.op_name[:2]) == {"second", "third"}
    wide = wb.sensitivity(samples, nodes=["second"]).set_index("sensitive_type").L1
    wb.edit(q.SetDtype("second", "int16"))
    repaired = wb.sensitivity(samples, nodes=["second"]).set_index("sensitive_type").L1
    assert repaired.activation < wide.activation / 20
    assert wb.compare_layers(samples).first_bad is None


def test_a_truncated_threshold_is_the_first_bad_layer(make_workbench, chain, samples):
    wb = make_workbench(chain, samples)
    healthy = wb.sensitivity(samples).op_name.iloc[0]
    node = "_generated_relu_0"
    wb.edit(q.FixScale(node, 1e-4))
    found = wb.compare_layers(samples)
    assert found.first_bad == node
    assert advice_of(found, node).startswith("truncated")
    assert healthy != "first"
    assert wb.sensitivity(samples).op_name.iloc[0] == "first"


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.colour, self.range = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, image, depth):
        return self.out(torch.cat([self.colour(image), self.range(depth / 50.0)], 1))


@pytest.fixture
def branches(make_workbench):
    generator = torch.Generator().manual_seed(5)
    image = torch.rand(8, 3, 6, 6, generator=generator)
    depth = 40 + 30 * torch.rand(8, 3, 6, 6, generator=generator)
    torch.manual_seed(0)
    return make_workbench(Branches().eval(), (image, depth)), image, depth


def test_inputs_in_the_wrong_order_are_told_apart_from_a_bad_threshold(branches):
    wb, image, depth = branches
    assert wb.compare_layers((image, depth)).first_bad is None
    found = wb.compare_layers((depth, image))
    assert found.first_bad == "image"
    assert advice_of(found, "image").startswith("swapped inputs: the values of 'image'")
    assert "'image'" in advice_of(found, "depth")


@pytest.mark.parametrize("samples_seen", [1, 8])
def test_an_input_normalised_twice_is_told_with_the_step_that_was_repeated(make_workbench, chain, samples_seen):
    raw = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def normalised(x):
        return (x - 0.45) / 0.225

    wb = make_workbench(chain, normalised(raw[:8]))
    assert wb.compare_layers(normalised(raw[8 : 8 + samples_seen])).first_bad is None
    found = wb.compare_layers(normalised(normalised(raw[8 : 8 + samples_seen])))
    assert found.first_bad == "x"
    advice = advice_of(found, "x")
    assert "normalised twice" in advice
    assert float(advice.split("(x - ")[1].split(")")[0]) == pytest.approx(0.45, abs=0.1)
    assert float(advice.split(") / ")[1].split()[0]) == pytest.approx(0.225, abs=0.02)
    forgotten = wb.compare_layers(raw[8 : 8 + samples_seen])
    assert "normalisation missing" in advice_of(forgotten, "x")
    twice = make_workbench(chain, normalised(normalised(raw[:8])))
    assert "calibration data normalised twice" in advice_of(twice.compare_layers(normalised(raw[8:])), "x")


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        return self.out(self.pool(torch.relu(self.conv(x))))


def test_an_int16_that_fell_back_to_int8_is_named_with_the_op_that_refused(make_workbench, samples):
    torch.manual_seed(0)
    model = Pooled().eval()
    with torch.no_grad():
        model.conv.weight[3] *= 1000
        model.out.weight[:, 3] /= 1000
    wb = make_workbench(model, samples)
    wb.edit(q.SetDtype("conv", "int16"))
    found = wb.compare_layers(samples)
    assert found.first_bad == "_generated_relu_0"
    advice = advice_of(found, found.first_bad)
    assert "wish not followed: int16 asked for the output of" in advice
    assert "'pool' (AveragePool) takes int8 only on bayes-e" in advice
    assert any("stays int8" in text for text in wb.check().unusual.Msg)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.near, self.far = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.near(self.conv(x)), self.far(self.conv(x * 50.0))


def test_a_shared_conv_with_two_very_different_inputs_is_named(make_workbench, samples):
    torch.manual_seed(0)
    found = make_workbench(Shared().eval(), samples).compare_layers(samples)
    told = found.frame[found.frame.advice.str.contains("shared module: 'conv' is called 2 times")]
    assert list(told.mod_name) == ["conv", "conv#1"]
