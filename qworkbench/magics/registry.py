"""The shape of a subcommand: its arguments as data, from which parser, help and completion are made.

Knows nothing of IPython or of what the commands do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from qworkbench.errors import QWorkbenchError, nearest, unknown_name

if TYPE_CHECKING:
    from qworkbench.magics.state import State

Kind = Literal["node", "value", "workbench", "variable", "file", "number", "integer", "choice", "flag", "text", "march"]


class MagicUsageError(QWorkbenchError):
    """A line that a subcommand cannot read; one sentence."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: positional, or an option when `name` starts with ``--``.

    ``kind`` decides how it is read and completed (``choices`` of a file are words beside paths); ``many`` takes
    several values; ``default`` None makes a positional required unless ``optional``.
    """

    name: str
    help: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    default: Any = None
    optional: bool = False
    many: bool = False

    @property
    def key(self) -> str:
        """Attribute of the parsed namespace."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def is_option(self) -> bool:
        """Tell whether it is given by name."""
        return self.name.startswith("--")


GROUPS = {"load": "Load", "look": "Look", "edit": "Edit", "debug": "Accuracy", "history": "Undo", "files": "Files"}
"""Headings of the guide, in its order."""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand of ``%qwb``; `nothing` is what it says where its table has no rows."""

    name: str
    summary: str
    run: Callable[[State, argparse.Namespace], Any]
    arguments: tuple[Argument, ...] = ()
    example: str = ""
    group: str = ""
    nothing: str = ""

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser of this command's arguments."""
        parser = _Parser(
            prog=f"%qwb {self.name}",
            description=self.summary,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("--help", "-h", action="store_true", help="show this help")
        for argument in self.arguments:
            parser.add_argument(argument.name, **_options(argument))
        return parser

    def help(self) -> str:
        """Return the help text: usage, summary, arguments, an example."""
        lines = [self.parser().format_help().rstrip()]
        if self.example:
            lines.append(f"\nexample:\n  {self.example}")
        return "\n".join(lines)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Read `words`; ``--help`` wins over missing arguments, and behind ``--`` nothing is an option.

        Raises
        ------
        MagicUsageError
        """
        options = words[: words.index("--")] if "--" in words else words
        if any(word in ("--help", "-h") for word in options):
            return argparse.Namespace(help=True)
        return self.parser().parse_args(list(words))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        options = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
        usage = " ".join(self.format_usage().split())
        if message.startswith("unrecognized arguments:"):
            word = message.split(":", 1)[1].split(maxsplit=1)[0]
            hints = nearest(word.split("=")[0], options) if word.startswith("-") else []
            if word.startswith("-"):
                known = ", ".join(options)
                hint = f"; did you mean {hints[0]!r}?" if hints else f"; options: {known}"
                raise MagicUsageError(f"{self.prog} has no option {word!r}{hint}")
            raise MagicUsageError(f"{self.prog} does not take {word!r} (quote names that hold spaces); {usage}")
        raise MagicUsageError(f"{self.prog}: {message}; {usage}")


def _options(argument: Argument) -> dict[str, Any]:
    text = argument.help.replace("%", "%%")  # argparse formats it
    options: dict[str, Any] = {"help": text, "default": argument.default}
    if argument.kind == "flag":
        return {"help": text, "action": "store_true"}
    if argument.kind == "number":
        options["type"] = _number
    elif argument.kind == "integer":
        options["type"] = _integer
    if argument.choices and argument.kind == "choice":
        options["type"] = _choice(argument)
        options["metavar"] = "{" + ",".join(argument.choices) + "}"
    elif argument.is_option:
        options["metavar"] = argument.key.upper()
    if argument.many:
        options["nargs"] = "*" if argument.optional else "+"
    elif argument.optional and not argument.is_option:
        options["nargs"] = "?"
    return options


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise MagicUsageError(f"{text!r} is not a number") from None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise MagicUsageError(f"{text!r} is not a whole number") from None


def _choice(argument: Argument) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in argument.choices:
            raise unknown_name(argument.key, text, argument.choices)
        return text

    return read
