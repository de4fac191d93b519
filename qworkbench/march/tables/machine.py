"""Rates and sizes of the machines, read only by the estimate of latency and DDR traffic.

What the public material states is the peak rate; memory bandwidth, on-chip memory and the rates of the host are round
figures of the class of board, marked ``unknown``. They are parameters: a report lists them, a user may set them.
"""

from __future__ import annotations

from types import MappingProxyType

from qworkbench.march.row import Basis, Parameter

MEBI = 2**20


def machine(
    *,
    tops: float,
    ddr: float,
    on_chip: tuple[int, Basis],
    granule: int,
    granule_basis: Basis,
    vector: float,
    fitted: Basis = "unknown",
    int16_rate: float = 0.25,
) -> MappingProxyType[str, Parameter]:
    """Return the figures of one march.

    Parameters
    ----------
    tops : float
        Peak int8 rate in 1e12 operations per second (one multiply-accumulate is two).
    ddr : float
        Bandwidth in GB/s.
    on_chip : (int, Basis)
        Bytes of on-chip memory that hold tensors and weights.
    granule : int
        Channels are processed in multiples of it.
    vector : float
        1e9 elements per second of everything that is no multiply-accumulate.
    fitted : Basis
        Of utilisation, vector rate and bandwidth: "inferred" where they were fitted to published latencies.
    int16_rate : float
        Share of the int8 rate that int16 reaches.
    """
    unknown: Basis = "unknown"
    return MappingProxyType(
        {
            "peak_tops": Parameter(float(tops), "documented", "int8 operations per second in 1e12; one MAC is two"),
            "utilisation": Parameter(0.5, fitted, "share of the peak that a well-shaped convolution reaches"),
            "channel_granule": Parameter(
                granule, granule_basis, "input and output channels are rounded up to a multiple of it"
            ),
            "int16_rate": Parameter(int16_rate, unknown, "share of the int8 rate with int16 on one side"),
            "dual_int16_rate": Parameter(int16_rate / 2, unknown, "share of the int8 rate with int16 on both sides"),
            "float16_rate": Parameter(int16_rate / 2, unknown, "share of the int8 rate in float16"),
            "vector_gops": Parameter(
                float(vector), fitted, "1e9 elements per second of lookups, pools, element-wise ops and data movement"
            ),
            "ddr_gb_per_s": Parameter(
                float(ddr), unknown, "DDR bandwidth that one model sees, in 1e9 bytes per second"
            ),
            "on_chip_bytes": Parameter(*on_chip, "on-chip memory that holds the tensors and weights of a tile"),
            "group_overhead_us": Parameter(2.0, unknown, "time to start one fused group or one of its tiles, in us"),
            "cpu_gflops": Parameter(4.0, unknown, "float rate of an op on the CPU, in 1e9 operations per second"),
            "cpu_gb_per_s": Parameter(2.0, unknown, "rate at which a CPU op reads and writes, in 1e9 bytes per second"),
            "switch_us": Parameter(20.0, unknown, "time to hand a subgraph over between CPU and BPU, in us"),
        }
    )
