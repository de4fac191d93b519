"""Words of LLVM IR that the vector kernels are written in: raw addresses, vectors, shuffles.

The same on every processor; what differs is in :mod:`.machine`. Knows no convolution and no layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numba
from llvmlite import ir
from numba import types as numba_types
from numba.core import cgutils as numba_cgutils
from numba.extending import intrinsic as numba_intrinsic

from qworkbench.emulator.kernels.isa import features

types: Any = numba_types
cgutils: Any = numba_cgutils
carray: Any = numba.carray  # type: ignore[attr-defined]
intrinsic: Any = numba_intrinsic  # its own annotations describe the generator, not what the decorator makes of it

i1, i8, i16, i32, i64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
f32, f64 = ir.FloatType(), ir.DoubleType()


def vector(element: Any, lanes: int) -> Any:
    """Return the vector type of `lanes` times `element`."""
    return ir.VectorType(element, lanes)


def constant(kind: Any, value: Any) -> Any:
    """Return an IR constant."""
    return ir.Constant(kind, value)


def undefined(kind: Any) -> Any:
    """Return a value of which nothing is known."""
    return ir.Constant(kind, ir.Undefined)


def word(value: int) -> Any:
    """Return an int64 constant: an address, an offset, a count."""
    return ir.Constant(i64, value)


def call(b: Any, name: str, result: Any, args: Sequence[Any]) -> Any:
    """Call the LLVM intrinsic ``llvm.<name>``."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return b.call(cgutils.get_or_insert_function(b.module, kind, f"llvm.{name}"), list(args))


def load(b: Any, address: Any, kind: Any, align: int = 1) -> Any:
    """Load a value of type `kind` from an integer address."""
    value = b.load(b.inttoptr(address, kind.as_pointer()))
    value.align = align
    return value


def store(b: Any, value: Any, address: Any, align: int = 1) -> None:
    """Store `value` at an integer address."""
    b.store(value, b.inttoptr(address, value.type.as_pointer())).align = align


def splat(b: Any, scalar: Any, lanes: int) -> Any:
    """Return a vector of `lanes` copies of `scalar`."""
    kind = vector(scalar.type, lanes)
    nothing = undefined(kind)
    one = b.insert_element(nothing, scalar, constant(i32, 0))
    return b.shuffle_vector(one, nothing, constant(vector(i32, lanes), [0] * lanes))


def shuffled(b: Any, first: Any, second: Any, order: Sequence[int]) -> Any:
    """Return the elements of both vectors in `order`."""
    return b.shuffle_vector(first, second, constant(vector(i32, len(order)), list(order)))


def clamped(b: Any, value: Any, low: Any, high: Any) -> Any:
    """Return ``min(max(value, low), high)`` of signed integer vectors."""
    value = b.select(b.icmp_signed(">", value, low), value, low)
    return b.select(b.icmp_signed("<", value, high), value, high)


def _bits(b: Any, mask: Any, lanes: int) -> Any:
    return b.bitcast(b.trunc(mask, ir.IntType(lanes)) if lanes < 64 else mask, vector(i1, lanes))


def masked_store(b: Any, value: Any, address: Any, mask: Any) -> None:
    """Store those elements of an integer vector whose bit of the int64 `mask` is set."""
    if _masks():
        _store_some(b, value, address, mask)
        return
    for part, there, bits, whole in _lines(b, value.type, address, mask):
        piece = shuffled(b, value, value, part)
        with b.if_else(whole) as (all_of_it, rest):
            with all_of_it:
                store(b, piece, there)
            with rest:
                _store_some(b, piece, there, bits)


def masked_load(b: Any, address: Any, kind: Any, mask: Any) -> Any:
    """Load those elements of an integer vector whose bit of the int64 `mask` is set; the others are zero."""
    if _masks():
        return _load_some(b, address, kind, mask)
    found = []
    for part, there, bits, whole in _lines(b, kind, address, mask):
        piece = vector(kind.element, len(part))
        room = cgutils.alloca_once(b, piece)
        with b.if_else(whole) as (all_of_it, rest):
            with all_of_it:
                b.store(load(b, there, piece), room)
            with rest:
                b.store(_load_some(b, there, piece, bits), room)
        found.append(b.load(room))
    return joined(b, found)


