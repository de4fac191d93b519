"""What ``%config QWorkbench`` lists and sets: defaults of this notebook's ``%qwb``. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from traitlets import Bool, TraitError, Unicode, validate
from traitlets.config import Configurable

from qworkbench.errors import unknown_name
from qworkbench.view.colouring import COLOURINGS as NAMES

COLOURINGS = tuple(NAMES)


class QWorkbench(Configurable):
    """Defaults of ``%qwb``; also ``c.QWorkbench.march = "bayes"`` in an IPython configuration file."""

    march = Unicode("bayes-e", help="BPU architecture that %qwb load takes without --march").tag(config=True)
    colouring = Unicode("", help="what the fill of a node says when a live widget opens; empty: placement").tag(
        config=True
    )
    run = Bool(False, help="whether an edit runs the model at once and shows the outputs").tag(config=True)

    @validate("march")
    def _known_march(self, proposal: Any) -> str:
        from qworkbench.march import MARCHES

        return _known("march", proposal["value"], tuple(MARCHES))

    @validate("colouring")
    def _known_colouring(self, proposal: Any) -> str:
        return _known("colouring", proposal["value"], ("", *COLOURINGS))


def _known(kind: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise TraitError(str(unknown_name(kind, value, known)))
    return value


def drop_refused(shell: Any) -> None:
    """Forget what was set for this extension: a value that was refused stays in the shell's configuration otherwise."""
    shell.config.pop("QWorkbench", None)
