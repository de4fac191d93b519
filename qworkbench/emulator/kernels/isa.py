"""Which instructions the kernels use: what the processor has, or what ``QWORKBENCH_ISA`` asks for.

Every path gives the same codes bit for bit; they differ in speed only. A path may be another one with instructions
added (:data:`BASES`): :func:`chosen` names what is in use, :func:`vectors` the path whose vector kernels run. Asks
llvmlite for the processor's features, numba's own setting where one limits it; the system on AArch64, where LLVM tells
little, and Linux for the right to use AMX tiles. Knows no kernel.
"""

from __future__ import annotations

import difflib
import os
import platform
import sys
from functools import cache

from qworkbench.errors import EmulationError

VARIABLE = "QWORKBENCH_ISA"
PORTABLE = "portable"
AVX512VNNI = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni"})
# best first: features as LLVM names them
PATHS: dict[str, frozenset[str]] = {
    "amx": AVX512VNNI | {"amx-tile", "amx-int8"},
    "avx512vnni": AVX512VNNI,
    "avxvnni": frozenset({"avx2", "fma", "avxvnni"}),
    "avx2": frozenset({"avx2", "fma"}),
    "i8mm": frozenset({"neon", "dotprod", "i8mm"}),
    "dotprod": frozenset({"neon", "dotprod"}),
    "neon": frozenset({"neon"}),
    PORTABLE: frozenset(),
}
ALIASES = {"vnni": "avx512vnni"}
BASES = {
    "amx": "avx512vnni",
    "i8mm": "dotprod",
}  # a path, and the one whose kernels compute what it has none of its own for
# of Linux on AArch64: words of AT_HWCAP and AT_HWCAP2, and the bits of ASIMD, ASIMDDP and I8MM
HWCAP = {"neon": (16, 1), "dotprod": (16, 20), "i8mm": (26, 13)}
ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1023, 18  # of Linux on x86-64


@cache
def features() -> frozenset[str]:
    """Return the features of the processor that compiled code may use."""
    import llvmlite.binding as llvm
    import numba

    limited = getattr(numba.config, "CPU_FEATURES", None)
    if limited is not None:
        return frozenset(word[1:] for word in str(limited).split(",") if word.startswith("+"))
    found = frozenset(name for name, there in llvm.get_host_cpu_features().items() if there)
    return found | arm_features()


def arm_features() -> frozenset[str]:
    """Return what an AArch64 processor has of what the paths need, as the system tells; nothing on others.

    Every Apple processor that runs macOS has dot products; Linux hands each process a word of what there is.
    """
    if platform.machine() not in ("aarch64", "arm64"):
        return frozenset()
    if sys.platform == "darwin":
        return frozenset({"neon", "dotprod"} | ({"i8mm"} if _told_by_macos("FEAT_I8MM") else set()))
    if sys.platform != "linux":
        return frozenset({"neon"})  # part of the architecture
    return frozenset(name for name, (kind, bit) in HWCAP.items() if _auxiliary(kind) >> bit & 1)


def _auxiliary(kind: int) -> int:
    """Return a word of those that Linux hands to a process."""
    import ctypes

    ask = ctypes.CDLL(None).getauxval
    ask.argtypes, ask.restype = [ctypes.c_ulong], ctypes.c_ulong
    found: int = ask(kind)
    return found


def _told_by_macos(feature: str) -> bool:
    """Tell whether macOS says that the processor has a feature; a system that does not know it has an older one."""
    import ctypes

    value, size = ctypes.c_int32(0), ctypes.c_size_t(4)
    name = f"hw.optional.arm.{feature}".encode()
    failed = ctypes.CDLL(None).sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    return not failed and value.value == 1


@cache
def tiles_granted() -> bool:
    """Ask Linux for the state that AMX tiles keep, which a process must before it uses any; its threads inherit it."""
    if sys.platform != "linux":
        return False
    import ctypes

    granted: int = ctypes.CDLL(None, use_errno=True).syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA)
    return granted == 0


def _refused(name: str) -> str | None:
    """Return why a path cannot be used: features that lack, or a right that the system does not give."""
    missing = PATHS[name] - features()
    if missing:
        return f"this processor lacks {', '.join(sorted(missing))}"
    if "amx-tile" in PATHS[name] and not tiles_granted():
        return "the operating system does not let this process use AMX tiles (Linux from 5.16 on does)"
    return None


def available() -> tuple[str, ...]:
    """Return the paths that this process can run, best first; the last is ``portable``."""
    return tuple(name for name in PATHS if _refused(name) is None)


def chosen() -> str:
    """Return the path in use: ``QWORKBENCH_ISA`` if set, else the best one available.

    Raises
    ------
    EmulationError
        For a name that does not exist, or a path that this process cannot run.
    """
    asked = os.environ.get(VARIABLE)
    return _best() if not asked else _checked(asked.strip().lower())


def vectors() -> str:
    """Return the path whose vector kernels are in use: the chosen one, or what that one adds to."""
    name = chosen()
    return BASES.get(name, name)


@cache
def _best() -> str:
    return available()[0]


@cache
def _checked(asked: str) -> str:
    if not asked:
        return _best()
    name = ALIASES.get(asked, asked)
    if name not in PATHS:
        near = difflib.get_close_matches(asked, [*PATHS, *ALIASES], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise EmulationError(f"{VARIABLE}={asked!r} does not exist{hint} paths are {', '.join(PATHS)}")
    refused = _refused(name)
    if refused is not None:
        raise EmulationError(f"{VARIABLE}={asked!r}: {refused}; it can run {', '.join(available())}")
    return name
