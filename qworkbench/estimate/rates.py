"""From work to time by the figures of a march: peak rates, bandwidths and fixed overheads, in microseconds.

An estimate: the vendor's cost model is not public. What is documented is the peak rate; every other figure is listed
with its basis and can be set.
"""

from __future__ import annotations

from dataclasses import dataclass

from qworkbench.estimate.work import Work
from qworkbench.march.table import March

CHAIN = {"Softmax": 6, "LogSoftmax": 7, "LayerNormalization": 6, "GroupNormalization": 6, "LSTM": 8, "GRU": 8}
"""Ops that run as several passes over their elements, and how many."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Figures of a march in units of one microsecond.

    Attributes
    ----------
    macs : float
        int8 multiply-accumulates per us that a well-shaped op reaches.
    share : dict of str to float
        Of that rate, by form.
    vector, ddr : float
        Elements, and bytes, per us.
    on_chip : int
        Bytes.
    overhead, switch : float
        Microseconds per group (and tile), and per subgraph.
    cpu_flops, cpu_bytes : float
        Float operations, and bytes, per us on the host.
    """

    macs: float
    share: dict[str, float]
    vector: float
    ddr: float
    on_chip: int
    overhead: float
    switch: float
    cpu_flops: float
    cpu_bytes: float

    @classmethod
    def of(cls, march: March) -> Rates:
        """Return the rates of `march`."""
        figure = {name: p.value for name, p in march.figures.items()}
        return cls(
            macs=figure["peak_tops"] * 1e6 / 2 * figure["utilisation"],
            share={
                "int8": 1.0,
                "int16": figure["int16_rate"],
                "dual_int16": figure["dual_int16_rate"],
                "float16": figure["float16_rate"],
            },
            vector=figure["vector_gops"] * 1e3,
            ddr=figure["ddr_gb_per_s"] * 1e3,
            on_chip=int(figure["on_chip_bytes"]),
            overhead=figure["group_overhead_us"],
            switch=figure["switch_us"],
            cpu_flops=figure["cpu_gflops"] * 1e3,
            cpu_bytes=figure["cpu_gb_per_s"] * 1e3,
        )

    def compute(self, work: Work) -> float:
        """Return the time of the arithmetic of a unit on the BPU."""
        share = self.share.get(work.form, self.share["float16"])
        if work.macs:
            return work.padded_macs / (self.macs * share)
        passes = CHAIN.get(work.op, 1) * (1 if work.form == "int8" else 2)
        return work.elements * passes / self.vector

    def on_cpu(self, work: Work) -> float:
        """Return the time of a unit on the CPU: the slower of arithmetic and memory."""
        flops = 2 * work.macs if work.macs else work.elements * CHAIN.get(work.op, 1)
        size = sum(t.size for t in (*work.reads, *work.writes)) + work.weight_bytes
        return max(flops / self.cpu_flops, size / self.cpu_bytes)
