"""The PTQ configuration file as text that can be changed key by key, so that comments and unknown keys stay.

The tree is read by ``yaml.safe_load``; a change replaces the lines of one key and nothing else. What a key means for a
workbench is in :mod:`qworkbench.workbench.ptq`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from qworkbench.errors import FileFormatError
from qworkbench.files import read_text, write_text
from qworkbench.toolchain.ptq_rules import check_rules
from qworkbench.toolchain.ptq_schema import check, generation, key_of

LARGEST = 4 * 1024 * 1024


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases: no configuration needs them, and a few lines of them unfold to any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read; write the value out", mark)
        return super().compose_node(parent, index)


class PtqYaml:
    """A configuration file in memory.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    tree : dict
        Group -> key -> value, as ``yaml.safe_load`` reads the text.
    remarks : list of str
        Keys that are unknown, misplaced or ignored by this generation of tools.

    Raises
    ------
    FileFormatError
        Text that is no YAML mapping, or a known key with a value outside its allowed set.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            tree = yaml.load(text, _PlainLoader) or {}
        except (yaml.YAMLError, RecursionError) as error:
            place = getattr(error, "problem_mark", None)
            where = f" in line {place.line + 1}" if place is not None else ""
            problem = getattr(error, "problem", None) or type(error).__name__
            raise FileFormatError(f"the configuration is not valid YAML{where}: {problem}") from None
        if not isinstance(tree, dict):
            raise FileFormatError(f"a PTQ configuration is a mapping of groups, got {type(tree).__name__}")
        self.tree: dict[str, Any] = tree
        self.remarks = check(tree)

    @classmethod
    def read(cls, path: str | Path) -> PtqYaml:
        """Read a file.

        Raises
        ------
        FileFormatError
        """
        return cls(read_text(path, what="a PTQ configuration", largest=LARGEST))

    def write(self, path: str | Path) -> Path:
        """Write the text; an existing file is replaced only when the new one is complete."""
        return write_text(path, self.text)

    def changes(self, former: PtqYaml) -> list[str]:
        """Return one line per key that has another value than in `former`: ``group.key: before -> now``."""
        told = []
        for group in dict.fromkeys((*former.tree, *self.tree)):
            before, now = (tree.get(group) or {} for tree in (former.tree, self.tree))
            if not isinstance(before, dict) or not isinstance(now, dict):
                continue
            for key in dict.fromkeys((*before, *now)):
                if before.get(key) != now.get(key):
                    words = [_value(key, one[key]) if key in one else "(not set)" for one in (before, now)]
                    told.append(f"{group}.{key}: {' -> '.join(words)}")
        return told

    def rules(self) -> list[str]:
        """Return one line per key that lacks another one, or has no effect beside it.

        Raises
        ------
        FileFormatError
            Keys that contradict each other. Apart from the values, since a file that is changed key by key passes
            through such states.
        """
        return check_rules(self.get, generation(self.tree))

    def get(self, name: str) -> Any:
        """Return the value of a known key, or None where it is not set."""
        return (self.tree.get(key_of(name).group) or {}).get(name)

    def set(self, name: str, value: Any) -> PtqYaml:
        """Return a configuration with one key changed; None takes the key out. A value that is there stays as written.

        Raises
        ------
        FileFormatError
            A value outside the allowed set, or a group in flow style (``{...}``), which cannot be edited by lines.
        """
        group = key_of(name).group
        if self.get(name) == value:
            return self
        lines = self.text.splitlines()
        start = next((i for i, line in enumerate(lines) if re.match(rf"{group}\s*:", line)), None)
        if start is None:
            if value is None:
                return self
            return PtqYaml("\n".join([*lines, f"{group}:", f"  {_entry(name, value)}"]).lstrip("\n") + "\n")
        if not re.fullmatch(rf"{group}\s*:\s*(#.*)?", lines[start]):
            raise FileFormatError(f"{group} is written on one line; write its keys on lines of their own to edit it")
        end = _block_end(lines, start, 0)
        indent = next(
            (len(line) - len(line.lstrip()) for line in lines[start + 1 : end] if line.strip() and not _comment(line)),
            2,
        )
        found = next(
            (
                i
                for i in range(start + 1, end)
                if re.match(rf" {{{indent}}}['\"]?{re.escape(name)}['\"]?\s*:", lines[i])
            ),
            None,
        )
        made = [] if value is None else [" " * indent + _entry(name, value)]
        if found is None:
            last = max((i for i in range(start, end) if lines[i].strip() and not _comment(lines[i])), default=start)
            lines[last + 1 : last + 1] = made
        else:
            after = _block_end(lines, found, indent)
            note = _trailing_comment(lines[found])
            lines[found:after] = [made[0] + note] if made else []
        changed = PtqYaml("\n".join(lines) + "\n")
        if changed.get(name) != value:
            raise FileFormatError(f"{group}.{name} could not be changed in place; write it on a line of its own")
        return changed


def _value(name: str, value: Any) -> str:
    return _entry(name, value).removeprefix(f"{name}: ")


def _entry(name: str, value: Any) -> str:
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False)
    text = dumped.removesuffix("\n...\n").rstrip("\n")
    if isinstance(value, str) and text == value:
        text = f"'{value}'"
    return f"{name}: {text}"


def _comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _block_end(lines: list[str], start: int, indent: int) -> int:
    """Return the line behind the block that begins at `start`: deeper lines, without what only leads to the next."""
    end = start + 1
    for i in range(start + 1, len(lines)):
        line = lines[i]
        if not line.strip() or _comment(line):
            continue
        depth = len(line) - len(line.lstrip())
        if depth <= indent and not (depth == indent and line.lstrip().startswith("- ")):
            break
        end = i + 1
    return end


def _trailing_comment(line: str) -> str:
    """Return the comment behind the value of `line`, if what stands before it is a whole value by itself."""
    for found in re.finditer(r"\s+#", line):
        try:
            yaml.safe_load(line[: found.start()])
        except yaml.YAMLError:
            continue
        return line[found.start() :]
    return ""
