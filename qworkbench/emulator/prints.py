"""Fingerprints of the keys of a plan, where it follows another plan on the same feeds: only what differs is linked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from itertools import compress, count
from operator import is_not

from qworkbench.emulator.plan import Plan, Step

Link = Callable[..., bytes]


def link_steps(found: MutableMapping[str, bytes], steps: Iterable[Step], batch: int, link: Link) -> None:
    """Add the fingerprint of every key that `steps` make to `found`, which has those of the keys that they read."""
    for step in steps:
        # a float kernel may follow the batch without reading a feed: a class token expanded to every sample
        follows = (batch,) if step.kind == "torch" else ()
        whole = link(step.digest, *follows, *[found[key] for key in step.inputs])
        for slot, key in enumerate(step.outputs):
            found[key] = whole if slot == 0 else link(whole, slot)


def prints_after(
    plan: Plan, before: Plan, prints: Mapping[str, bytes], batch: int, link: Link
) -> tuple[dict[str, bytes], set[str]]:
    """Return the fingerprint of every key of `plan`, and the keys that had none, or another one, in the plan before.

    Parameters
    ----------
    plan, before : Plan
        Of one model, run at one batch size.
    prints : Mapping of str to bytes
        Of `before`, on the same feeds; keys that only it had may stay.
    batch : int
    link : callable
        Of a :class:`~qworkbench.emulator.fingerprint.Chain`.
    """
    first = next(compress(count(), map(is_not, plan.steps, before.steps)), min(len(plan.steps), len(before.steps)))
    found, rest = dict(prints), plan.steps[first:]
    link_steps(found, rest, batch, link)
    return found, {key for step in rest for key in step.outputs if found[key] != prints.get(key)}
