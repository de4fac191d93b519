"""Text and bytes on disk: a file is replaced only when the new one is complete, a read is bounded, errors are one line.

Every format of the house (saved states, configurations, reports, tables, ONNX) reads and writes through these three
functions. Knows nothing of what the files hold.
"""

from __future__ import annotations

from pathlib import Path

from qworkbench.errors import FileFormatError


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write `content` to `path`; an existing file stays as it is until the new one is complete.

    Raises
    ------
    FileFormatError
        The path cannot be written.
    """
    target = Path(path)
    scratch = target.parent / f"{target.name}.part"
    try:
        scratch.write_bytes(content)
        scratch.replace(target)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise FileFormatError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    return target


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8; see :func:`write_bytes`."""
    return write_bytes(path, text.encode("utf-8"))


def read_text(path: str | Path, *, what: str, largest: int, missing: str = "") -> str:
    """Return the UTF-8 text in `path`.

    Parameters
    ----------
    path : str or Path
    what : str
        What the file should be, for the errors: ``"a PTQ configuration"``.
    largest : int
        Bytes; a larger file is refused unread.
    missing : str
        What to do when there is no such file, said in the error.

    Raises
    ------
    FileFormatError
        Missing, unreadable, larger than `largest`, or not UTF-8.
    """
    source = Path(path)
    try:
        if source.stat().st_size > largest:
            raise FileFormatError(f"{str(path)!r} is larger than {largest >> 20} MB; not {what}")
        return source.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileFormatError(f"no file {str(path)!r}" + (f"; {missing}" if missing else "")) from None
    except OSError as error:
        raise FileFormatError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{str(path)!r} is not UTF-8 text; not {what}") from None
