"""``%qwb`` and ``%%qwb``: read a line, call one command, hand its value back.

Errors end in one line without a traceback (IPython's UsageError). Everything heavy is imported by the commands
themselves, so loading the extension costs nothing.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import display

from qworkbench.errors import QWorkbenchError, unknown_name
from qworkbench.magics.options import QWorkbench
from qworkbench.magics.registry import GROUPS, Command
from qworkbench.magics.results import Lines, Step
from qworkbench.magics.state import State

_COMMENT = re.compile(r"(^|\s)#.*$")


def commands() -> dict[str, Command]:
    """Return the table of subcommands."""
    from qworkbench.magics.commands import COMMANDS

    return COMMANDS


def split(line: str) -> list[str]:
    """Split a line into words; a `#` after a space begins a comment (``relu#1`` is a name)."""
    text = _COMMENT.sub("", line)
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"%qwb cannot read {text!r}: {error}") from None


def guide() -> Lines:
    """Return the short guide that bare ``%qwb`` prints."""
    lines = ["%qwb: see where each op runs on the BPU and why, change it, rerun in place"]
    group = ""
    for command in commands().values():
        if command.group != group:
            group = command.group
            lines.append(f"\n{GROUPS.get(group, group)}")
        lines.append(f"  {command.name:<10} {command.summary}")
    lines.append("\n%qwb CMD --help tells the arguments; Tab completes commands, options and node names;")
    lines.append("the live widget is %qwb workbench; %%qwb runs one command a line, its edits as one step.")
    return Lines(lines)


def shown(command: Command, value: Any) -> Any:
    """Return `value` as the notebook shows it: a DataFrame as one that hides nothing."""
    if type(value).__name__ != "DataFrame":  # pandas is not imported to find out
        return value
    from qworkbench.magics.tables import table

    return table(value, command.nothing)


@magics_class
class QWorkbenchMagics(Magics):
    """The ``%qwb`` magic of one shell."""

    def __init__(self, shell: Any, options: QWorkbench | None = None) -> None:
        super().__init__(shell)
        self.state = State(shell.user_ns, shell.user_ns_hidden, options)

    @line_cell_magic
    def qwb(self, line: str, cell: str | None = None) -> Any:
        """See where each op of a model runs on the BPU and why, change it, rerun in place.

        %qwb                       short guide
        %qwb CMD ARGUMENTS         run a command and return its value
        %qwb CMD --help            its arguments
        %%qwb                      one command a line; edits are one step, a failing line leaves none of them
        """
        if cell is None:
            return self.call(split(line))
        if split(line):
            raise UsageError("%%qwb takes its commands in the cell's lines, not behind %%qwb")
        try:
            with self.state.block():
                values = self._lines(cell)
        except QWorkbenchError as error:
            raise UsageError(str(error)) from None
        for value in values[:-1]:
            display(value.as_part() if isinstance(value, Step) else value)  # type: ignore[no-untyped-call]
        return values[-1] if values else None

    def _lines(self, cell: str) -> list[Any]:
        values = []
        for number, text in enumerate(cell.splitlines(), start=1):
            words = split(text.strip().removeprefix("%qwb"))
            if words:
                try:
                    values.append(self.call(words))
                except UsageError as error:
                    raise UsageError(f"line {number}: {error}; nothing of the cell was applied") from None
        return [value for value in values if value is not None]

    def call(self, words: list[str]) -> Any:
        """Run one command given as words."""
        if not words or words[0] in ("help", "--help", "-h"):
            return guide()
        try:
            command = commands().get(words[0])
            if command is None:
                raise unknown_name("%qwb command", words[0], commands())
            given = command.parse(words[1:])
            if given.help:
                return Lines(command.help().splitlines())
            return shown(command, command.run(self.state, given))
        except QWorkbenchError as error:
            raise UsageError(str(error)) from None
        except KeyboardInterrupt:
            raise UsageError(f"%qwb {words[0]} was interrupted; edits and thresholds are as they were") from None
