"""Names of nodes: what the user wrote, stable when something else changes.

A leaf module call is its path, ``path#1`` from the second call on; a function is ``scope._generated_<fn>_<i>`` with
`i` counted per scope and function, so adding an operation in one block renames nothing in another.
"""

from __future__ import annotations

from collections import Counter


class Namer:
    """Gives out unique names during one trace."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._generated: Counter[tuple[str, str]] = Counter()

    def unique(self, base: str) -> str:
        """Return `base`, or ``base#k`` with the smallest free k."""
        name, k = base, 0
        while name in self._used:
            k += 1
            name = f"{base}#{k}"
        self._used.add(name)
        return name

    def module(self, path: str, call_index: int) -> str:
        """Return the name of call number `call_index` of the module at `path`."""
        return self.unique(path if call_index == 0 else f"{path}#{call_index}")

    def function(self, scope: str, fn: str) -> str:
        """Return the name of the next call of `fn` in `scope`."""
        index = self._generated[scope, fn]
        self._generated[scope, fn] += 1
        return self.unique(f"{scope}._generated_{fn}_{index}" if scope else f"_generated_{fn}_{index}")

    def rename(self, old: str, new: str) -> str:
        """Free `old` and return a unique name made from `new`."""
        self._used.discard(old)
        return self.unique(new)
