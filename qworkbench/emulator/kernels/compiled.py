"""How kernels are compiled and kept: without the GIL, on disk, and anew when any source of the kernels changes.

numba's disk cache looks at the file of a kernel only, while generated code comes from several. The stamp that it
compares is therefore joined by a hash of every source in this folder. Knows no kernel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numba
from numba.core.ccallback import CFunc as NumbaCFunc

CFunc: Any = NumbaCFunc
njit: Any = numba.njit
types: Any = numba.types


@cache
def sources() -> str:
    """Return a hash of every source that kernels are generated from."""
    found = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()


def inner(function: Callable[..., Any]) -> Any:
    """Return `function` for kernels to call; Python and C cannot, which saves a third of its compilation."""
    made: Any = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return made


def kernel(signature: Any = None, *, error_model: str = "numpy") -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator of a kernel; with a `signature` it compiles, or comes from disk, at once."""

    def compiled(function: Callable[..., Any]) -> Any:
        made: Any = njit(nogil=True, error_model=error_model, no_cfunc_wrapper=True)(function)
        _keep_on_disk(made)
        if signature is not None:
            made.compile(signature)
            made.disable_compile()
        return made

    return compiled


def _keep_on_disk(made: Any) -> None:
    made.enable_caching()
    kept = getattr(made._cache, "_cache_file", None)  # numba's own; it may be renamed
    if kept is not None:
        kept._source_stamp = (kept._source_stamp, sources())


class RowKernel:
    """A kernel whose only argument is the address of a row of int64 parameters, so that all of them are called alike.

    It compiles, or comes from disk, when its own address is first asked for.
    """

    def __init__(self, function: Callable[[int], None]) -> None:
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__wrapped__ = function

    @cached_property
    def _made(self) -> Any:
        made = CFunc(self.__wrapped__, ((types.int64,), types.void), {}, {"error_model": "numpy"})
        _keep_on_disk(made)
        made.compile()
        return made

    @property
    def from_disk(self) -> bool:
        """Tell whether an earlier process had compiled it."""
        return bool(self._made.cache_hits)

    @cached_property
    def address(self) -> int:
        """Where other compiled code calls it, as a C function of one int64."""
        return int(self._made.address)

    @cached_property
    def run(self) -> Callable[[int], None]:
        """The kernel as Python calls it, with the address of a row; other threads go on meanwhile."""
        called: Callable[[int], None] = self._made.ctypes
        return called


def row_kernel(function: Callable[[int], None]) -> RowKernel:
    """Return `function` of the address of a row of int64 as a kernel that waits to be needed."""
    return RowKernel(function)
