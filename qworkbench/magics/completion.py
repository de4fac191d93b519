"""Tab completion inside ``%qwb``: commands, options, choices, node names, notebook variables.

One IPython matcher (API version 2), made from the same table as the parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qworkbench.magics.magic import commands
from qworkbench.magics.registry import Argument, Command
from qworkbench.magics.state import State

_LINE = re.compile(r"^\s*(?:[\w.]+\s*=\s*)?%{0,2}qwb\s+(?P<rest>.*)$")


def candidates(state: State, line: str, *, inside_cell: bool = False) -> tuple[list[str], str] | None:
    """Return (completions, fragment they replace) for the text before the cursor, or None outside ``%qwb``."""
    found = _LINE.match(line)
    rest = found["rest"] if found else (line.lstrip() if inside_cell else None)
    if rest is None:
        return None
    before, fragment = _words(rest)
    if not before:
        return _starting(commands(), fragment), fragment
    command = commands().get(before[0])
    if command is None:
        return [], fragment
    return _for_command(state, command, before[1:], fragment), fragment


def _words(rest: str) -> tuple[list[str], str]:
    """Return the finished words before the cursor, quotes taken off, and the unfinished one as it is typed."""
    words, start, quote = [], 0, ""
    for place, letter in enumerate(rest):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter.isspace():
            words.append(rest[start:place])
            start = place + 1
    return [found.strip("\"'") for found in words if found], rest[start:]


def _for_command(state: State, command: Command, before: list[str], fragment: str) -> list[str]:
    options = {a.name: a for a in command.arguments if a.is_option}
    if before and before[-1] in options and options[before[-1]].kind != "flag":
        return _values(state, options[before[-1]], fragment)
    option, equals, value = fragment.partition("=")
    if equals and option in options:
        return [f"{option}={found}" for found in _values(state, options[option], value)]
    if fragment.startswith("-"):
        return _starting([name for name in (*options, "--help") if name not in before], fragment)
    positional = [a for a in command.arguments if not a.is_option]
    taken = 0
    skip = False
    for word in before:
        if skip:
            skip = False
        elif word in options:
            skip = options[word].kind != "flag"
        elif not word.startswith("-"):
            taken += 1
    if positional and (taken < len(positional) or positional[-1].many):
        return _values(state, positional[min(taken, len(positional) - 1)], fragment)
    return _starting(options, fragment)


def _values(state: State, argument: Argument, fragment: str) -> list[str]:
    if argument.choices and argument.kind == "choice":
        return _starting(argument.choices, fragment)
    if argument.kind in ("node", "value"):
        from qworkbench.workbench.explain import word

        return [word(name) for name in _containing(_names(state, argument.kind), fragment.lstrip("\"'"))]
    if argument.kind == "variable":
        return _starting(state.variables(), fragment)
    if argument.kind == "workbench":
        return _starting(state.loadable(), fragment)
    if argument.kind == "march":
        from qworkbench.march import MARCHES

        return _starting(MARCHES, fragment)
    if argument.kind == "file":
        return [*_starting(argument.choices, fragment), *_files(fragment)]
    return []


def _names(state: State, kind: str) -> list[str]:
    """Return node names; a "value" may be an input of the model, too."""
    if state.current is None:
        return []
    graph = state.workbenches[state.current].graph
    return [*graph.nodes.names(), *(graph.inputs if kind == "value" else ())]


def _starting(names: Any, fragment: str) -> list[str]:
    return [name for name in names if name.startswith(fragment)]


def _containing(names: list[str], fragment: str) -> list[str]:
    """Names that begin with the fragment, then those that merely contain it."""
    first = _starting(names, fragment)
    return first + [name for name in names if fragment in name and name not in first]


def _files(fragment: str) -> list[str]:
    folder = Path(fragment).parent if fragment else Path()
    try:
        found = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        return []
    return _starting([f"{p.as_posix()}/" if p.is_dir() else p.as_posix() for p in found], fragment)


def make_matcher(state: State) -> Callable[[Any], Any]:
    """Return the matcher to append to ``ip.Completer.custom_matchers``."""
    from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher

    @context_matcher(identifier="qworkbench.qwb")
    def qwb_matcher(context: Any) -> Any:
        inside = context.full_text.lstrip().startswith("%%qwb") and context.cursor_line > 0
        found = candidates(state, context.line_with_cursor[: context.cursor_position], inside_cell=inside)
        if found is None:
            return SimpleMatcherResult(completions=[], suppress=False)
        names, fragment = found
        return {
            "completions": [SimpleCompletion(text=name, type="param") for name in names],
            "matched_fragment": fragment,
            "suppress": True,
        }

    matcher: Callable[[Any], Any] = qwb_matcher
    return matcher
