"""The conversion table: torch functions and leaf modules to operators of the vocabulary.

``FUNCTIONS[plain name](builder, *args, **kwargs)`` and ``MODULES[class name](builder, module, *args, **kwargs)`` take
the arguments of the torch call with slots for tensors, and return its result. Each file holds one family.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qworkbench.graph.torch_frontend.handlers import (
    activations,
    attention,
    carried,
    elementwise,
    indexing,
    modules,
    norms,
    recurrent,
    reductions,
    resampling,
    shapes,
    windows,
)

Handler = Callable[..., Any]

FUNCTIONS: dict[str, Handler] = {
    **carried.FUNCTIONS,
    **elementwise.FUNCTIONS,
    **activations.FUNCTIONS,
    **norms.FUNCTIONS,
    **windows.FUNCTIONS,
    **resampling.FUNCTIONS,
    **reductions.FUNCTIONS,
    **shapes.FUNCTIONS,
    **indexing.FUNCTIONS,
    **attention.FUNCTIONS,
}

MODULES: dict[str, Handler] = {**modules.MODULES, **recurrent.MODULES, **attention.MODULES}
