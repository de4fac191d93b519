"""In which numbers each unit computes: integer codes, float16, or integers that leave as float16.

Marches before nash know integers only. On nash the vector units have float16 (on request, or by default where float16
is recommended for everything but multiply-accumulate), and on some the tensor unit writes floats itself. An op in
float16 needs no threshold, so the rules of context do not bind it. Parameters of the march say which holds.
"""

from __future__ import annotations

from typing import Literal

from qworkbench.graph.vocabulary import family
from qworkbench.march.row import OpRow
from qworkbench.march.table import March
from qworkbench.placement.types import DtypeRequest

Form = Literal["integer", "float16", "float_output"]
HALF = "float16"


def form_of(march: March, op: str, row: OpRow, wish: DtypeRequest) -> Form:
    """Return the form of an op.

    Parameters
    ----------
    march : March
    op : str
    row : OpRow
        What the march says of it.
    wish : DtypeRequest
        What the user asks for the unit.

    Returns
    -------
    "integer" | "float16" | "float_output"
        ``float_output``: codes in, float16 out, for multiply-accumulate ops.
    """
    policy = march.parameter("float16")
    if policy == "none" or not row.runs:
        return "integer"
    able = HALF in row.input_dtypes
    if family(op) == "gemm":
        if wish.input == HALF and able:
            return "float16"
        wants = wish.output == HALF or (policy == "default" and wish.output is None)
        return "float_output" if wants and march.parameter("float_output") else "integer"
    if "int8" not in row.input_dtypes:
        return "float16" if able else "integer"
    asked = {wish.input, wish.output} - {None}
    wants = HALF in asked or (policy == "default" and not asked)
    return "float16" if wants and able else "integer"


def refusal(march: March, op: str, name: str, form: Form, wish: DtypeRequest) -> str | None:
    """Return why a wish for float16 is not followed, or None where it is."""
    whole = form == "float16" or HALF not in (wish.input, wish.output)
    if whole or (form == "float_output" and wish.input != HALF):
        return None
    if march.parameter("float16") == "none":
        return f"float16 asked for {name!r}, but {march.name} computes in integers only; it stays int8"
    if family(op) == "gemm" and wish.input != HALF:
        return (
            f"float16 asked for the output of {name!r}, but the tensor unit of {march.name} writes integers only; "
            "it stays int8"
        )
    kept = "its input stays int8" if form == "float_output" else "it stays int8"
    return f"float16 asked for {name!r}, but {op} has no float16 on {march.name}; {kept}"
