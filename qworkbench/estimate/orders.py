"""Orders in which the units of a subgraph may run: as the model has them, depth first, and smallest memory first."""

from __future__ import annotations

from collections.abc import Sequence

from qworkbench.estimate.work import Work


def orders(works: Sequence[Work], leaves: frozenset[str], count: int) -> list[tuple[Work, ...]]:
    """Return up to `count` different topological orders, the model's own first."""
    found = [tuple(works)]
    if count > 1 and len(works) > 2:
        found += [depth_first(works), smallest_memory(works, leaves)]
    return list(dict.fromkeys(found))[:count]


def depth_first(works: Sequence[Work]) -> tuple[Work, ...]:
    """Follow each branch to where it joins, so that a producer's result is read soon."""
    maker = {t.value: work for work in works for t in work.writes}
    done: dict[str, Work] = {}
    for goal in reversed(works):
        stack = [goal]
        while stack:
            work = stack[-1]
            waiting = [maker[t.value] for t in work.reads if t.value in maker and maker[t.value].name not in done]
            if waiting:
                stack.append(waiting[-1])
                continue
            stack.pop()
            done.setdefault(work.name, work)
    return tuple(done.values())


def smallest_memory(works: Sequence[Work], leaves: frozenset[str]) -> tuple[Work, ...]:
    """Take, of the units that are ready, the one that frees most bytes against what it makes."""
    maker = {t.value: work.name for work in works for t in work.writes}
    left = dict.fromkeys(maker, 0)
    for work in works:
        for tensor in work.reads:
            if tensor.value in left:
                left[tensor.value] += 1
    done: list[Work] = []
    ran: set[str] = set()
    waiting = list(works)
    while waiting:
        ready = [w for w in waiting if all(maker.get(t.value, "") in ran or t.value not in maker for t in w.reads)]

        def grows(work: Work) -> int:
            freed = sum(t.size for t in work.reads if left.get(t.value) == 1 and t.value not in leaves)
            return sum(t.size for t in work.writes) - freed

        taken = min(ready, key=grows)
        for tensor in taken.reads:
            if tensor.value in left:
                left[tensor.value] -= 1
        done.append(taken)
        ran.add(taken.name)
        waiting.remove(taken)
    return tuple(done)
