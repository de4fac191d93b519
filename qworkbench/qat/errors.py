"""The error of the training side."""

from __future__ import annotations

from qworkbench.errors import QWorkbenchError


class QATError(QWorkbenchError):
    """A model, qconfig or call that the training API cannot use; one sentence with the rule and the next step."""
