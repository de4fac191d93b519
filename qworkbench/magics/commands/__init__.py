"""The one table of subcommands, in the order of the guide."""

from __future__ import annotations

from qworkbench.magics.commands.asking import ASKING
from qworkbench.magics.commands.debugging import DEBUGGING
from qworkbench.magics.commands.deploying import DEPLOYING
from qworkbench.magics.commands.editing import EDITING
from qworkbench.magics.commands.files import FILES
from qworkbench.magics.commands.history import HISTORY
from qworkbench.magics.commands.images import IMAGES
from qworkbench.magics.commands.loading import LOADING
from qworkbench.magics.commands.looking import LOOKING
from qworkbench.magics.commands.toolchain import TOOLCHAIN
from qworkbench.magics.registry import GROUPS, Command

_ALL = (*LOADING, *LOOKING, *EDITING, *ASKING, *DEBUGGING, *HISTORY, *FILES, *TOOLCHAIN, *IMAGES, *DEPLOYING)

COMMANDS: dict[str, Command] = {
    command.name: command for command in sorted(_ALL, key=lambda command: list(GROUPS).index(command.group))
}
