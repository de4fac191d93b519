"""Whatever was edited before, an incremental run equals a run from scratch, bit for bit."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.march import MARCHES
from qworkbench.workbench.measured import Measured
from qworkbench.workbench.run import run_config
from qworkbench.workbench.stages import Stages


def from_scratch(wb, inputs=None):
    """Run the configuration of `wb` with nothing remembered."""
    from qworkbench.emulator.cache import ResultCache

    stages = Stages(wb.base_graph)
    stages.statistics = wb.statistics
    return run_config(stages, wb.config, wb.example if inputs is None else inputs, ResultCache(), Measured())


def assert_same(run, fresh):
    assert run.outputs.keys() == fresh.outputs.keys()
    for name, array in fresh.outputs.items():
        np.testing.assert_array_equal(run.outputs[name], array)
    pd.testing.assert_frame_equal(run.layers, fresh.layers, check_exact=True)
    pd.testing.assert_frame_equal(
        run.table[["cosine", "l1", "mse", "atol", "sqnr"]],
        fresh.table[["cosine", "l1", "mse", "atol", "sqnr"]],
        check_exact=True,
    )
    assert run.overflow == fresh.overflow


def random_edit(rng, wb):
    """Draw one of every kind of edit; some do not fit, and then nothing may change."""
    node = rng.choice(wb.graph.nodes.names())
    return rng.choice(
        [
            lambda: q.SetPlacement(node, rng.choice(["bpu", "cpu", "auto"])),
            lambda: q.SetPlacement(node, rng.choice(["bpu", "cpu", "auto"])),
            lambda: q.InsertUnitConv(node, rng.choice(["before", "after"])),
            lambda: q.RemoveUnitConv(
                *rng.choice([(u.node, u.where, u.slot) for u in wb.config.unit_convs] or [(node,)])
            ),
            lambda: q.FixScale(rng.choice([node, "x"]), rng.choice([0.01, 0.02, 1 / 128])),
            lambda: q.ClearScale(rng.choice(list(wb.config.scales) or [node])),
            lambda: q.SetDtype(node, rng.choice(["int8", "int16", "auto"])),
            lambda: q.SetDtype(node, input=rng.choice(["int8", "int16", "auto"])),
            lambda: q.SetCalibration(
                rng.choice(["max", "max-percentile"]), rng.choice([0.9, 0.99]), rng.random() < 0.4
            ),
            lambda: q.SetDtype(node, rng.choice(["float16", "int16"]), weight=rng.choice(["int8", "int16"])),
            lambda: q.SetMarch(rng.choice(MARCHES)),
            lambda: q.SetAssumption("dual_int16", rng.choice(["on", "off", "auto"])),
            lambda: q.SetArithmetic(
                rounding=rng.choice(["half_even", "half_away", "half_up"]),
                multiplier_int8=rng.choice(["float32", "fixed", "pow2"]),
                scale_denominator=rng.choice([127, 128]),
            ),
        ]
    )()


@pytest.mark.parametrize("cache_bytes", [None, 4000], ids=["large cache", "evicting cache"])
@pytest.mark.parametrize("seed", range(4))
def test_after_any_sequence_of_edits_a_run_equals_one_from_scratch(make_workbench, samples, seed, cache_bytes):
    rng = random.Random(seed)
    wb = make_workbench(cache_bytes=cache_bytes, calibration=None)
    wb.calibrate(samples, per_channel=True)
    done = 0
    for _ in range(14):
        before = (wb.config, wb.journal, wb.can_redo)
        try:
            move = rng.random()
            if move < 0.15:
                wb.undo()
            elif move < 0.25:
                wb.redo()
            else:
                wb.edit(*[random_edit(rng, wb) for _ in range(rng.choice([1, 1, 2]))])
            done += 1
        except q.QWorkbenchError:
            assert (wb.config, wb.journal, wb.can_redo) == before
            continue
        assert_same(wb.run(), from_scratch(wb))
    assert done > 5


def test_a_late_edit_computes_fewer_steps_than_the_whole(wb):
    whole = wb.run()
    assert len(whole.computed) == whole.steps
    wb.edit(q.FixScale("act", 0.02))
    late = wb.run()
    assert 0 < len(late.computed) < whole.steps / 2
    assert not {"stem", "block", "left"} & set(late.computed)


def test_an_early_edit_computes_everything_behind_it(wb):
    wb.run()
    wb.edit(q.FixScale("x", 0.05))
    assert {"stem", "_generated_add_0", "mix", "head"} <= set(wb.run().computed)


def test_outputs_that_a_user_holds_outlive_the_cache(make_workbench):
    class Ends(nn.Module):
        """Outputs of every kind that memory is lent to: on a surface, as lines, and read by others."""

        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 8, 3, padding=1)
            self.b = nn.Linear(8, 8)

        def forward(self, x):
            y = torch.relu(self.a(x))
            flat = torch.sigmoid(self.b(y.permute(0, 2, 3, 1)))
            return y, flat, torch.relu(flat), y * 0.5 + y

    torch.manual_seed(0)
    x = torch.randn(1, 3, 32, 32)
    wb = make_workbench(Ends().eval(), x, calibration=[x])
    wb.run()
    wb.forget()
    held = wb.run()  # from kernels that were prepared by the run before
    copies = {name: array.copy() for name, array in held.outputs.items()}
    for scale in (1, -2):
        wb.forget()
        wb.run(x * scale)
    for name, array in copies.items():
        np.testing.assert_array_equal(held.outputs[name], array)


def test_undo_and_redo_compute_nothing(wb):
    first = wb.run()
    wb.edit(q.SetPlacement("softmax", "bpu"))
    second = wb.run()
    wb.undo()
    undone = wb.run()
    wb.redo()
    redone = wb.run()
    assert undone.computed == redone.computed == ()
    for run, same in ((undone, first), (redone, second)):
        for name, array in same.outputs.items():
            np.testing.assert_array_equal(run.outputs[name], array)


def test_two_inputs_do_not_share_results(wb, samples):
    one, two = wb.run(samples[:1]), wb.run(samples[1:2])
    assert len(two.computed) == two.steps
    first = next(iter(one.outputs))
    assert not np.array_equal(one.outputs[first], two.outputs[first])
    assert wb.run(samples[:1]).computed == ()


@pytest.mark.parametrize("batches", [(1, 3, 2), (3, 1)])
def test_every_batch_size_equals_a_run_from_scratch(wb, samples, batches):
    for size in batches:
        assert_same(wb.run(samples[:size]), from_scratch(wb, samples[:size]))


def test_a_constant_that_follows_the_batch_is_not_taken_from_another_batch_size(make_workbench):
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.ones(1, 1, 4))
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1))

    torch.manual_seed(0)
    wb = make_workbench(Token().eval(), torch.randn(1, 2, 4))
    for size in (1, 3, 2):
        out = wb.run(torch.randn(size, 2, 4)).result
        assert tuple(out.shape) == (size, 3, 3)


def test_distances_follow_a_scale_that_leaves_the_codes_as_they_are(make_workbench, samples):
    class Saturating(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 4, 1)
            self.b = nn.Conv2d(4, 2, 1)

        def forward(self, x):
            return self.b(torch.sigmoid(self.a(x)))

    torch.manual_seed(0)
    wb = make_workbench(Saturating().eval(), samples[:1])
    # every sigmoid here is above 127 codes of either scale: the table is 127 throughout, and so are the codes
    for scale in (1e-4, 5e-5):
        wb.edit(q.FixScale("_generated_sigmoid_0", scale))
        run = wb.run()
        assert run.layers.loc["_generated_sigmoid_0", "max_qscale_diff"] > 127
        assert_same(run, from_scratch(wb))


def test_calibrating_again_takes_effect_and_makes_the_last_run_stale(wb, samples):
    wb.run()
    assert not wb.stale
    wb.calibrate(samples * 3)
    assert wb.stale
    assert_same(wb.run(), from_scratch(wb))
    assert not wb.stale
