"""How kernels are compiled and kept: without the GIL, on disk, and anew when any source of the kernels changes.

numba's disk cache looks at the file of a kernel only, while generated code comes from several. The stamp that it
compares is therefore joined by a hash of every source in this folder. Knows no kernel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

njit: Any = numba.njit


@cache
def sources() -> str:
    """Return a hash of every source that kernels are generated from."""
    found = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()


def kernel(signature: Any = None, *, error_model: str = "numpy") -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator of a kernel; with a `signature` it compiles, or comes from disk, at once."""

    def compiled(function: Callable[..., Any]) -> Any:
        made: Any = njit(nogil=True, error_model=error_model)(function)
        made.enable_caching()
        kept = getattr(made._cache, "_cache_file", None)  # numba's own; it may be renamed
        if kept is not None:
            kept._source_stamp = (kept._source_stamp, sources())
        if signature is not None:
            made.compile(signature)
            made.disable_compile()
        return made

    return compiled