def _masks() -> bool:
    """Tell whether the processor masks every kind of element; else each of them takes a branch."""
    return "avx512bw" in features()


def _lines(b: Any, kind: Any, address: Any, mask: Any) -> Iterator[tuple[range, Any, Any, Any]]:
    """Yield each 128 bits of a vector: the elements, the address, their mask, and whether it is full."""
    size = kind.element.width // 8
    count = min(16 // size, kind.count)
    for first in range(0, kind.count, count):
        bits = b.and_(b.lshr(mask, word(first)), word((1 << count) - 1))
        whole = b.icmp_signed("==", bits, word((1 << count) - 1))
        yield range(first, first + count), b.add(address, word(first * size)), bits, whole


def joined(b: Any, parts: Sequence[Any]) -> Any:
    """Return vectors of one type, a power of two of them, as one."""
    found = list(parts)
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=True)
        found = [shuffled(b, one, other, range(2 * one.type.count)) for one, other in pairs]
    return found[0]


def _store_some(b: Any, value: Any, address: Any, mask: Any) -> None:
    kind = value.type
    pointer = b.inttoptr(address, kind.as_pointer())
    name = f"masked.store.v{kind.count}i{kind.element.width}.p0"
    call(b, name, ir.VoidType(), [value, pointer, constant(i32, 1), _bits(b, mask, kind.count)])


def _load_some(b: Any, address: Any, kind: Any, mask: Any) -> Any:
    pointer = b.inttoptr(address, kind.as_pointer())
    zero = constant(kind, [0] * kind.count)
    name = f"masked.load.v{kind.count}i{kind.element.width}.p0"
    return call(b, name, kind, [pointer, constant(i32, 1), _bits(b, mask, kind.count), zero])


def apart(b: Any, name: str, args: Sequence[Any], write: Callable[[Any, Any], None], features: str = "") -> None:
    """Call a function of int64 `args` that is written once per module and not inlined: its registers are its own.

    `features` is what it is compiled for beyond what LLVM knows of the processor, as in ``+one,+other``.
    """
    found = b.module.globals.get(name)
    if found is None:
        found = ir.Function(b.module, ir.FunctionType(ir.VoidType(), [i64] * len(args)), name)
        found.linkage = "internal"
        found.attributes.add("noinline")
        if features:  # llvmlite's own `add` knows no attributes that are texts
            set.add(found.attributes, f'"target-features"="{features}"')
        inside = ir.IRBuilder(found.append_basic_block("entry"))
        write(inside, found.args)
        inside.ret_void()
    b.call(found, args)


def prefetch(b: Any, address: Any, *, near: bool = False) -> None:
    """Ask for the cache line at an address, for the second-level cache or `near`; any address will do."""
    arguments = [b.inttoptr(address, i8.as_pointer()), *(constant(i32, n) for n in (0, 3 if near else 2, 1))]
    call(b, "prefetch.p0", ir.VoidType(), arguments)


@intrinsic
def word_at(typing_context: Any, address: Any) -> Any:
    """Load the int64 at an address."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return load(b, args[0], i64, 8)

    return types.int64(types.int64), generate


@intrinsic
def clear(typing_context: Any, address: Any, size: Any) -> Any:
    """Make `size` bytes zero."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        pointer = b.inttoptr(args[0], i8.as_pointer())
        call(b, "memset.p0.i64", ir.VoidType(), [pointer, constant(i8, 0), args[1], constant(i1, 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def taken(typing_context: Any, address: Any) -> Any:
    """Add 1 to the int64 at an address, atomically, and return what was there."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.atomic_rmw("add", b.inttoptr(args[0], i64.as_pointer()), word(1), "monotonic")

    return types.int64(types.int64), generate


def pointer_to(element: Any) -> Any:
    """Return an intrinsic that turns an address into a pointer of numba type `element`, for ``numba.carray``."""

    @intrinsic
    def as_pointer(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return b.inttoptr(args[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), generate

    return as_pointer


int8_at = pointer_to(types.int8)
int16_at = pointer_to(types.int16)
int64_at = pointer_to(types.int64)
int32_at = pointer_to(types.int32)
float32_at = pointer_to(types.float32)
float64_at = pointer_to(types.float64)
