"""A shadow below torch's functions: which storages depend on the inputs, when tracing on real tensors.

With fake tensors an unseen result is recognisable by its type. With real ones only the dispatcher sees what
TorchScript, extensions or vmap compute; this mode follows it there, so that nothing is baked in as a constant.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from qworkbench.graph.structure import leaves


class Taint(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the inputs' content through the dispatcher.

    Parameters
    ----------
    inputs : list of Tensor
    """

    def __init__(self, inputs: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._storages: dict[int, torch.UntypedStorage] = {}
        for tensor in inputs:
            self._add(tensor)

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._storages[int(storage._cdata)] = storage

    def holds(self, tensor: Tensor) -> bool:
        """Tell whether `tensor` depends on the inputs."""
        return int(tensor.untyped_storage()._cdata) in self._storages

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(t, Tensor) and self.holds(t) for _, t in leaves((args, kwargs or {}))):
            for _, tensor in leaves(result):
                if isinstance(tensor, Tensor):
                    self._add(tensor)
        return result
