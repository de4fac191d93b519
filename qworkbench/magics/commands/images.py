"""Images as inputs: what is declared about them, and one image as a run takes it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from qworkbench.magics.commands.editing import apply
from qworkbench.magics.registry import Argument, Command
from qworkbench.magics.results import Lines
from qworkbench.magics.state import State

RUNTIME = ("rgb", "bgr", "yuv444", "nv12", "gray", "featuremap", "auto")
TRAIN = ("rgb", "bgr", "yuv444", "gray", "featuremap")


def declare(state: State, given: Namespace) -> Any:
    """Declare how images become a model input, or tell what is declared."""
    from qworkbench.workbench.edits import SetPreprocess

    workbench = state.workbench
    if given.rt is None:
        lines = [f"{name}: {declared.describe()}" for name, declared in workbench.config.inputs.items()]
        return Lines(lines, empty="no preprocessing is declared; %qwb input NAME --rt nv12 --train rgb ...")
    name = given.node or workbench.base_graph.inputs[0]
    mean, scale, std = (" ".join(words) or None for words in (given.mean or [], given.scale or [], given.std or []))
    return apply(
        state, SetPreprocess(name, given.rt, given.train, mean, scale, std, given.layout, given.space, given.fit)
    )


def prepare(state: State, given: Namespace) -> Any:
    """Return one image as a run takes it."""
    known = Path(given.image).suffix != "" or "/" in given.image
    image = Path(given.image).expanduser() if known else state.variable(given.image)
    return state.workbench.prepare(image, given.input, integers=given.integers)


IMAGES = (
    Command(
        "input",
        "declare how images become a model input (types, mean, scale), or tell what is declared",
        declare,
        (
            Argument("node", "name of the model input (default: the first)", "value", optional=True),
            Argument("--rt", "type that the board hands over; auto clears", "choice", RUNTIME),
            Argument("--train", "type that the model was trained on", "choice", TRAIN, "rgb"),
            Argument("--mean", "one number, or one per channel", "text", many=True),
            Argument("--scale", "multiplied after mean; one number, or one per channel", "text", many=True),
            Argument("--std", "instead of --scale: 1 / scale", "text", many=True),
            Argument("--layout", "of the model's input", "choice", ("NCHW", "NHWC"), "NCHW"),
            Argument("--space", "range of YUV images", "choice", ("regular", "bt601_video"), "regular"),
            Argument("--fit", "what happens to images of another size", "choice", ("exact", "resize", "crop"), "exact"),
        ),
        "%qwb input x --rt nv12 --train rgb --mean 123.675 116.28 103.53 --std 58.4 57.1 57.4",
        "files",
    ),
    Command(
        "prepare",
        "one image as a run takes it, through the declared preprocessing",
        prepare,
        (
            Argument("image", "variable with an image (H, W, 3), or an image file", "variable"),
            Argument("--input", "name of the model input (default: the only one)", "value"),
            Argument("--integers", "as the preprocess node writes it on the board", "flag"),
        ),
        "feed = %qwb prepare cat.png",
        "files",
    ),
)
