"""What the magics remember: the notebook's workbenches by name, and which one is current."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qworkbench.errors import UnknownNameError, unknown_name
from qworkbench.magics.options import QWorkbench
from qworkbench.magics.registry import MagicUsageError

if TYPE_CHECKING:
    from qworkbench.workbench.run import Run
    from qworkbench.workbench.session import Workbench

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class State:
    """Workbenches of one notebook.

    Parameters
    ----------
    namespace : Mapping
        The user's variables, live.
    hidden : Mapping, optional
        What IPython put there itself; not offered while it still means the same.
    options : QWorkbench, optional
        What ``%config QWorkbench`` sets.
    """

    def __init__(
        self, namespace: Mapping[str, Any], hidden: Mapping[str, Any] | None = None, options: QWorkbench | None = None
    ) -> None:
        self.options = options or QWorkbench()
        self.namespace = namespace
        self.hidden = hidden or {}
        self.workbenches: dict[str, Workbench] = {}
        self.current: str | None = None
        self._inputs: dict[bytes, str] = {}

    @property
    def workbench(self) -> Workbench:
        """The current workbench."""
        if self.current is None:
            raise MagicUsageError("no model is loaded; %qwb load MODEL --example X --calibration IMAGES")
        return self.workbenches[self.current]

    @contextmanager
    def block(self) -> Iterator[None]:
        """Make all edits inside one step per workbench; an error takes them back, and what was loaded inside, too."""
        kept, current = dict(self.workbenches), self.current
        try:
            with ExitStack() as stack:
                for workbench in {id(found): found for found in kept.values()}.values():
                    stack.enter_context(workbench.block())
                yield
        except BaseException:
            self.workbenches, self.current = kept, current
            raise

    def add(self, name: str, workbench: Workbench) -> str:
        """Keep `workbench` as `name` and make it the current one.

        Another one of that name with edits is not thrown away but kept as ``name.before``; its name is returned.
        """
        former, kept = self.workbenches.get(name), ""
        if former is not None and former is not workbench and former.journal:
            kept = f"{name}.before"
            self.workbenches[kept] = former
        self.workbenches[name] = workbench
        self.current = name
        return kept

    def use(self, name: str) -> Workbench:
        """Make the workbench `name` current: a loaded one, or a notebook variable that holds one."""
        from qworkbench.workbench.session import Workbench

        if name not in self.workbenches:
            found = self.namespace.get(name)
            if not isinstance(found, Workbench):
                raise unknown_name("workbench", name, self.loadable())
            self.workbenches[name] = found
        self.current = name
        return self.workbenches[name]

    def loadable(self) -> list[str]:
        """Return what :meth:`use` takes: loaded workbenches, then notebook variables that hold one."""
        from qworkbench.workbench.session import Workbench

        held = [name for name in self.variables() if isinstance(self.namespace[name], Workbench)]
        return list(dict.fromkeys([*self.workbenches, *held]))

    def variables(self) -> list[str]:
        """Return the names that the user made; IPython's own (``In``, ``exit`` ...) are not among them."""
        return [
            name
            for name, value in self.namespace.items()
            if not name.startswith("_") and not (name in self.hidden and self.hidden[name] is value)
        ]

    def variable(self, path: str) -> Any:
        """Return the notebook variable `path` (``images``, ``data.images``); nothing is evaluated."""
        if not _PATH.fullmatch(path):
            raise MagicUsageError(f"{path!r} is not the name of a notebook variable; assign it to one first")
        first, *rest = path.split(".")
        if first not in self.namespace:
            raise _variable_error(first, self.variables())
        found = self.namespace[first]
        for part in rest:
            if not hasattr(found, part):
                raise MagicUsageError(f"{first!r} has no attribute {part!r}")
            found = getattr(found, part)
        return found

    def run(self, path: str | None, progress: Callable[[str, int, int], None]) -> Run:
        """Run the current workbench on the variable `path`, whose name is kept, or on what it runs on by default."""
        made = self.workbench.run(None if path is None else self.variable(path), progress=progress)
        if path is not None:
            self._inputs[made.inputs] = path
        return made

    def sample_words(self, made: Run) -> str:
        """Return what the run `made` ran on, by the name of the variable where it was given one."""
        name = self._inputs.get(made.inputs)
        return made.sample if name is None or not made.sample.startswith("the given") else f"{name!r}"

    def model(self, word: str) -> Any:
        """Return what a model argument means: a word that ends in ``.onnx`` is a path, anything else a variable."""
        return Path(word).expanduser() if word.lower().endswith(".onnx") else self.variable(word)


def _variable_error(name: str, known: list[str]) -> UnknownNameError:
    from qworkbench.errors import nearest

    hints = nearest(name, known)
    hint = f"did you mean {hints[0]!r}?" if hints else "run the cell that defines it first"
    return UnknownNameError(f"no notebook variable {name!r}; {hint}")
