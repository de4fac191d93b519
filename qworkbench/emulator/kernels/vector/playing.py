"""Calls in a list, run one after the other without Python between them; more threads may help with those that share.

The main thread walks the list. A helper joins the call that is current where it may be shared: both take chunks until
none is left, and the main thread goes on when nobody is inside any more. A helper that comes late or not at all costs
nothing. Knows a call as a function and the address of its row.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from qworkbench.emulator.kernels.compiled import kernel, row_kernel
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector.ir import intrinsic, types

FUNCTION, ROW, SHARED, ACTIVE, ENTRY = range(5)  # words of an entry of the list; ACTIVE counts helpers inside
# words of a script: addresses and sizes of its rows, its calls as (function, first word of the row, shared), and its
# addresses as (word, source, distance)
ROWS, WORDS, CALLS, CALL_COUNT, PLACES, PLACE_COUNT, SCRIPT = range(7)


@intrinsic
def called(typing_context: Any, function: Any, row: Any) -> Any:
    """Call the C function at an address with one int64."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [v.i64])
        b.call(b.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _added(typing_context: Any, address: Any, amount: Any) -> Any:
    """Add to the int64 at an address in one order for all threads; return what was there."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.atomic_rmw("add", b.inttoptr(args[0], v.i64.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _read(typing_context: Any, address: Any) -> Any:
    """Read the int64 at an address in one order for all threads."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.load_atomic(b.inttoptr(args[0], v.i64.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), generate


@kernel("void(int64, int64, int64)")
def play(entries: int, count: int, current: int) -> None:
    """Run `count` entries in their order; the int64 at `current` tells helpers which one, `count` at the end."""
    for i in range(count):
        entry = entries + 8 * ENTRY * i
        called(v.word_at(entry + 8 * FUNCTION), v.word_at(entry + 8 * ROW))
        while _read(entry + 8 * ACTIVE) > 0:
            pass
        _added(current, 1)


@kernel("void(int64, int64, int64)")
def help_play(entries: int, count: int, current: int) -> None:
    """Take chunks of whichever shared call is current, until the last one is done."""
    while True:
        i = _read(current)
        if i >= count:
            break
        entry = entries + 8 * ENTRY * i
        if v.word_at(entry + 8 * SHARED) == 0:
            continue
        _added(entry + 8 * ACTIVE, 1)
        if _read(current) == i:
            called(v.word_at(entry + 8 * FUNCTION), v.word_at(entry + 8 * ROW))
        _added(entry + 8 * ACTIVE, -1)
        while _read(current) == i:
            pass


@row_kernel
def play_script(row: int) -> None:
    """Write rows and entries of a script for one run, and run them where nobody helps.

    The row: address of the script, where to, whether to run, addresses of the sources.
    """
    script, to = v.word_at(row), v.word_at(row + 8)
    sources, out = v.int64_at(row + 24), v.int64_at(to)
    words, calls = v.word_at(script + 8 * WORDS), v.word_at(script + 8 * CALL_COUNT)
    rows, call = v.int64_at(v.word_at(script + 8 * ROWS)), v.int64_at(v.word_at(script + 8 * CALLS))
    for i in range(words):
        out[i] = rows[i]
    place = v.int64_at(v.word_at(script + 8 * PLACES))
    for i in range(v.word_at(script + 8 * PLACE_COUNT)):
        out[place[3 * i]] = sources[place[3 * i + 1]] + place[3 * i + 2]
    for i in range(calls):
        entry = words + ENTRY * i
        out[entry + FUNCTION] = call[3 * i]
        out[entry + ROW] = to + 8 * call[3 * i + 1]
        out[entry + SHARED] = call[3 * i + 2]
        out[entry + ACTIVE] = 0
    end = words + ENTRY * calls
    out[end] = 0
    if v.word_at(row + 16):
        play(to + 8 * words, calls, to + 8 * end)
