"""Peak memory does not grow with the number of samples: counted by what torch allocates, not by the system."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdRef

import qworkbench as q
from qworkbench.calibration.observe import collect


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of storages that operators made and that are still alive."""

    def __init__(self):
        super().__init__()
        self.live, self.peak, self.refs = 0, 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self._track(tensor.untyped_storage())
        return found

    def _track(self, storage):
        self.refs = [(ref, size) for ref, size in self.refs if ref() is not None]
        if all(ref() is not storage and ref()._cdata != storage._cdata for ref, _ in self.refs):
            self.refs.append((WeakIdRef(storage), storage.nbytes()))
        self.peak = max(self.peak, sum(size for _, size in self.refs))


def held(statistics):
    """Return the bytes that statistics keep."""
    return sum(sketch.nbytes for sketch in statistics.sketches.values())


@pytest.mark.parametrize("in_folder", [False, True])
def test_peak_and_kept_memory_are_those_of_one_sample(mixed_model, samples, tmp_path, in_folder):
    import numpy as np

    from qworkbench.calibration.observe import batches_of

    graph = q.capture(mixed_model, samples[:1])
    found = {}
    for count in (1, 4, 24):
        if in_folder:
            folder = tmp_path / str(count)
            folder.mkdir()
            for i in range(count):
                np.save(folder / f"{i}.npy", samples[i % 12].numpy())
            batches = batches_of(str(folder), graph)
        else:
            batches = (torch.clone(samples[i % 12 : i % 12 + 1]) for i in range(count))
        with LiveBytes() as counted:
            statistics = collect(graph, batches)
        assert statistics.samples == count
        found[count] = (counted.peak, held(statistics))
    # the sample before is still held while the next one is made
    assert found[24] == found[4]
    assert found[4][0] <= found[1][0] + 2 * samples[:1].nbytes
    assert found[4][1] == found[1][1]
    assert found[1][0] > 0


def test_the_count_itself_notices_what_is_kept(mixed_model, samples):
    graph = q.capture(mixed_model, samples[:1])
    kept = []
    peaks = []
    for count in (2, 12):
        kept.clear()
        with LiveBytes() as counted:
            collect(graph, (kept.append(torch.clone(samples[i : i + 1])) or kept[-1] for i in range(count)))
        peaks.append(counted.peak)
    assert peaks[1] > peaks[0]
