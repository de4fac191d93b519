"""From a torch model to a graph: run the real ``forward`` once more and write down what it does.

The steps, a file each: :mod:`state` (leave the model as it was), :mod:`tracer` (write calls down), :mod:`batch` (find
what follows the batch), :mod:`convert` (torch calls to named operators), :mod:`selfcheck`, and :mod:`pipeline`, which
puts them in order. Importing this package imports torch; nothing here imports ``torch.ao``.
"""

from __future__ import annotations

from qworkbench.graph.torch_frontend.pipeline import capture

__all__ = ["capture"]
