"""The page of all subcommands, from the table that also makes parser, help and completion.

``python -m qworkbench.magics.reference docs/magics.md`` writes it; a test holds the file equal to the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

from qworkbench.magics.magic import commands
from qworkbench.magics.options import QWorkbench
from qworkbench.magics.registry import GROUPS, Argument, Command

HEAD = """# `%qwb`, command by command

Made from the table of commands (`python -m qworkbench.magics.reference docs/magics.md`); `%qwb CMD --help` says the
same in the notebook.

- Every command returns its value: `t = %qwb layers` is a DataFrame.
- `%%qwb` runs one command a line. Its edits are one step of the journal; when a line fails, none of them is made.
- A `#` after a space begins a comment. Names with spaces go in quotes; behind `--` nothing is read as an option, so
  that `%qwb why -- --help` asks about a node called `--help`.
- `%qwb use NAME` chooses among several workbenches; a variable that holds one is a name, too.
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD, "## Defaults\n\n`%config QWorkbench` lists them, `%config QWorkbench.march = 'bayes'` sets one.\n"]
    rows = ["| option | default | meaning |", "|---|---|---|"]
    for name, trait in sorted(QWorkbench.class_own_traits(config=True).items()):
        rows.append(f"| `{name}` | `{trait.default_value!r}` | {_cell(trait.help)} |")
    parts.append("\n".join(rows) + "\n")
    group = ""
    for command in commands().values():
        if command.group != group:
            group = command.group
            parts.append(f"## {GROUPS.get(group, group)}\n")
        parts.append(_command(command))
    return "\n".join(parts)


def _command(command: Command) -> str:
    usage = " ".join(command.parser().format_usage().removeprefix("usage: ").split()).replace(" [--help]", "")
    lines = [
        f"### `{command.name}`\n",
        f"{command.summary[:1].upper()}{command.summary[1:]}.\n",
        f"```\n{usage}\n```\n",
    ]
    if command.arguments:
        lines += ["| argument | meaning |", "|---|---|", *(_argument(a) for a in command.arguments), ""]
    if command.example:
        lines.append(f"Example: `{command.example}`\n")
    return "\n".join(lines)


def _argument(argument: Argument) -> str:
    choices = f" One of {', '.join(f'`{c}`' for c in argument.choices)}." if argument.choices else ""
    default = f" Default: `{argument.default}`." if argument.default is not None and argument.kind != "flag" else ""
    return f"| `{argument.name}` | {_cell(argument.help)}.{choices}{default} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").rstrip(".")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
