"""``%qwb``: loading and unloading of the magic and its completion.

Imports neither torch, numba nor widgets; ``%load_ext qworkbench`` must not wait.
"""

from __future__ import annotations

from typing import Any

_MATCHER = "qworkbench.qwb"


def load(shell: Any) -> None:
    """Register ``%qwb``, ``%%qwb`` and their completion; a second call does nothing."""
    from qworkbench.magics.completion import make_matcher
    from qworkbench.magics.magic import QWorkbenchMagics
    from qworkbench.magics.options import QWorkbench

    if "QWorkbenchMagics" in shell.magics_manager.registry:
        return
    options = QWorkbench(parent=shell)
    magics = QWorkbenchMagics(shell, options)
    shell.register_magics(magics)
    shell.configurables.append(options)
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        completer.custom_matchers.append(make_matcher(magics.state))


def unload(shell: Any) -> None:
    """Remove what :func:`load` added, and nothing else."""
    from qworkbench.magics.options import drop_refused

    manager = shell.magics_manager
    magics = manager.registry.pop("QWorkbenchMagics", None)
    if magics is not None:
        shell.configurables[:] = [c for c in shell.configurables if c is not magics.state.options]
        drop_refused(shell)
    for kind in ("line", "cell"):
        found = manager.magics[kind].get("qwb")
        if found is not None and getattr(found, "__self__", None) is magics:
            del manager.magics[kind]["qwb"]
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        completer.custom_matchers[:] = [
            m for m in completer.custom_matchers if getattr(m, "matcher_identifier", None) != _MATCHER
        ]
