"""Whole plans: kernels against the slow reference, bit for bit, and the switches of the arithmetic."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

import qworkbench as q
from qworkbench.calibration.method import CalibrationMethod
from qworkbench.calibration.observe import collect
from qworkbench.emulator.builder import build_plan
from qworkbench.emulator.cache import ResultCache, StepResult
from qworkbench.emulator.execute import execute
from qworkbench.emulator.fingerprint import Packed
from qworkbench.emulator.kernels import isa
from qworkbench.emulator.plan import Step
from qworkbench.emulator.tape import Segment
from qworkbench.errors import CalibrationError, Cancelled, EmulationError
from qworkbench.graph.feeds import feeds_of
from qworkbench.march import get_march
from qworkbench.numerics import reference
from qworkbench.numerics.arithmetic import Arithmetic
from qworkbench.placement.place import place
from qworkbench.placement.types import DtypeRequest, Overrides
from qworkbench.workbench.thresholds import ConfiguredThresholds
from tests.models.zoo import ZOO


class Prepared:
    """A captured, calibrated model; plans and runs under any wishes."""

    def __init__(self, graph, example, per_channel=False):
        self.graph = graph
        self.statistics = collect(graph, [example], per_channel=per_channel)
        self.feeds = {name: tensor.numpy() for name, tensor in feeds_of(graph, example).items()}

    def plan(self, march="bayes-e", method=None, arithmetic=None, **wishes):
        placement = place(self.graph, get_march(march), Overrides(**wishes))
        thresholds = ConfiguredThresholds(self.statistics, method or CalibrationMethod(), {})
        return build_plan(self.graph, placement, thresholds, arithmetic)

    def every(self, plan, backend=None):
        keys = {key for step in plan.steps for key in step.outputs}
        return execute(plan, self.feeds, keys, ResultCache(), backend=backend).arrays


def assert_backends_agree(prepared, plan):
    fast, slow = prepared.every(plan), prepared.every(plan, reference)
    assert fast.keys() == slow.keys()
    for key, array in slow.items():
        assert fast[key].dtype == array.dtype, key
        np.testing.assert_array_equal(fast[key], array, err_msg=key)


@pytest.fixture(scope="module")
def zoo():
    held = {}

    def get(name):
        if name not in held:
            model, example = ZOO[name]()
            held[name] = Prepared(q.capture(model, example), example)
        return held[name]

    return get


@pytest.mark.parametrize("name", ZOO)
def test_every_step_of_a_whole_model_equals_the_reference(zoo, name):
    prepared = zoo(name)
    assert_backends_agree(prepared, prepared.plan())


@pytest.mark.parametrize("name", ["mobilenet_v2", "detector", "vit"])
def test_every_step_with_int16_everywhere_equals_the_reference(zoo, name):
    prepared = zoo(name)
    wide = {n.name: DtypeRequest("int16", None, "int16") for n in prepared.graph.nodes}
    plan = prepared.plan(dtypes=wide)
    assert any(quantity.dtype == "int16" for quantity in plan.quantities.values())
    assert_backends_agree(prepared, plan)


class Image(nn.Module):
    """An image read by a convolution, and by everything else that may come first."""

    def __init__(self, channels):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 7, 2, 3)
        self.same = nn.Conv2d(channels, channels, 3, 1, 1)
        self.alone = nn.Conv2d(channels, channels, 3, 2, 1, groups=channels)
        self.focused = nn.Conv2d(4 * channels, 20, 3, 1, 1)

    def forward(self, x):
        f = nn.functional
        parts = [x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)]
        larger = f.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        means = x.mean((2, 3)), f.avg_pool2d(x, 3, 2, 1)
        again = self.same(larger), self.same(x) + x, self.alone(x), self.focused(torch.cat(parts, 1))
        return self.stem(x), f.max_pool2d(x, 3, 2, 1), f.pad(x, (1, 2, 0, 1)), torch.sigmoid(x), *means, *again


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_step_that_reads_an_image_equals_the_reference(channels, dtype):
    torch.manual_seed(0)
    example = torch.randn(2, channels, 24, 38)
    prepared = Prepared(q.capture(Image(channels).eval(), example), example)
    wide = {n.name: DtypeRequest(dtype, None, dtype) for n in prepared.graph.nodes}
    assert_backends_agree(prepared, prepared.plan(dtypes=wide if dtype == "int16" else {}))


@pytest.mark.parametrize("name", ["vit", "segmentation"])
def test_every_step_with_softmax_on_the_bpu_equals_the_reference(zoo, name):
    prepared = zoo(name)
    softmaxes = [n.name for n in prepared.graph.nodes if n.op == "Softmax"]
    plan = prepared.plan(on=dict.fromkeys(softmaxes, "bpu"))
    assert any(step.name.endswith(".exp") for step in plan.steps)
    assert_backends_agree(prepared, plan)


@pytest.mark.parametrize("march", ["bernoulli2", "bayes"])
def test_every_step_on_the_other_marches_equals_the_reference(zoo, march):
    prepared = zoo("densenet")
    assert_backends_agree(prepared, prepared.plan(march))


@pytest.mark.parametrize("fraction", [1.0, 0.999])
def test_every_step_with_thresholds_per_channel_equals_the_reference(fraction):
    model, example = ZOO["resnet18"]()
    prepared = Prepared(q.capture(model, example), example, per_channel=True)
    plan = prepared.plan(method=CalibrationMethod("max-percentile", fraction, per_channel=True))
    assert any(quantity.per_channel and quantity.dtype == "int8" for quantity in plan.quantities.values())
    assert_backends_agree(prepared, plan)


# -- switches ----
@pytest.fixture(scope="module")
def small(mixed_model, samples):
    return Prepared(q.capture(mixed_model, samples[:1]), samples[:4])


@pytest.mark.parametrize(
    "arithmetic",
    [
        Arithmetic(rounding="half_away"),
        Arithmetic(rounding="half_up"),
        Arithmetic(multiplier_int8="float64"),
        Arithmetic(multiplier_int8="fixed"),
        Arithmetic(multiplier_int8="pow2"),
        Arithmetic(scale_denominator=128),
    ],
    ids=str,
)
def test_every_switch_of_the_arithmetic_equals_the_reference(small, arithmetic):
    assert_backends_agree(small, small.plan(arithmetic=arithmetic))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "detector"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "arithmetic",
    [Arithmetic(), Arithmetic(rounding="half_up"), Arithmetic(multiplier_int8="fixed", multiplier_int16="fixed")],
    ids=str,
)
def test_a_run_that_comes_again_is_the_references_in_any_arithmetic_and_width(zoo, name, wide, arithmetic):
    prepared = zoo(name)
    placed = place(prepared.graph, get_march("bayes-e"), Overrides())
    on = [unit.anchor for unit in placed.units if placed[unit.anchor].on == "BPU"] if wide else []
    plan = prepared.plan(arithmetic=arithmetic, dtypes={anchor: DtypeRequest(output="int16") for anchor in on})
    slow = execute(plan, prepared.feeds, set(plan.outputs), ResultCache(), backend=reference).arrays
    for _ in range(5):  # at once, prepared, taken down, played, played elsewhere
        fast = execute(plan, prepared.feeds, set(plan.outputs), ResultCache()).arrays
        for key, array in slow.items():
            np.testing.assert_array_equal(fast[key], array, err_msg=key)


def test_scale_denominator_128_divides_thresholds_by_128(small):
    by_127, by_128 = small.plan(), small.plan(arithmetic=Arithmetic(scale_denominator=128))
    quotient = by_128.quantities["mix@int8"].single / by_127.quantities["mix@int8"].single
    assert quotient == pytest.approx(127 / 128, rel=1e-6)
    threshold = small.statistics.threshold("mix", CalibrationMethod())
    assert by_127.quantities["mix@int8"].single == np.float32(threshold / 127)


def test_rounding_decides_exact_halves():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(1, 1, 1, bias=False)
            self.b = nn.Conv2d(1, 1, 1, bias=False)

        def forward(self, x):
            return self.b(self.a(x))

    model = Half().eval()
    nn.init.constant_(model.a.weight, 127.0)
    nn.init.constant_(model.b.weight, 1.0)
    codes = torch.arange(-8, 8, dtype=torch.float32).reshape(1, 1, 4, 4)
    prepared = Prepared(q.capture(model, codes), codes)
    # scale of x 1, of the weight 1, of the output 254: a code is x / 2
    outputs = {}
    for rounding in ("half_even", "half_away", "half_up"):
        plan = prepared.plan(arithmetic=Arithmetic(rounding=rounding), scales={"x": 1.0, "a": 254.0})
        outputs[rounding] = prepared.every(plan)["a@int8"].ravel().tolist()
    halves = [n / 2 for n in range(-8, 8)]
    assert outputs["half_even"] == [int(np.rint(h)) for h in halves]
    assert outputs["half_away"] == [int(np.sign(h) * np.floor(abs(h) + 0.5)) for h in halves]
    assert outputs["half_up"] == [int(np.floor(h + 0.5)) for h in halves]


def test_pow2_multiplier_rescales_by_a_power_of_two(small):
    plan = small.plan(arithmetic=Arithmetic(multiplier_int8="pow2"))
    got, exact = small.every(plan), small.every(small.plan())
    assert not np.array_equal(got["mix@int8"], exact["mix@int8"])


def test_accumulator_overflow_is_counted_and_wraps():
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(600, 2, 1, bias=False)

        def forward(self, x):
            return self.conv(x)

    model = Wide().eval()
    nn.init.constant_(model.conv.weight, 1.0)
    ones = torch.ones(1, 600, 2, 2)
    prepared = Prepared(q.capture(model, ones), ones)
    plan = prepared.plan(dtypes={"conv": DtypeRequest(input="int16")})
    cache = ResultCache()
    first = execute(plan, prepared.feeds, set(plan.outputs), cache)
    # 600 * 32767 * 127 is above 2**31, in each of 2 * 2 * 2 accumulators
    assert first.overflow == {"conv": 8}
    again = execute(plan, prepared.feeds, set(plan.outputs), cache)
    assert again.computed == ()
    assert again.overflow == {"conv": 8}
    assert_backends_agree(prepared, plan)


def test_an_error_of_a_step_names_it(small):
    plan = small.plan()
    feeds = {"x": small.feeds["x"][:, :2]}
    with pytest.raises(EmulationError, match=r"'stem'|'_generated_relu_0'"):
        execute(plan, feeds, set(plan.outputs), ResultCache())


def test_a_threshold_that_nobody_observed_is_named(small):
    class Nothing:
        def threshold(self, name):
            raise CalibrationError(f"no calibration data for {name!r}")

        def channel_thresholds(self, name):
            return None

    placement = place(small.graph, get_march("bayes-e"))
    with pytest.raises(CalibrationError, match="'x'"):
        build_plan(small.graph, placement, Nothing())


# -- the cache ----
def test_the_cache_never_holds_more_than_its_bytes_and_drops_the_oldest():
    cache = ResultCache(1000)
    for i in range(10):
        cache.put(bytes([i]), StepResult((np.zeros(300, np.int8),)))
        cache.get(b"\x00")
        assert cache.nbytes <= 1000
    assert cache.get(b"\x00") is not None
    assert cache.get(b"\x01") is None
    assert cache.get(b"\x09") is not None
    cache.put(b"large", StepResult((np.zeros(2000, np.int8),)))
    assert cache.get(b"large") is None
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_putting_a_result_twice_counts_its_bytes_once():
    cache = ResultCache(1000)
    for _ in range(5):
        cache.put(b"k", StepResult((np.zeros(300, np.int8),)))
    assert cache.nbytes == 300


class Four:
    """Four results of 100 bytes in one piece of memory."""

    def __init__(self):
        self.nbytes, self.kept = 400, 0

    def step(self, number):
        return StepResult((np.full(100, number, np.int8),))


def test_what_came_together_counts_until_the_last_of_it_is_gone():
    cache, prints = ResultCache(1000), {key: key.encode() for key in "abcdefgh"}
    cache.put_together(prints, "abcd", Four())
    cache.put_together(prints, "efgh", Four())
    assert (len(cache), cache.nbytes) == (8, 800)
    assert not cache.lacks([b"a", b"x"])
    assert cache.lacks([b"x"])
    for key, number in (("a", 0), ("h", 3)):
        assert cache.get(prints[key]).outputs[0][0] == number
    cache.put(b"b", StepResult((np.zeros(100, np.int8),)))  # three of the first four are left
    assert (len(cache), cache.nbytes) == (8, 900)
    cache.put(b"x", StepResult((np.zeros(200, np.int8),)))  # the memory of a, c and d is free without all three only
    assert all(cache.get(one) is None for one in (b"a", b"c", b"d"))
    assert cache.get(b"h") is not None
    assert cache.nbytes == 700
    cache.put_together(prints, "fghb", Four())  # once more: of the former nothing is left
    assert cache.get(b"b").outputs[0][0] == 3
    assert (len(cache), cache.nbytes) == (5, 600)
    small = ResultCache(300)
    small.put_together(prints, "abcd", Four())
    assert (len(small), small.nbytes) == (0, 0)


def test_cached_arrays_cannot_be_changed_by_a_reader(small):
    plan, cache = small.plan(), ResultCache()
    key = plan.outputs[0]
    array = execute(plan, small.feeds, {key}, cache).arrays[key]
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 0


@pytest.mark.parametrize("limit", [0, 500, 3000])
def test_results_stay_right_when_the_cache_evicts(small, limit):
    plan, cache = small.plan(), ResultCache(limit)
    expected = small.every(plan)
    for _ in range(3):
        got = execute(plan, small.feeds, set(plan.outputs), cache)
        assert cache.nbytes <= limit
        for key in plan.outputs:
            np.testing.assert_array_equal(got.arrays[key], expected[key])


def test_a_recurrent_layer_on_the_bpu_says_what_is_assumed_of_it(zoo):
    prepared = zoo("lstm")
    placement = place(prepared.graph, get_march("bayes-e"))
    assert placement["rnn"].on == "BPU"
    assert any("not public" in fact.text for fact in placement["rnn"].reason.facts)
    plan = prepared.plan()
    assert plan.quantities["rnn:0@int8"].dtype == "int8"


def test_a_dropout_inside_a_fused_residual_has_no_result_of_its_own(captured):
    layers = {"fc": nn.Linear(8, 8), "drop": nn.Dropout(0.1), "out": nn.Linear(8, 8)}
    graph = captured(lambda m, x: m.out(x + m.drop(m.fc(x))), (2, 4, 8), **layers)
    prepared = Prepared(graph, torch.randn(2, 4, 8))
    assert prepared.plan("bayes").results.keys() == {"_generated_add_0", "out"}
    assert prepared.plan(on={"_generated_add_0": "cpu"}).results.keys() == set(graph.nodes.names())


def test_what_kernels_prepared_does_not_travel(small):
    plan = small.plan()
    execute(plan, small.feeds, set(plan.outputs), ResultCache())
    there = pickle.loads(pickle.dumps(plan))
    assert all(not step.made for step in there.steps)
    assert all(not value.forms for step in there.steps for value in step.params.values() if isinstance(value, Packed))


def test_the_second_run_of_a_plan_queues_kernels_and_gives_the_same(small):
    plan = small.plan()
    keys = {key for step in plan.steps for key in step.outputs}
    slow = execute(plan, small.feeds, keys, ResultCache(), backend=reference).arrays
    for together in (True, True, True, True, False):
        told: list[Step] = []
        found = execute(
            plan, small.feeds, keys, ResultCache(), on_step=lambda *a, t=told: t.append(a[0]), together=together
        )
        assert told == list(plan.steps)
        assert [step.name for step in told] == list(found.computed)
        assert all(np.array_equal(found.arrays[key], slow[key]) for key in keys)
        assert not any(array.flags.writeable for array in found.arrays.values())
    if isa.chosen() != isa.PORTABLE:
        assert sum(bool(step.made) for step in plan.steps) > len(plan.steps) / 4


def test_a_cancelled_run_keeps_what_was_told_and_nothing_that_only_waits(small):
    plan = small.plan()
    execute(plan, small.feeds, set(plan.outputs), ResultCache())
    cache, asked = ResultCache(), iter([False] * (len(plan.steps) - 1) + [True] * 99)
    told: list[str] = []
    with pytest.raises(Cancelled):
        execute(
            plan,
            small.feeds,
            set(plan.outputs),
            cache,
            cancelled=lambda: next(asked),
            on_step=lambda step, *_: told.append(step.name),
        )
    assert len(cache) == len(told) < len(plan.steps)
    got = execute(plan, small.feeds, set(plan.outputs), cache).arrays
    slow = execute(plan, small.feeds, set(plan.outputs), ResultCache(), backend=reference).arrays
    assert all(np.array_equal(got[key], slow[key]) for key in slow)


@pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")
def test_a_run_that_comes_again_plays_what_was_taken_down(small, monkeypatch):
    played: list[bool] = []
    play = Segment.play

    def counted(self, live):
        found = play(self, live)
        played.append(found is not None)
        return found

    monkeypatch.setattr(Segment, "play", counted)
    plan = small.plan()
    keys = {key for step in plan.steps for key in step.outputs}
    rng = np.random.default_rng(5)
    kept = []
    for turn in range(6):
        feeds = {name: rng.standard_normal(array.shape).astype(np.float32) for name, array in small.feeds.items()}
        kept.append((feeds, execute(plan, feeds, keys, ResultCache()).arrays))
        assert bool(played) == (turn > 1)
    assert all(played)
    for feeds, arrays in kept:  # nobody wrote over what is held
        slow = execute(plan, feeds, keys, ResultCache(), backend=reference).arrays
        assert all(np.array_equal(arrays[key], slow[key]) for key in keys)


def owner_of(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


@pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")
def test_who_keeps_an_output_does_not_keep_every_feature_map(small):
    plan = small.plan()
    for _ in range(3):
        arrays = execute(plan, small.feeds, set(plan.outputs), ResultCache()).arrays
    keys = {key for step in plan.steps for key in step.outputs}
    every = execute(plan, small.feeds, keys, ResultCache()).arrays
    whole = sum(array.nbytes for array in every.values())
    assert all(owner_of(array).nbytes < max(2 * array.nbytes, 1 << 14) for array in arrays.values())
    cache = ResultCache()
    for _ in range(3):
        cache.clear()
        execute(plan, small.feeds, set(plan.outputs), cache)
    assert cache.nbytes >= whole


@pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")
def test_results_that_were_played_are_found_one_by_one(small):
    plan = small.plan()
    keys = {key for step in plan.steps for key in step.outputs}
    slow = execute(plan, small.feeds, keys, ResultCache(), backend=reference).arrays
    for _ in range(2):
        execute(plan, small.feeds, set(plan.outputs), ResultCache())
    cache = ResultCache()
    execute(plan, small.feeds, set(plan.outputs), cache)
    for key in sorted(keys):
        again = execute(plan, small.feeds, {key}, cache)
        assert again.computed == ()
        np.testing.assert_array_equal(again.arrays[key], slow[key])
        assert not again.arrays[key].flags.writeable


@pytest.mark.skipif(isa.chosen() == isa.PORTABLE, reason="no generated kernels on this processor")
def test_a_number_that_has_no_code_is_told_by_a_run_that_was_taken_down(small):
    plan = small.plan()
    for _ in range(4):
        execute(plan, small.feeds, set(plan.outputs), ResultCache())
    feeds = {name: array.copy() for name, array in small.feeds.items()}
    next(iter(feeds.values())).reshape(-1)[3] = np.nan
    for _ in range(2):
        with pytest.raises(EmulationError, match=r"1 of \d+ values are NaN"):
            execute(plan, feeds, set(plan.outputs), ResultCache())
    execute(plan, small.feeds, set(plan.outputs), ResultCache())
