"""Undo, redo and the journal: a line of configurations with a cursor."""

from __future__ import annotations

from dataclasses import dataclass

from qworkbench.errors import EditError
from qworkbench.workbench.config import Config
from qworkbench.workbench.edits import Edit


@dataclass(frozen=True)
class Entry:
    """One step: the edits that were made together, and the configuration after them."""

    edits: tuple[Edit, ...]
    config: Config

    @property
    def text(self) -> str:
        """One line for people."""
        return "; ".join(edit.describe() for edit in self.edits)


class History:
    """A list of entries; a new edit drops what was undone."""

    def __init__(self, initial: Config) -> None:
        self.initial = initial
        self._entries: list[Entry] = []
        self._cursor = 0

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._entries[self._cursor - 1].config if self._cursor else self.initial

    @property
    def done(self) -> tuple[Entry, ...]:
        """Entries in force, oldest first."""
        return tuple(self._entries[: self._cursor])

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, also the undone ones."""
        return tuple(self._entries)

    @property
    def cursor(self) -> int:
        """How many entries are in force."""
        return self._cursor

    def push(self, edits: tuple[Edit, ...], config: Config) -> None:
        """Add a step."""
        self._entries[self._cursor :] = [Entry(edits, config)]
        self._cursor += 1

    def mark(self) -> tuple[tuple[Entry, ...], int]:
        """Return what :meth:`restore` and :meth:`squash` need to come back to this state."""
        return tuple(self._entries), self._cursor

    def restore(self, mark: tuple[tuple[Entry, ...], int]) -> None:
        """Put everything back as it was at `mark`."""
        entries, self._cursor = mark
        self._entries = list(entries)

    def since(self, mark: tuple[tuple[Entry, ...], int]) -> tuple[Edit, ...]:
        """Return the edits in force that were made after `mark`."""
        return tuple(edit for entry in self._entries[self._common(mark) : self._cursor] for edit in entry.edits)

    def squash(self, mark: tuple[tuple[Entry, ...], int]) -> None:
        """Make one step of those that were made after `mark`."""
        start = self._common(mark)
        if self._cursor - start > 1:
            self._entries[start:] = [Entry(self.since(mark), self.config)]
            self._cursor = start + 1

    def _common(self, mark: tuple[tuple[Entry, ...], int]) -> int:
        entries, cursor = mark
        steps = zip(entries[:cursor], self._entries[: self._cursor], strict=False)
        return next((i for i, (old, new) in enumerate(steps) if old is not new), min(cursor, self._cursor))

    def undo(self) -> Entry:
        """Take back the last step and return it."""
        if not self._cursor:
            raise EditError("there is nothing to undo")
        self._cursor -= 1
        return self._entries[self._cursor]

    def redo(self) -> Entry:
        """Make the step that was undone last again and return it."""
        if self._cursor == len(self._entries):
            raise EditError("there is nothing to redo")
        self._cursor += 1
        return self._entries[self._cursor - 1]
