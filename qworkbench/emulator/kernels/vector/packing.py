"""Products of two activations, matrix by matrix: the right one is packed as weights, then its sweep runs.

Packed words are used at once, from the same few kilobytes for every matrix. Several threads may share one row of
parameters: each takes the next matrix. Knows addresses, distances in bytes and counts.
"""

from __future__ import annotations

import numpy as np

from qworkbench.emulator.kernels.compiled import inner, row_kernel
from qworkbench.emulator.kernels.memory import LINE, SLACK
from qworkbench.emulator.kernels.vector import ir as v
from qworkbench.emulator.kernels.vector import parameters as at
from qworkbench.emulator.kernels.vector.ir import carray
from qworkbench.emulator.kernels.vector.playing import called
from qworkbench.emulator.kernels.vector.transpose import BLOCK, gathered32

(SWEEP, ROW, COUNT, NEXT, LEFT, LEFT_AT, RIGHT, RIGHT_AT, OUT, OUT_STEP, CODE_BYTES, STEP_K, STEP_N, LENGTH, OUTPUTS,
 PER_WORD, CHANNELS, WIDE, TAIL, WEIGHT, GROUPS, WORDS) = range(22)  # fmt: skip
"""SWEEP and ROW: the kernel of one product and its parameters, but for addresses. ..._AT: where in LEFT and RIGHT each
matrix begins. STEP_K and STEP_N are in codes. GROUPS: of PER_WORD codes, with zeros behind LENGTH. WEIGHT times the sum
over k is what corrects each column."""


@inner
def _transposed(begin: int, step: int, last: int, blocks: int, words: int, width: int, rows: np.ndarray) -> None:
    """Write lines of whole 64 bytes, one per channel, as words [group][channel]; the last one repeats."""
    for first in range(0, width, BLOCK):
        for i in range(BLOCK):
            rows[i] = begin + min(first + i, last) * step
        for k in range(blocks):
            gathered32(rows.ctypes.data, LINE * k, words + 4 * (BLOCK * k * width + first), 4 * width)


@inner
def _pack(b: np.ndarray, p: np.ndarray, words: np.ndarray, bias: np.ndarray, rows: np.ndarray) -> None:
    """Write b [k, n] as words [panel][group][channel] of codes along k; bias = WEIGHT * sum over k."""
    length, step_k, step_n, per_word, outputs = p[LENGTH], p[STEP_K], p[STEP_N], p[PER_WORD], p[OUTPUTS]
    bits = np.int32(32 // per_word)
    mask = np.int32((np.int64(1) << bits) - 1)
    groups = p[GROUPS]
    in_words = step_k == 1 and per_word * b.itemsize == 4
    blocks = length * b.itemsize // LINE if in_words else 0
    beside = blocks * LINE // b.itemsize
    done = 0
    for panel in range(p[WIDE] + (1 if p[TAIL] else 0)):
        first = panel * p[CHANNELS]
        width = p[CHANNELS] if panel < p[WIDE] else p[TAIL]
        inside = min(width, outputs - first)
        totals = bias[first : first + width]
        totals[:] = np.int32(0)
        if blocks:
            begin = b.ctypes.data + first * step_n * b.itemsize
            there = words.ctypes.data + 4 * done
            _transposed(begin, step_n * b.itemsize, inside - 1, blocks, there, width, rows)
            for n in range(inside):
                line, total = b[(first + n) * step_n : (first + n) * step_n + beside], np.int32(0)
                for k in range(beside):
                    total += np.int32(line[k])
                totals[n] = total
        for group in range(blocks * BLOCK, groups):
            line = words[done + group * width : done + (group + 1) * width]
            k = group * per_word
            if step_n == 1 and per_word == 4 and k + 4 <= length:
                here = k * step_k + first
                one, two = b[here : here + inside], b[here + step_k : here + step_k + inside]
                here += 2 * step_k
                three, four = b[here : here + inside], b[here + step_k : here + step_k + inside]
                for n in range(inside):
                    c0, c1, c2, c3 = np.int32(one[n]), np.int32(two[n]), np.int32(three[n]), np.int32(four[n])
                    low, high = (c0 & mask) | (c1 & mask) << np.int32(8), (c2 & mask) | (c3 & mask) << np.int32(8)
                    line[n] = np.int32(np.int32(low) | np.int32(high << np.int32(16)))
                    totals[n] += np.int32(np.int32(c0 + c1) + np.int32(c2 + c3))
                line[inside:] = np.int32(0)
                continue
            line[:] = np.int32(0)
            for j in range(min(per_word, length - k)):
                shift, here = np.int32(j * bits), (k + j) * step_k + first * step_n
                for n in range(inside):
                    code = np.int32(b[here + n * step_n])
                    line[n] |= np.int32((code & mask) << shift)
                    totals[n] += code
        done += width * groups
        for n in range(width):
            totals[n] *= np.int32(p[WEIGHT])


@row_kernel
def multiply_all(row: int) -> None:
    """Pack and multiply every pair of matrices that no other thread has taken."""
    p = carray(v.int64_at(row), WORDS)
    groups = p[GROUPS]
    channels = p[WIDE] * p[CHANNELS] + p[TAIL]
    panels = (p[WIDE] + (1 if p[TAIL] else 0)) * p[CHANNELS]
    size, line = channels * groups, LINE // 4
    room = np.empty(size + panels + 2 * line + SLACK // 4, np.int32)
    first = -room.ctypes.data % LINE // 4
    behind = (first + size + line - 1) // line * line
    words, bias = room[first : first + size], room[behind : behind + panels]  # views, which keep the memory
    one, rows = carray(v.int64_at(p[ROW]), at.WORDS).copy(), np.empty(BLOCK, np.int64)
    left_at, right_at = carray(v.int64_at(p[LEFT_AT]), p[COUNT]), carray(v.int64_at(p[RIGHT_AT]), p[COUNT])
    extent = 1 + (p[LENGTH] - 1) * p[STEP_K] + (p[OUTPUTS] - 1) * p[STEP_N]
    one[at.WEIGHTS], one[at.BIAS] = words.ctypes.data, bias.ctypes.data
    packed = np.int64(-1)
    while True:
        index = v.taken(row + 8 * NEXT)
        if index >= p[COUNT]:
            break
        if right_at[index] != packed:
            packed = right_at[index]
            if p[CODE_BYTES] == 1:
                _pack(carray(v.int8_at(p[RIGHT] + packed), extent), p, words, bias, rows)
            else:
                _pack(carray(v.int16_at(p[RIGHT] + packed), extent), p, words, bias, rows)
        one[at.X], one[at.OUT], one[at.COUNTER] = p[LEFT] + left_at[index], p[OUT] + index * p[OUT_STEP], 0
        called(p[SWEEP], one.ctypes.data)
